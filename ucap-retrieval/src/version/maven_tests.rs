//! Tests of `maven`.

use super::super::tests::{ascending, eco, key};

/// The POM reference's examples of its version order specification.
#[test]
fn the_pom_reference_s_own_examples() {
    ascending("Maven", &["1", "1.1"]);
    ascending("Maven", &["1-snapshot", "1", "1-sp"]);
    ascending("Maven", &["1-foo2", "1-foo10"]);
    ascending("Maven", &["1.foo=1-foo", "1-1=1-1", "1.1"]);
    ascending("Maven", &["1.ga=1-ga=1-0=1.0=1=1.final=1-release", "1.1"]);
    ascending("Maven", &["1-a1=1-alpha-1", "1"]);
    ascending("Maven", &["1-sp", "1-ga-1", "1-1"]); // the reference says 1-ga-1 = 1-1, the code does not
    ascending("Maven", &["1.0.0-foo.0.0=1-foo"]);
    ascending("Maven", &["1.0.0-0.0.0=1"]);
    ascending("Maven", &["1-1.foo-bar1baz-.1=1-1.foo-bar-1-baz-0.1"]);
    ascending("Maven", &["1-foo..1=1-foo.0.1"]);
}

#[test]
fn what_projects_really_publish() {
    ascending(
        "Maven",
        &[
            "0",
            "r03",
            "r09",
            "2.0-alpha-1=2.0-a1=2.0.0-ALPHA-1",
            "2.0-beta9",
            "2.0-beta10",
            "2.0-M1=2.0-milestone-1=2.0.M1",
            "2.0-rc1=2.0-CR1=2-rc-1",
            "2.0-SNAPSHOT",
            "2.0=2.0.RELEASE=2.0.0.Final=2-ga",
            "2.0-sp1",
            "2.0-android",
            "2.0-jre",
            "2.0-1",
            "2.0.1",
            "2.13.4",
            "2.13.4.1",
            "2.14.1",
            "9.4.35.v20201120",
            "9.4.36.v20210114",
            "20030203.000129-SNAPSHOT",
            "20030203.000129",
            "99999999999999999999999",
        ],
    );
}

/// Where Maven contradicts itself, the end counts: below it, above it.
#[test]
fn a_cycle_is_cut_where_a_version_only_extends_another() {
    ascending("Maven", &["2-final-rc", "2", "2-sp"]); // in Maven also 2-sp < 2-final-rc
    ascending("Maven", &["2-rc", "2-final.1", "2-final-rc", "2"]); // in Maven also 2 < 2-final.1
    ascending("Maven", &["2-rc", "2", "2.RELEASE.1", "2-1"]); // in Maven also 2.RELEASE.1 < 2-rc
    for version in ["2-final-rc", "2-0-rc", "2.sp.1", "2-final.1", "2.RELEASE.1"] {
        assert!(!eco("Maven").is_exact(version), "{version}");
    }
    for version in
        ["1", "2.0-rc1", "2.0-sp1-SNAPSHOT", "5.2.20.RELEASE-1", "1.0-alpha-2.1", "r03", "9.4.35.v20201120", "1-1-1"]
    {
        assert!(eco("Maven").is_exact(version), "{version}");
    }
}

#[test]
fn everything_but_nothing_is_a_version() {
    for text in ["-", ".", "..", "-.-", "é", "1-é1", "\u{0}", "a\u{0}", "final", "1-.final-"] {
        assert!(eco("Maven").key(text).is_ok(), "{text:?}");
    }
    assert_eq!(key("Maven", "final"), key("Maven", "0"));
    ascending("Maven", &["1-a", "1-a\u{0}", "1-a\u{0}-1", "1-a\u{0}a", "1-a\u{1}"]);
    let long = "1-".repeat(50_000);
    assert_eq!(key("Maven", &long), key("Maven", long.trim_end_matches('-')));
}
