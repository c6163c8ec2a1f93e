//! Words that have no place in the project's texts.

use super::{Findings, Rules};

pub(super) fn check(path: &str, text: &str, rules: &Rules, findings: &mut Findings) {
    // The list of the words has to hold them.
    if path == "xtask/tidy.toml" || path == "xtask/src/tidy/tests.rs" {
        return;
    }
    for rule in rules.words.iter().filter(|rule| rule.endings.iter().any(|ending| path.ends_with(ending))) {
        for (number, line) in text.lines().enumerate() {
            let folded = line.to_lowercase();
            for word in rule.texts.iter().filter(|word| contains_word(&folded, word)) {
                findings.error(path, Some(number + 1), format!("\"{word}\": {}", rule.reason));
            }
        }
    }
}

/// Whether `word` begins at the beginning of a word of `line` (its plural counts too).
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric()))
}
