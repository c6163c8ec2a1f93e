//! Tests of `pep440`.

use super::super::tests::{ascending, eco, key};

/// PEP 440's "Summary of permitted suffixes and relative ordering", its local versions and epochs.
#[test]
fn the_pep_s_own_order() {
    ascending(
        "PyPI",
        &[
            "1.dev0=1.0.0.dev=1DEV0=1_dev_0",
            "1.0.dev456",
            "1.0a1.dev3",
            "1.0a1=1.0-alpha.1=1.0_A01=v1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2=1.0beta2",
            "1.0b2.post345.dev456",
            "1.0b2.post345=1.0b2-345=1.0b2.rev345=1.0b2-r345",
            "1.0rc1.dev456",
            "1.0rc1=1.0c1=1.0pre1=1.0-preview_1=1.0RC1",
            "1.0=1=1.0.0=0!1.0=01.00= 1.0 ",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0+5.a=1.0+5_A=1.0+05-a",
            "1.0+5.0",
            "1.0+99999999999999999999999",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.0.post456+local",
            "1.0.0.1",
            "1.1.dev1",
            "1.1",
            "2013.10",
            "99999999999999999999999",
            "1!0.5",
            "1!1.0",
            "2!0",
        ],
    );
}

#[test]
fn a_separator_may_stand_where_a_number_is_missing() {
    ascending(
        "PyPI",
        &["1.0a.dev1=1.0a0.dev1=1.0a._dev1", "1.0a=1.0a.=1.0a-=1.0a0", "1.0a-1", "1.0.post=1.0.post0=1.0-r_"],
    );
}

#[test]
fn a_local_version_ends() {
    let longer = key("PyPI", "1.0+a.1");
    assert!(!longer.as_bytes().starts_with(key("PyPI", "1.0+a").as_bytes()), "no key is a prefix of another");
    ascending("PyPI", &["1.0+a", "1.0+a.a", "1.0+a.1", "1.0+aa"]);
}

#[test]
fn other_texts_are_no_versions() {
    for text in [
        "trunk",
        "1.0-",
        "1.0.",
        "1..0",
        ".1",
        "1.0x",
        "1.0p1",
        "1.0-final",
        "3.0.0b3-",
        "1.0a1b2",
        "1.0.dev1.post1",
        "1.0post1a1",
        "1.0--1",
        "1.0+",
        "1.0+a..b",
        "1.0+a+b",
        "1.0+é",
        "!1.0",
        "a!1.0",
        "1!2!3",
        "1!",
        "vv1",
        "1.0 .1",
        "1.0.*",
        "2013-02-02",
        "2013-02-02T20:23:17+0100",
        "2.0.1rc2-git",
        "١.٠",
    ] {
        assert!(eco("PyPI").key(text).is_err(), "{text}");
    }
}
