//! Tests of `semver`.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::super::tests::{ascending, eco, key};

/// The example of SemVer 2.0.0, clause 11, and what surrounds it.
#[test]
fn the_specification_s_own_example() {
    ascending(
        "npm",
        &[
            "0=0.0=0.0.0",
            "1.0.0-0=1-0",
            "1.0.0-1",
            "1.0.0-99999999999999999999999",
            "1.0.0--",
            "1.0.0-A",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-alpha-x",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1=1.0.0-rc.01=v1.0.0-rc.1+build.9",
            "1.0.0=1=1.0=v1.0.0=V1=01.0.0=1.0.0.0=1.0.0+build-1.x",
            "1.0.0.1-rc.1",
            "1.0.0.1",
            "1.0.1",
            "1.2",
            "1.10",
            "18446744073709551615.0.0",
            "18446744073709551616.0.0",
            "99999999999999999999999.0.0",
            "100000000000000000000000.0.0",
        ],
    );
}

#[test]
fn go_has_pseudo_versions_and_toolchains() {
    ascending(
        "Go",
        &[
            "0.0.0-0",
            "v0.0.0-20210305023314-538ac3df036e",
            "v0.0.0-20220623162515-580d9db85e04",
            "1.2.3-0.20210101000000-abcdef012345",
            "1.2.3-rc.1",
            "1.2.3=v1.2.3+incompatible",
            "1.21.0-0",
            "go1.21beta1=1.21.0-beta.1",
            "go1.21rc2=1.21.0-rc.2",
            "go1.21rc10",
            "go1.21.0=1.21.0=go1.21=go1.21-custom=go1.21 X:boringcrypto",
            "go1.21.1",
        ],
    );
    assert!(eco("npm").key("go1.21").is_err());
    for text in ["go", "gopher", "go1.21rc", "go1.21beta1x", "go1.21gamma1"] {
        assert!(eco("Go").key(text).is_err(), "{text}");
    }
}

#[test]
fn other_texts_are_no_versions() {
    for text in [
        "latest",
        "1.x",
        "1.2.*",
        "1..2",
        ".1",
        "1.",
        "-1",
        "1.0.0-",
        "1.0.0-a..b",
        "1.0.0-é",
        "1.0.0+",
        "1.0.0+a_b",
        "1.9.0b1",
        "vv1",
        "^1",
        ">=1",
        "1 2",
        "١",
    ] {
        assert!(eco("crates.io").key(text).is_err(), "{text}");
    }
}

#[derive(Debug, Clone)]
struct Parsed {
    core: Vec<u64>,
    pre: Vec<Result<u64, String>>,
}

/// The specification's clause 11, word by word.
fn precedence(a: &Parsed, b: &Parsed) -> Ordering {
    a.core.cmp(&b.core).then_with(|| match (a.pre.is_empty(), b.pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let each = a.pre.iter().zip(&b.pre).map(|pair| match pair {
                (Ok(a), Ok(b)) => a.cmp(b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(a), Err(b)) => a.as_bytes().cmp(b.as_bytes()),
            });
            each.fold(Ordering::Equal, Ordering::then).then(a.pre.len().cmp(&b.pre.len()))
        }
    })
}

fn write(parsed: &Parsed) -> String {
    let core: Vec<String> = parsed.core.iter().map(u64::to_string).collect();
    let pre: Vec<String> =
        parsed.pre.iter().map(|id| id.clone().map_or_else(|text| text, |number| number.to_string())).collect();
    format!("{}{}{}", core.join("."), if pre.is_empty() { "" } else { "-" }, pre.join("."))
}

fn parsed() -> impl Strategy<Value = Parsed> {
    let number = prop_oneof![4 => 0u64..3, 1 => 254u64..258, 1 => any::<u64>()];
    let id = prop_oneof![number.clone().prop_map(Ok), "(-|a|ab|a-|A|rc|0a|x1|9-)".prop_map(Err)];
    (proptest::collection::vec(number, 3), proptest::collection::vec(id, 0..4))
        .prop_map(|(core, pre)| Parsed { core, pre })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn keys_compare_by_precedence(a in parsed(), b in parsed(), same_core in any::<bool>()) {
        let b = if same_core { Parsed { core: a.core.clone(), ..b } } else { b };
        let (x, y) = (write(&a), write(&b));
        prop_assert_eq!(key("npm", &x).cmp(&key("npm", &y)), precedence(&a, &b), "{} {}", x, y);
    }
}
