//! PyPI: [PEP 440](https://peps.python.org/pep-0440/), compared like `packaging.version.Version`.
//!
//! Reads all that the PEP's appendix B accepts: epochs, any number of release parts, the spellings of pre-, post- and
//! development releases, local versions, a leading `v`, any case, blanks around. A boundary of a range compares like
//! any version, local part included.
//!
//! Key, in the order of comparison: `number` (epoch); each release part `02 number` without trailing zeros, then `01`;
//! pre-release `00` (a development release of the final one), `01`, `02`, `03` with `number` (a, b, rc) or `04` (none);
//! post-release `00` (none) or `01 number`; development `00 number` or `01` (none); local `00` (none) or `01`, then
//! segments (`02 string` below `03 number`) and `01`.

use super::encode::{is_digits, is_zero, push_number, push_str, split_digits};

pub(super) const EXPECTED: &str = "PEP 440 says (`1.2.3`, `2.0rc1`, `1.0.post2`)";

/// The key of a version, `None` if PEP 440 cannot read it.
pub(super) fn key(version: &str) -> Option<Vec<u8>> {
    let text = version.trim().to_ascii_lowercase();
    let text = text.strip_prefix('v').unwrap_or(&text);
    let (public, local) = match text.split_once('+') {
        Some((public, local)) => (public, Some(local)),
        None => (text, None),
    };
    let (epoch, public) = match public.split_once('!') {
        Some((epoch, public)) if is_digits(epoch) => (epoch, public),
        Some(_) => return None,
        None => ("0", public),
    };
    let mut rest = public;
    let mut release = Vec::new();
    loop {
        let (digits, after) = split_digits(rest);
        if digits.is_empty() {
            return None;
        }
        release.push(digits);
        rest = after;
        match rest.strip_prefix('.') {
            Some(after) if after.starts_with(|c: char| c.is_ascii_digit()) => rest = after,
            _ => break,
        }
    }
    let pre = phase(&mut rest, PRE);
    let post = implicit_post(&mut rest).or_else(|| phase(&mut rest, POST).map(|(_, number)| number));
    let dev = phase(&mut rest, DEV).map(|(_, number)| number);
    if !rest.is_empty() {
        return None;
    }

    let mut key = Vec::with_capacity(text.len() + 16);
    push_number(&mut key, epoch);
    while release.last().is_some_and(|part| is_zero(part)) {
        release.pop();
    }
    for part in release {
        key.push(2);
        push_number(&mut key, part);
    }
    key.push(1);
    match (pre, post, dev) {
        (Some((letter, number)), _, _) => {
            key.push(letter);
            push_number(&mut key, number);
        }
        (None, None, Some(_)) => key.push(0),
        (None, _, _) => key.push(4),
    }
    match post {
        Some(number) => {
            key.push(1);
            push_number(&mut key, number);
        }
        None => key.push(0),
    }
    match dev {
        Some(number) => {
            key.push(0);
            push_number(&mut key, number);
        }
        None => key.push(1),
    }
    match local {
        Some(local) => push_local(&mut key, local)?,
        None => key.push(0),
    }
    Some(key)
}

/// Spellings and their rank; a spelling that begins with another comes first.
type Phase = &'static [(&'static str, u8)];
const PRE: Phase = &[("alpha", 1), ("a", 1), ("beta", 2), ("b", 2), ("preview", 3), ("pre", 3), ("c", 3), ("rc", 3)];
const POST: Phase = &[("post", 0), ("rev", 0), ("r", 0)];
const DEV: Phase = &[("dev", 0)];

/// Reads `[-_.]? word [-_.]? number?` from the front of `rest`, or nothing; a missing number is 0.
fn phase<'a>(rest: &mut &'a str, spellings: Phase) -> Option<(u8, &'a str)> {
    let text = separator(rest);
    let (after, rank) = spellings.iter().find_map(|&(word, rank)| Some((text.strip_prefix(word)?, rank)))?;
    let (number, after) = split_digits(separator(after));
    *rest = after;
    Some((rank, if number.is_empty() { "0" } else { number }))
}

/// Reads `-number` from the front of `rest`, the other way to write a post-release.
fn implicit_post<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (number, after) = split_digits(rest.strip_prefix('-')?);
    if number.is_empty() {
        return None;
    }
    *rest = after;
    Some(number)
}

fn separator(text: &str) -> &str {
    text.strip_prefix(['-', '_', '.']).unwrap_or(text)
}

fn push_local(key: &mut Vec<u8>, local: &str) -> Option<()> {
    key.push(1);
    for segment in local.split(['-', '_', '.']) {
        if is_digits(segment) {
            key.push(3);
            push_number(key, segment);
        } else if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            key.push(2);
            push_str(key, segment);
        } else {
            return None;
        }
    }
    key.push(1);
    Some(())
}

#[cfg(test)]
#[path = "pep440_tests.rs"]
mod tests;
