//! Maven: the order of `org.apache.maven.artifact.versioning.ComparableVersion` (Maven 3.9), which the POM reference
//! describes under [version order specification](https://maven.apache.org/pom.html#version-order-specification).
//!
//! A version is a list of numbers and qualifiers whose last item may be a nested list (begun by a hyphen, or by a
//! change between letters and digits), and so on. Trailing nulls (0, an empty qualifier, `final`, `ga`, `release`) of
//! each list are dropped. At each place Maven compares kinds first (qualifier < list < number), and the end of a list
//! with a whole remainder by that remainder's first item that is not null (`1-rc < 1 < 1-sp`).
//!
//! These two rules contradict each other on odd versions: `2-final-rc < 2 < 2-final.1`, and yet
//! `2-final.1 < 2-final-rc`. No key can follow a cycle. Ours compares the SIGN of the remainders first (below the end, or above it),
//! then their kinds; an empty qualifier at the head of a nested list (`2-final.1`) counts as below. So it differs from
//! Maven only in pairs that form a cycle in Maven with the version cut off where they differ, and only if one of the
//! two is odd: it has a qualifier between dots (`2.sp.1`), a null before a hyphen in a nested list (`2-final-rc`,
//! `2-0-rc`), or a null qualifier that is not trailing (`2-final.1`). [`is_exact`] tells the others, whose order is
//! Maven's own. Where the POM reference and `ComparableVersion` disagree (`1-ga-1 = 1-1`, says the reference), we do as
//! the code does. Only ASCII digits are digits here; qualifiers compare as UTF-8, in Java as UTF-16.
//!
//! Key: per item one byte for sign and kind (`10` negative qualifier, `11` negative list, `12` zero before a negative
//! remainder, `20` end, `30` positive qualifier, `31` positive list, `32` number), then the qualifier's rank (and name,
//! if unknown) or the number.

use super::encode::{is_zero, push_number, push_str};

pub(super) const EXPECTED: &str = "a version that is not empty (`1.2.3`, `2.0-rc1`)";

/// The key of a version, `None` only for an empty one: Maven reads everything.
pub(super) fn key(version: &str) -> Option<Vec<u8>> {
    let text = version.trim().to_lowercase();
    if text.is_empty() {
        return None;
    }
    let items = parse(&text);
    let mut key = Vec::with_capacity(items.len() * 3 + 1);
    for (item, sign) in items.iter().zip(signs(&items)) {
        let half = match sign {
            Sign::Below => 0x10,
            Sign::Above => 0x30,
        };
        match item {
            Item::Qualifier(qualifier) => {
                key.extend_from_slice(&[half, qualifier.rank()]);
                if let Qualifier::Unknown(name) = qualifier {
                    push_str(&mut key, name);
                }
            }
            Item::List => key.push(half | 1),
            Item::Number(digits) => {
                key.push(half | 2);
                push_number(&mut key, digits);
            }
        }
    }
    key.push(0x20);
    Some(key)
}

/// The sign of what begins at each item: its own, or, if it is null, that of what follows.
fn signs(items: &[Item<'_>]) -> Vec<Sign> {
    let mut sign = Sign::Above;
    let mut signs = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate().rev() {
        let heads_nested = i > 0 && matches!(items[i - 1], Item::List);
        sign = match item.sign() {
            Some(own) => own,
            None if heads_nested && matches!(item, Item::Qualifier(_)) => Sign::Below,
            None => sign,
        };
        signs.push(sign);
    }
    signs.reverse();
    signs
}

/// Whether this version compares with all other such versions exactly as in Maven.
pub(super) fn is_exact(version: &str) -> bool {
    let text = version.trim().to_lowercase();
    let mut first = true; // in its list
    for item in parse(&text) {
        match item {
            Item::Qualifier(qualifier) if !first || qualifier.rank() == RELEASE => return false,
            Item::List if first => return false,
            _ => first = matches!(item, Item::List),
        }
    }
    true
}

/// Nested lists, written flat: a list is always its parent's last item, so `List` means "the rest is one level down".
#[derive(Clone, Copy)]
enum Item<'a> {
    Number(&'a str),
    Qualifier(Qualifier<'a>),
    List,
}

/// On which side of a version the same version with something appended lies.
#[derive(Clone, Copy)]
enum Sign {
    Below,
    Above,
}

impl Item<'_> {
    /// `None` for a null, which leaves the decision to what follows, and for a list, which leaves it to what it
    /// contains.
    fn sign(&self) -> Option<Sign> {
        match self {
            Item::Number(digits) => (!is_zero(digits)).then_some(Sign::Above),
            Item::Qualifier(qualifier) => match qualifier.rank() {
                RELEASE => None,
                rank if rank < RELEASE => Some(Sign::Below),
                _ => Some(Sign::Above),
            },
            Item::List => None,
        }
    }

    fn is_null(&self) -> bool {
        self.sign().is_none() && !matches!(self, Item::List)
    }
}

#[derive(Clone, Copy)]
enum Qualifier<'a> {
    Known(u8),
    Unknown(&'a str),
}

const RELEASE: u8 = 6;

impl<'a> Qualifier<'a> {
    fn new(name: &'a str, before_digit: bool) -> Self {
        Qualifier::Known(match name {
            "a" if before_digit => 1,
            "b" if before_digit => 2,
            "m" if before_digit => 3,
            "alpha" => 1,
            "beta" => 2,
            "milestone" => 3,
            "rc" | "cr" => 4,
            "snapshot" => 5,
            "" | "ga" | "final" | "release" => RELEASE,
            "sp" => 7,
            _ => return Qualifier::Unknown(name),
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Qualifier::Known(rank) => *rank,
            Qualifier::Unknown(_) => 8,
        }
    }
}

/// The normalised items of a version in lower case.
fn parse(text: &str) -> Vec<Item<'_>> {
    let mut lists = Lists { items: Vec::new(), empty: true };
    let mut start = 0; // of the token being read
    let mut in_digits = false;
    let token = |start: usize, end: usize, in_digits: bool| match (&text[start..end], in_digits) {
        ("", _) => Item::Number("0"),
        (digits, true) => Item::Number(digits),
        (name, false) => Item::Qualifier(Qualifier::new(name, false)),
    };
    for (i, c) in text.char_indices() {
        match c {
            '.' => {
                lists.push(token(start, i, in_digits));
                start = i + 1;
            }
            '-' => {
                lists.push(token(start, i, in_digits));
                lists.nest();
                start = i + 1;
            }
            '0'..='9' => {
                if !in_digits && i > start {
                    // `.x1` is `-x1`
                    if !lists.empty {
                        lists.nest();
                    }
                    lists.push(Item::Qualifier(Qualifier::new(&text[start..i], true)));
                    lists.nest();
                    start = i;
                }
                in_digits = true;
            }
            _ => {
                if in_digits && i > start {
                    lists.push(token(start, i, true));
                    lists.nest();
                    start = i;
                }
                in_digits = false;
            }
        }
    }
    if start < text.len() {
        // `.x` is `-x`
        if !in_digits && !lists.empty {
            lists.nest();
        }
        lists.push(token(start, text.len(), in_digits));
    }
    lists.normalized()
}

struct Lists<'a> {
    items: Vec<Item<'a>>,
    /// Whether the innermost list is.
    empty: bool,
}

impl<'a> Lists<'a> {
    fn push(&mut self, item: Item<'a>) {
        self.items.push(item);
        self.empty = false;
    }

    fn nest(&mut self) {
        self.items.push(Item::List);
        self.empty = true;
    }

    /// Drops the trailing nulls of every list, and the lists that become empty by it.
    fn normalized(self) -> Vec<Item<'a>> {
        let mut kept: Vec<Item<'a>> = Vec::with_capacity(self.items.len());
        let mut trailing = true; // nothing but lists stands behind this item in its list
        for item in self.items.into_iter().rev() {
            if matches!(item, Item::List) {
                if !kept.is_empty() {
                    kept.push(item);
                }
                trailing = true;
            } else if !(trailing && item.is_null()) {
                kept.push(item);
                trailing = false;
            }
        }
        kept.reverse();
        kept
    }
}

#[cfg(test)]
#[path = "maven_tests.rs"]
mod tests;
