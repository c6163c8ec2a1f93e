//! Splits folded text into words, numbers and identifiers.

use super::MAX_TERM_BYTES;

/// A piece of folded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters only: it is stemmed.
    Word(&'a str),
    /// Holds a digit or is an identifier: it is indexed as it is.
    Exact(&'a str),
}

/// The most pieces of a compound that is kept whole; a longer one is a sentence without spaces, or a dump.
const MAX_PARTS: usize = 16;

/// Calls `visit` with each token of `folded`: the parts of a compound, then the compound itself.
///
/// A compound is a run of letters and digits joined by single `- . _ / : @ +`. Where it has the outer joiners `/ : @`,
/// the compounds between them are tokens too: `org.apache.logging.log4j:log4j-core@2.14.1` is also found by
/// `log4j-core` and by `2.14.1`.
pub(super) fn visit_tokens<'a>(folded: &'a str, mut visit: impl FnMut(Token<'a>)) {
    let mut rest = folded;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        rest = &rest[start..];
        let length = compound_len(rest);
        visit_compound(&rest[..length], &mut visit);
        rest = &rest[length..];
    }
}

fn visit_compound<'a>(compound: &'a str, visit: &mut impl FnMut(Token<'a>)) {
    let mut parts = 0;
    for part in compound.split(is_joiner) {
        parts += 1;
        if part.len() <= MAX_TERM_BYTES {
            visit(if part.chars().any(char::is_numeric) { Token::Exact(part) } else { Token::Word(part) });
        }
    }
    if !(2..=MAX_PARTS).contains(&parts) {
        return;
    }
    let is_outer = |c| matches!(c, '/' | ':' | '@');
    if compound.contains(is_outer) {
        for inner in compound.split(is_outer).filter(|inner| inner.contains(is_joiner)) {
            visit_whole(inner, visit);
        }
    }
    visit_whole(compound, visit);
}

fn visit_whole<'a>(whole: &'a str, visit: &mut impl FnMut(Token<'a>)) {
    if whole.len() <= MAX_TERM_BYTES {
        visit(Token::Exact(whole));
    }
}

/// The length of the compound that `text` begins with: it ends before a joiner that no letter or digit follows.
fn compound_len(text: &str) -> usize {
    let mut end = 0;
    let mut after_joiner = false;
    for (index, c) in text.char_indices() {
        if c.is_alphanumeric() {
            end = index + c.len_utf8();
            after_joiner = false;
        } else if is_joiner(c) && !after_joiner {
            after_joiner = true;
        } else {
            break;
        }
    }
    end
}

fn is_joiner(c: char) -> bool {
    matches!(c, '-' | '.' | '_' | '/' | ':' | '@' | '+')
}
