//! Words too common to look for: English and Spanish function words, in folded form.
//!
//! Kept short on purpose. A word that is also a term of the field (`can` the bus, `dos` the attack) is not in it, and
//! documents keep all their words: only queries drop them.

use super::Language;

/// Ascending by bytes.
const ENGLISH: &[&str] = &[
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "if", "in", "into", "is", "it", "its", "may", "might", "of", "on",
    "or", "our", "should", "so", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this", "those", "to", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with",
    "would", "you", "your",
];

/// Ascending by bytes.
const SPANISH: &[&str] = &[
    "a", "al", "como", "con", "cual", "cuales", "cuando", "de", "del", "desde", "donde", "e", "el", "ella", "ellas",
    "ellos", "en", "entre", "es", "esa", "esas", "ese", "eso", "esos", "esta", "estan", "estas", "este", "esto",
    "estos", "fue", "fueron", "ha", "han", "hay", "la", "las", "le", "les", "lo", "los", "mas", "mediante", "muy",
    "no", "nos", "o", "para", "pero", "por", "porque", "que", "quien", "se", "segun", "ser", "si", "sin", "sobre",
    "son", "su", "sus", "tambien", "tiene", "tienen", "todas", "todos", "u", "un", "una", "unas", "unos", "y", "ya",
];

/// Whether `word` (folded) is a stop word of `language`; of either one with [`Language::Auto`].
pub(super) fn contains(language: Language, word: &str) -> bool {
    let is_in = |list: &[&str]| list.binary_search(&word).is_ok();
    match language {
        Language::English => is_in(ENGLISH),
        Language::Spanish => is_in(SPANISH),
        Language::Auto => is_in(ENGLISH) || is_in(SPANISH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(ENGLISH.is_sorted() && SPANISH.is_sorted());
    }
}
