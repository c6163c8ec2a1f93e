//! Turns text into the terms that are indexed, and a query into the groups of terms that are looked up.
//!
//! Folded first (compatibility form, no marks, lower case), then split at everything that is not a letter or digit.
//! Words are stemmed by Snowball (<https://snowballstem.org>) on the folded form, on both sides, so that `inyección`,
//! `INYECCIÓN` and `inyeccion` are one term. Identifiers (`CVE-2021-44228`, `log4j-core`, `10.0.0.1`) are kept whole
//! beside their parts, so that an exact one outweighs what merely shares its pieces.

mod language;
mod stop_words;
mod tokens;

use std::borrow::Cow;

use frostem::{Algorithm, Stemmer};

use self::tokens::{Token, visit_tokens};

pub use self::language::Language;

/// Raised whenever the same text yields other terms than before: indexes of another revision are rebuilt.
pub const ANALYZER_REVISION: u32 = 1;

/// The longest term, in bytes of its folded form; what is longer is indexed by its parts only, or not at all. Room for
/// a SHA-512 in hexadecimal.
pub const MAX_TERM_BYTES: usize = 128;

/// The most groups that a query has; words after them are not looked up.
pub const MAX_QUERY_GROUPS: usize = 256;

/// What one word of a query looks for: any of its forms counts as the word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TermGroup {
    /// One to two terms, ascending, without duplicates.
    pub forms: Vec<String>,
    /// How often the query has the word, at least once.
    pub count: u32,
}

/// Names what an index was built with; another name means that it must be rebuilt.
pub fn fingerprint(language: Language) -> String {
    format!("{ANALYZER_REVISION}-{}-{}", crate::fold::FOLD_REVISION, language.as_str())
}

/// The terms of `text` in order of appearance, repeated as often as they appear; none contains white space. Their
/// number is the length that BM25 uses.
///
/// With [`Language::Auto`] the language is detected once for the whole of `text`.
pub fn analyze_document(text: &str, language: Language) -> Vec<String> {
    let folded = crate::fold::fold(text);
    let stemmer = stemmer(language::resolve(language, text));
    let mut terms = Vec::with_capacity(folded.len() / 6);
    visit_tokens(&folded, |token| terms.push(stem(stemmer, token).into_owned()));
    terms
}

/// The one term that an identifier is looked up by as a whole, such as `cve-2021-44228`; `None` for what is cut into words.
pub fn whole_term(identifier: &str) -> Option<String> {
    let folded = crate::fold::fold(identifier);
    let mut whole = None;
    visit_tokens(&folded, |token| {
        if let Token::Exact(exact) = token
            && exact == folded
        {
            whole = Some(exact.to_owned());
        }
    });
    whole
}

/// The groups of `text`, a query, in order of first appearance; a repeated word is one group that knows how often.
///
/// Stop words are dropped unless nothing else is left. With [`Language::Auto`] each word is looked up by its English and
/// its Spanish stem at once, since a query is too short to tell its language.
pub fn analyze_query(text: &str, language: Language) -> Vec<TermGroup> {
    let folded = crate::fold::fold(text);
    let (mut groups, mut stopped): (Vec<TermGroup>, Vec<TermGroup>) = Default::default();
    visit_tokens(&folded, |token| {
        let is_stop_word = matches!(token, Token::Word(word) if stop_words::contains(language, word));
        let kept = if is_stop_word { &mut stopped } else { &mut groups };
        let forms = forms(token, language);
        if let Some(group) = kept.iter_mut().find(|group| group.forms == forms) {
            group.count += 1;
        } else if kept.len() < MAX_QUERY_GROUPS {
            kept.push(TermGroup { forms, count: 1 });
        }
    });
    if groups.is_empty() { stopped } else { groups }
}

fn forms(token: Token<'_>, language: Language) -> Vec<String> {
    let languages: &[Language] = match language {
        Language::Auto => &[Language::English, Language::Spanish],
        Language::English => &[Language::English],
        Language::Spanish => &[Language::Spanish],
    };
    let mut forms: Vec<String> =
        languages.iter().map(|&language| stem(stemmer(language), token).into_owned()).collect();
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn stem<'a>(stemmer: Stemmer, token: Token<'a>) -> Cow<'a, str> {
    match token {
        Token::Word(word) => match stemmer.stem(word) {
            // A stem must stay a term: no longer than the bound, never empty.
            stem if stem.is_empty() || stem.len() > MAX_TERM_BYTES => Cow::Borrowed(word),
            stem => stem,
        },
        Token::Exact(exact) => Cow::Borrowed(exact),
    }
}

fn stemmer(language: Language) -> Stemmer {
    Stemmer::new(match language {
        Language::Spanish => Algorithm::Spanish,
        Language::English | Language::Auto => Algorithm::English,
    })
}

#[cfg(test)]
mod tests;
