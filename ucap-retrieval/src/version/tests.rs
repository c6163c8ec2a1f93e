//! What all orders must hold, and what only the module as a whole can be asked: facts, ranges, names.

use std::cmp::Ordering;
use std::path::PathBuf;

use proptest::prelude::*;

use super::encode::push_number;
use super::*;

pub(super) fn eco(name: &str) -> Ecosystem {
    Ecosystem::parse(name).unwrap()
}

pub(super) fn key(ecosystem: &str, version: &str) -> VersionKey {
    eco(ecosystem).key(version).unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that the versions are in strictly ascending order; `a=b` in one entry are equal ones.
pub(super) fn ascending(ecosystem: &str, versions: &[&str]) {
    let keys: Vec<(&str, VersionKey)> = versions
        .iter()
        .map(|entry| {
            let mut equal = entry.split('=');
            let first = equal.next().unwrap();
            for other in equal {
                assert_eq!(key(ecosystem, first), key(ecosystem, other), "{ecosystem}: {first} = {other}");
            }
            (first, key(ecosystem, first))
        })
        .collect();
    for (i, (a, low)) in keys.iter().enumerate() {
        for (b, high) in &keys[i + 1..] {
            assert!(low < high, "{ecosystem}: {a} < {b}");
        }
    }
}

/// The rows of a committed table: `a`, the library's answer (`<`, `=`, `>`, or `!`: it rejects a), `b`.
fn facts(table: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_else(|| panic!("three columns: {line}"));
        (column(), column(), column())
    })
}

fn op(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Less => "<",
        Ordering::Equal => "=",
        Ordering::Greater => ">",
    }
}

/// Holds one ecosystem to a table of its reference library.
fn holds(ecosystem: &str, table: &str, least: usize) {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for (a, expected, b) in facts(table) {
        checked += 1;
        let got = match (eco(ecosystem).key(a), expected) {
            (Err(_), "!") => continue,
            (Ok(_), "!") => "accepted".to_owned(),
            (a, _) => match (a, eco(ecosystem).key(b)) {
                (Ok(a), Ok(b)) => op(a.cmp(&b)).to_owned(),
                (a, b) => format!("{:?} {:?}", a.err(), b.err()),
            },
        };
        if got != expected {
            wrong.push(format!("{a} {expected} {b}: {got}"));
        }
    }
    assert!(wrong.is_empty(), "{ecosystem}: {} of {checked} facts differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= least, "{ecosystem}: only {checked} facts");
}

#[test]
fn pypi_orders_like_packaging() {
    holds("PyPI", include_str!("testdata/pypi.tsv"), 2500);
}

#[test]
fn the_semver_family_orders_like_npm_semver() {
    for ecosystem in ["npm", "crates.io", "Go", "Bitnami"] {
        holds(ecosystem, include_str!("testdata/npm.tsv"), 2000);
    }
}

#[test]
fn maven_orders_like_comparable_version() {
    let maven = eco("Maven");
    let (mut exact, mut odd, mut odd_wrong) = (0, 0, 0);
    for (a, expected, b) in facts(include_str!("testdata/maven.tsv")) {
        let got = op(maven.key(a).unwrap().cmp(&maven.key(b).unwrap()));
        if maven.is_exact(a) && maven.is_exact(b) {
            exact += 1;
            assert_eq!(got, expected, "{a} {expected} {b}");
        } else {
            odd += 1;
            odd_wrong += usize::from(got != expected);
        }
    }
    assert!(exact >= 2000, "only {exact} facts of the documented grammar");
    assert!(odd_wrong * 50 <= odd, "{odd_wrong} of {odd} odd pairs differ, more than 2 %");
}

/// The acceptance facts, where they lie beside the checkout.
#[test]
fn acceptance_facts_hold() {
    let relative = "shared/acceptance/slice/versions.jsonl";
    let found =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join(relative)).find(|path| path.exists());
    let Some(path) = found else {
        eprintln!("skipped: {relative} is not there");
        return;
    };
    let mut wrong = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let fact: serde_json::Value = serde_json::from_str(line).unwrap();
        let ecosystem = eco(fact["ecosystem"].as_str().unwrap());
        let version = ecosystem.key(fact["version"].as_str().unwrap()).unwrap();
        let intervals = match fact["versions"].as_array() {
            Some(listed) => listed.iter().map(|v| exact(ecosystem.key(v.as_str().unwrap()).unwrap())).collect(),
            None => intervals(ecosystem, &events(&fact["events"])).unwrap(),
        };
        if intervals.iter().any(|interval| interval.contains(&version)) != fact["affected"].as_bool().unwrap() {
            wrong.push(line.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{} facts differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn events(json: &serde_json::Value) -> Vec<Event<'_>> {
    json.as_array()
        .unwrap()
        .iter()
        .flat_map(|event| event.as_object().unwrap())
        .map(|(kind, version)| match (kind.as_str(), version.as_str().unwrap()) {
            ("introduced", version) => Event::Introduced(version),
            ("fixed", version) => Event::Fixed(version),
            ("last_affected", version) => Event::LastAffected(version),
            ("limit", version) => Event::Limit(version),
            (kind, _) => panic!("event {kind}"),
        })
        .collect()
}

#[test]
fn ecosystem_names() {
    for name in [
        "PyPI",
        "Debian:12",
        "Maven:https://maven.google.com",
        "Ubuntu:Pro:18.04:LTS",
        "CISA-KEV",
        "Red Hat:rhel_aus:8.4::appstream",
    ] {
        let ecosystem = eco(name);
        assert_eq!(ecosystem.name(), name.split(':').next().unwrap());
        assert_eq!(ecosystem, eco(ecosystem.name()));
    }
    for name in ["", "GIT", "Debian:", "pip", "pypi", "PyPI ", ":12"] {
        assert!(matches!(Ecosystem::parse(name), Err(VersionError::UnknownEcosystem { .. })), "{name:?}");
    }
    let names: Vec<_> = Ecosystem::all().map(|ecosystem| ecosystem.name()).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "sorted and distinct");
    let ordered: Vec<_> = Ecosystem::all().filter(Ecosystem::is_ordered).map(|ecosystem| ecosystem.name()).collect();
    assert_eq!(
        ordered,
        ["Bitnami", "CISA-KEV", "CVE", "Go", "Maven", "PyPI", "crates.io", "node", "npm", "ruby-engine"]
    );
}

#[test]
fn errors_name_the_thing_and_say_what_to_do() {
    let message = |ecosystem: &str, version: &str| {
        Ecosystem::parse(ecosystem).and_then(|ecosystem| ecosystem.key(version)).unwrap_err().to_string()
    };
    assert_eq!(message("pypi", "1"), "unknown ecosystem `pypi`: write `PyPI`");
    assert!(message("cargo", "1").starts_with("unknown ecosystem `cargo`: use a name of the OSV schema's list"));
    assert_eq!(
        message("Debian:12", "1"),
        "versions of ecosystem `Debian` have no order here: filter by package, without a version"
    );
    assert!(
        message("npm", "latest")
            .starts_with("`latest` is not a version of ecosystem `npm`: write it as numbers with dots")
    );
    for ecosystem in Ecosystem::all().filter(Ecosystem::is_ordered) {
        for nothing in ["", " ", "\t\n"] {
            assert!(matches!(ecosystem.key(nothing), Err(VersionError::Unparsable { .. })), "{ecosystem} {nothing:?}");
        }
    }
}

#[test]
fn package_names_have_a_normal_form() {
    for (ecosystem, name, normal) in [
        ("PyPI", "Pkg_.-A", "pkg-a"),
        ("PyPI", "plain-name", "plain-name"),
        ("PyPI", "zope.interface", "zope-interface"),
        ("PyPI", "a--b", "a-b"),
        ("Packagist", "Symfony/HttpKernel", "symfony/httpkernel"),
        ("NuGet", "Newtonsoft.Json", "newtonsoft.json"),
        ("npm", "JSONStream", "JSONStream"),
        ("Maven", "com.example:Pkg_1", "com.example:Pkg_1"),
        ("Go", "github.com/Masterminds/goutils", "github.com/Masterminds/goutils"),
        ("crates.io", "tokio_util", "tokio_util"),
    ] {
        assert_eq!(eco(ecosystem).normalize_package(name), normal);
        assert_eq!(eco(ecosystem).normalize_package(normal), normal);
    }
}

/// Which of the versions are inside the range, in npm.
fn affected<'a>(events: &[Event<'_>], versions: &[&'a str]) -> Vec<&'a str> {
    let intervals = intervals(eco("npm"), events).unwrap();
    versions.iter().copied().filter(|version| intervals.iter().any(|i| i.contains(&key("npm", version)))).collect()
}

#[test]
fn ranges_are_half_open_and_ends_may_be_inclusive() {
    use Event::*;
    let versions =
        ["0.0.0-0", "0.9.0", "1.0.0-rc.1", "1.0.0", "1.5.0", "2.0.0-rc.1", "2.0.0", "2.0.0+build", "2.0.1-0", "3.0.0"];
    assert_eq!(affected(&[Introduced("0")], &versions), versions);
    assert_eq!(affected(&[Introduced("1.0.0"), Fixed("2.0.0")], &versions), ["1.0.0", "1.5.0", "2.0.0-rc.1"]);
    assert_eq!(
        affected(&[Introduced("1.5"), LastAffected("2.0.0")], &versions),
        ["1.5.0", "2.0.0-rc.1", "2.0.0", "2.0.0+build"]
    );
    assert_eq!(
        affected(&[Introduced("0"), Fixed("1.0.0-rc.1"), Introduced("2.0.1-0")], &versions),
        ["0.0.0-0", "0.9.0", "2.0.1-0", "3.0.0"]
    );
    assert_eq!(affected(&[Fixed("2.0.0")], &versions), [""; 0], "nothing introduces it");
    assert_eq!(affected(&[], &versions), [""; 0]);
}

#[test]
fn alternating_events_are_read_as_listed_and_others_sorted() {
    use Event::*;
    let versions = ["1.0.0", "1.5.0", "2.0.0", "2.5.0", "3.0.0"];
    // As listed: the second interval begins where the first one ends.
    assert_eq!(
        affected(&[Introduced("1.0.0"), Fixed("2.0.0"), Introduced("2.0.0"), Fixed("3.0.0")], &versions),
        ["1.0.0", "1.5.0", "2.0.0", "2.5.0"]
    );
    // As listed, in any order of the intervals.
    assert_eq!(
        affected(&[Introduced("2.0.0"), Fixed("3.0.0"), Introduced("1.0.0"), Fixed("1.5.0")], &versions),
        ["1.0.0", "2.0.0", "2.5.0"]
    );
    // Sorted: the introduction comes before the fix of the same version, which then closes.
    assert_eq!(
        affected(&[Introduced("1.0.0"), Introduced("2.0.0"), Fixed("2.0.0"), Fixed("3.0.0")], &versions),
        ["1.0.0", "1.5.0"]
    );
    assert_eq!(affected(&[Fixed("2.0.0"), Introduced("1.0.0")], &versions), ["1.0.0", "1.5.0"]);
    // `last_affected` beside `fixed`: the earlier one closes.
    assert_eq!(affected(&[Introduced("1.0.0"), LastAffected("1.5.0"), Fixed("3.0.0")], &versions), ["1.0.0", "1.5.0"]);
    assert_eq!(affected(&[Introduced("1.0.0"), Fixed("1.5.0"), LastAffected("3.0.0")], &versions), ["1.0.0"]);
    // An interval that contains nothing.
    assert_eq!(intervals(eco("npm"), &[Introduced("1.0.0"), Fixed("1.0.0")]).unwrap(), []);
    assert_eq!(intervals(eco("npm"), &[Introduced("2.0.0"), Fixed("1.0.0")]).unwrap(), []);
}

#[test]
fn a_limit_cuts_off() {
    use Event::*;
    let versions = ["1.0.0", "1.5.0", "2.0.0", "2.5.0", "3.0.0"];
    assert_eq!(affected(&[Introduced("0"), Limit("2.0.0")], &versions), ["1.0.0", "1.5.0"]);
    assert_eq!(affected(&[Introduced("0"), Limit("2.0.0"), Limit("2.5.0")], &versions), ["1.0.0", "1.5.0", "2.0.0"]);
    assert_eq!(affected(&[Introduced("0"), Limit("2.0.0"), Limit("*")], &versions), versions);
    assert_eq!(affected(&[Introduced("0"), Limit("*"), Limit("2.0.0")], &versions), versions);
    assert_eq!(affected(&[Introduced("2.5.0"), Limit("2.0.0")], &versions), [""; 0]);
}

#[test]
fn an_event_that_cannot_be_read_drops_its_range() {
    use Event::*;
    let range = intervals(eco("npm"), &[Introduced("0"), Fixed("soon")]);
    assert!(matches!(range, Err(VersionError::Unparsable { ecosystem: "npm", version, .. }) if version == "soon"));
    assert!(matches!(
        intervals(eco("Debian"), &[Introduced("1")]),
        Err(VersionError::Unsupported { ecosystem: "Debian" })
    ));
}

/// The 271 pairs on which three readings of the ranges differ, where they lie beside the checkout.
#[test]
fn ambiguous_ranges_are_read_as_the_design_says() {
    let relative = "shared/data/structured/ambiguous_ranges.json";
    let found =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join(relative)).find(|path| path.exists());
    let Some(path) = found else {
        eprintln!("skipped: {relative} is not there");
        return;
    };
    let cases: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let ecosystem = match case["database"].as_str().unwrap() {
            "rustsec" => eco("crates.io"),
            "pypa" => eco("PyPI"),
            "golang" => eco("Go"),
            "bitnami" => eco("Bitnami"),
            _ => eco("npm"),
        };
        let version = ecosystem.key(case["version"].as_str().unwrap()).unwrap();
        let (mut got, mut listed) = (false, true);
        for range in case["ranges"].as_array().unwrap() {
            let events = events(&range["events"]);
            listed &= events.iter().enumerate().all(|(i, event)| matches!(event, Event::Introduced(_)) == (i % 2 == 0));
            got |= intervals(ecosystem, &events).unwrap().iter().any(|interval| interval.contains(&version));
        }
        let reading = if listed { "listed_intervals" } else { "introduced_before_fix" };
        assert_eq!(got, case[reading].as_bool().unwrap(), "{reading}: {case}");
    }
}

#[test]
fn an_exact_interval_holds_one_key() {
    let interval = exact(key("PyPI", "1.0"));
    assert!(interval.contains(&key("PyPI", "1.0.0")));
    for other in ["1.0.dev0", "1.0a1", "1.0.post0", "1.0+local", "1.0.0.0.1"] {
        assert!(!interval.contains(&key("PyPI", other)), "{other}");
    }
}

/// Something like a version of any of the grammars, and often of none.
fn versionish() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "(0|1|2|10|00|18446744073709551615|18446744073709551616|99999999999999999999999)",
        2 => "[.]", 2 => "-", 1 => "[+_! \u{0}é]",
        3 => "(a|b|m|x|rc|cr|sp|alpha|beta|dev|post|final|ga|snapshot|v|RC|to)",
    ];
    proptest::collection::vec(part, 1..10).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Numbers of any size compare as numbers, and a shorter encoding is no prefix of another one.
    #[test]
    fn numbers_keep_their_order(a in "[0-9]{1,30}", b in "[0-9]{1,30}", zeros in 0usize..4) {
        let encode = |digits: &str| { let mut out = Vec::new(); push_number(&mut out, digits); out };
        let value = |digits: &str| digits.parse::<u128>().unwrap();
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), value(&a).cmp(&value(&b)));
        prop_assert_eq!(encode(&a), encode(&format!("{}{a}", "0".repeat(zeros))));
    }

    /// Nothing panics, and no key is a proper prefix of another: the successor of a key lies before every greater key.
    #[test]
    fn keys_are_self_delimiting(a in versionish(), b in versionish(), extends in any::<bool>()) {
        let b = if extends { format!("{a}{b}") } else { b };
        for ecosystem in Ecosystem::all().filter(Ecosystem::is_ordered) {
            if let (Ok(a), Ok(b)) = (ecosystem.key(&a), ecosystem.key(&b)) {
                prop_assert_eq!(a == b, a.as_bytes().starts_with(b.as_bytes()) || b.as_bytes().starts_with(a.as_bytes()));
                prop_assert_eq!(exact(a.clone()).contains(&b), a == b);
            }
        }
    }

    /// Case and blanks around do not matter, except where SemVer says so.
    #[test]
    fn case_and_blanks_do_not_matter(a in versionish()) {
        for name in ["PyPI", "Maven", "CVE"] {
            let Ok(key) = eco(name).key(&a) else { continue };
            prop_assert_eq!(&key, &eco(name).key(&a.to_uppercase()).unwrap());
            prop_assert_eq!(&key, &eco(name).key(&format!(" {a}\n")).unwrap());
        }
        if let Ok(key) = eco("npm").key(&a) {
            prop_assert_eq!(&key, &eco("npm").key(&format!(" {a}\n")).unwrap());
        }
    }
}
