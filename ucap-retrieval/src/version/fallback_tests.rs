//! Tests of `fallback`.

use super::super::tests::{ascending, eco, key};

#[test]
fn a_natural_order() {
    for ecosystem in ["CVE", "CISA-KEV", "node", "ruby-engine"] {
        ascending(
            ecosystem,
            &[
                "1.0-alpha1=1.0.0-alpha.1",
                "1.0-beta",
                "1.0-rc1=1.0.0.rc1=1-RC-1",
                "1.0-rc10",
                "1=1.0=1.0.0=v1.0.0=Version 1.0=01=1.0.0+build.9=1.0.0-0",
                "1.0-p1",
                "1.0-p330",
                "1.0.1",
                "1.0.2",
                "1.0.2a",
                "1.0.2k",
                "1.0.3",
                "1.2",
                "1.10",
                "8",
                "8u20",
                "8u121",
                "15.2(4)E5a=15.2-4e5A",
                "2018 SP3 P05",
                "18446744073709551615",
                "99999999999999999999999",
            ],
        );
    }
}

#[test]
fn node_and_ruby_releases() {
    ascending("node", &["18.0.0-nightly20220301", "18.0.0-rc.1", "18.0.0", "18.18.2", "20.0.0"]);
    ascending(
        "ruby-engine",
        &["1.8.5", "1.8.5-p2", "1.8.5.p115", "1.8.6.286", "1.9.3.preview.1", "1.9.3", "3.2.0-rc", "3.2.0"],
    );
}

#[test]
fn a_description_of_several_versions_is_none() {
    for text in [
        "unspecified",
        "-",
        "*",
        "n/a",
        "< 2.6",
        "<=3.18.7",
        "5.9, 6.0",
        "1.26.0 to 1.26.8",
        "5.6 and prior",
        "10.2.x",
        "all versions before 3",
        "V3 or later",
    ] {
        assert!(eco("CVE").key(text).is_err(), "{text}");
    }
    assert_ne!(key("CVE", "IPQ6010"), key("CVE", "QCN6010"), "a product's name is no prefix to drop");
}
