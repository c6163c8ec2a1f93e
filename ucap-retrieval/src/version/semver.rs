//! npm, crates.io, Go and Bitnami: [SemVer 2.0.0](https://semver.org/spec/v2.0.0.html), read as advisories write it.
//!
//! Beyond the specification: missing parts are 0 (`1.8` is `1.8.0`), a leading `v` is dropped, more than three parts
//! are compared like the first three (`1.2.3 < 1.2.3.1`), leading zeros do not matter, numbers have any size. Build
//! metadata is ignored, and with it Go's `+incompatible`. Go pseudo versions are ordinary pre-releases. In Go, a
//! toolchain name such as `go1.21rc2` is `1.21.0-rc.2`, as the Go vulnerability database writes it.
//!
//! Key: each part `03 number` without trailing zeros, then `02` for a release, or `01` and the identifiers of the
//! pre-release: numeric `02 number`, other `03 string`, end `01`.

use super::encode::{is_digits, is_zero, push_number, push_str, split_digits};

pub(super) const EXPECTED: &str = "numbers with dots and an optional pre-release (`1.2.3`, `2.0.0-rc.1`)";

/// The key of a version, `None` if it cannot be read as one.
pub(super) fn key(version: &str) -> Option<Vec<u8>> {
    let version = version.trim();
    write(version.strip_prefix(['v', 'V']).unwrap_or(version))
}

/// The same for Go, where a toolchain's own name is a version too.
pub(super) fn go_key(version: &str) -> Option<Vec<u8>> {
    match version.trim().strip_prefix("go") {
        Some(toolchain) => write(&toolchain_version(toolchain)?),
        None => key(version),
    }
}

fn write(version: &str) -> Option<Vec<u8>> {
    let version = match version.split_once('+') {
        Some((version, build)) if identifiers(build).is_some() => version,
        Some(_) => return None,
        None => version,
    };
    let (core, pre) = match version.split_once('-') {
        Some((core, pre)) => (core, Some(identifiers(pre)?)),
        None => (version, None),
    };
    let mut parts: Vec<&str> = core.split('.').collect();
    if !parts.iter().all(|part| is_digits(part)) {
        return None;
    }
    while parts.last().is_some_and(|part| is_zero(part)) {
        parts.pop();
    }
    let mut key = Vec::with_capacity(version.len() + 8);
    for part in parts {
        key.push(3);
        push_number(&mut key, part);
    }
    let Some(pre) = pre else {
        key.push(2);
        return Some(key);
    };
    key.push(1);
    for identifier in pre {
        if is_digits(identifier) {
            key.push(2);
            push_number(&mut key, identifier);
        } else {
            key.push(3);
            push_str(&mut key, identifier);
        }
    }
    key.push(1);
    Some(key)
}

/// Dot-separated identifiers of ASCII letters, digits and hyphens, none of them empty.
fn identifiers(text: &str) -> Option<Vec<&str>> {
    let all: Vec<&str> = text.split('.').collect();
    let valid = |identifier: &&str| {
        !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    all.iter().all(valid).then_some(all)
}

/// `1.21rc2` as `1.21.0-rc.2`; `1.21.0` and `1.21` as they are; a vendor's suffix (`1.22.4-custom`, `1.22.4
/// X:boringcrypto`) is cut off.
fn toolchain_version(name: &str) -> Option<String> {
    let name = name.split(['-', ' ']).next().unwrap_or(name);
    let Some(start) = name.find(|c: char| c.is_ascii_alphabetic()) else {
        return Some(name.to_owned());
    };
    let (core, word) = name.split_at(start);
    let (word, number) = word.split_at(word.find(|c: char| c.is_ascii_digit())?);
    let (digits, rest) = split_digits(number);
    (matches!(word, "beta" | "rc") && rest.is_empty()).then(|| format!("{core}-{word}.{digits}"))
}

#[cfg(test)]
#[path = "semver_tests.rs"]
mod tests;
