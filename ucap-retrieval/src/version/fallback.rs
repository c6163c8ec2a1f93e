//! The fallback order, for databases whose versions follow no one rule: CVE, CISA-KEV, node, ruby-engine.
//!
//! A natural order, close to SemVer on SemVer's own shapes and lenient beyond:
//!
//! - A version is a list of numbers and words; all else (dots, hyphens, blanks, brackets) only separates, as does the
//!   change between letters and digits. Case does not matter. A leading `v`, `ver`, `version`, `release` or `firmware`
//!   is dropped, and so is what follows a `+`.
//! - Zeros at the end and before a word are dropped: `1 = 1.0`, `1-rc = 1.0.0-rc`.
//! - At each place: a pre-release word (`alpha`, `beta`, `rc` … see [`PRE_RELEASE`]) < the end < any other word < a
//!   number. So `1.0-rc1 < 1.0 < 1.0-p1 < 1.0.1`, and `1.0.2 < 1.0.2k < 1.0.3`. Words compare by their bytes, numbers
//!   as numbers.
//! - Not a version: a text without a digit (`unspecified`), and one that describes several versions (`< 2.6`,
//!   `1.0 to 1.8`, `10.2.x`).
//!
//! Where it differs from SemVer: a number after a hyphen is a further part (`1.2.3 < 1.2.3-4`), a word that is no
//! pre-release word comes after the release, and within a pre-release words come before numbers.
//!
//! Key: `01 string` a pre-release word, `02` the end, `03 string` another word, `04 number`.

use super::encode::{is_zero, push_number, push_str};

pub(super) const EXPECTED: &str = "one version, with a number in it (`1.2.3`, `8u121`, `15.2(4)E5a`)";

/// Words that put a version before the one without them.
const PRE_RELEASE: &[&str] = &[
    "alpha",
    "beta",
    "canary",
    "dev",
    "ea",
    "insider",
    "insiders",
    "milestone",
    "next",
    "nightly",
    "pre",
    "preview",
    "rc",
    "snapshot",
];

/// Words that describe several versions, or none.
const PHRASE: &[&str] = &[
    "all", "and", "any", "before", "below", "earlier", "from", "higher", "later", "lower", "newer", "older", "or",
    "prior", "since", "than", "through", "thru", "to", "until", "up", "upto", "versions", "x",
];

const PREFIX: &[&str] = &["firmware", "release", "v", "ver", "version"];

/// The key of a version, `None` if the text is not one version.
pub(super) fn key(version: &str) -> Option<Vec<u8>> {
    if version.contains(['<', '>', '=', ',', ';', '*', '|']) {
        return None;
    }
    let text = version.trim().to_lowercase();
    let text = text.split_once('+').map_or(text.as_str(), |(before, _)| before);
    let tokens = tokens(text);
    let tokens = &tokens
        [tokens.iter().take_while(|token| matches!(token, Token::Word(word) if PREFIX.contains(word))).count()..];
    let mut numbers = 0;
    let mut key = Vec::with_capacity(text.len() + 4);
    let mut zeros = Vec::new();
    for token in tokens {
        match *token {
            Token::Number(digits) => {
                numbers += 1;
                zeros.push(4);
                push_number(&mut zeros, digits);
                if !is_zero(digits) {
                    key.append(&mut zeros);
                }
            }
            Token::Word(word) if PHRASE.contains(&word) => return None,
            Token::Word(word) => {
                zeros.clear();
                key.push(if PRE_RELEASE.contains(&word) { 1 } else { 3 });
                push_str(&mut key, word);
            }
        }
    }
    key.push(2);
    (numbers > 0).then_some(key)
}

enum Token<'a> {
    Number(&'a str),
    Word(&'a str),
}

/// Runs of ASCII digits and runs of letters (any other alphanumeric character counts as a letter).
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        let mut rest = run;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            tokens.push(if digits { Token::Number(token) } else { Token::Word(token) });
            rest = after;
        }
    }
    tokens
}

#[cfg(test)]
#[path = "fallback_tests.rs"]
mod tests;
