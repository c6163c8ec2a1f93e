//! Which language a text is stemmed in, and the detection for those who do not say.

use whatlang::{Detector, Lang};

use super::stop_words;

/// How much of a text is looked at to detect its language.
const DETECTION_BYTES: usize = 2_048;

/// The language of a datasource's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English stems.
    English,
    /// Spanish stems.
    Spanish,
    /// Detected once for each document.
    #[default]
    Auto,
}

impl Language {
    /// The name in the API: `en`, `es` or `auto`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
            Self::Auto => "auto",
        }
    }
}

/// English or Spanish: `language` itself, or what `text` looks like.
///
/// Function words and letters that only one of the two has decide; they tell short texts apart, where trigrams do not.
/// Only a tie asks the trigrams, and English stays the answer unless they are sure. Depends on nothing but `text`.
pub(super) fn resolve(language: Language, text: &str) -> Language {
    if language != Language::Auto {
        return language;
    }
    let text = &text[..text.floor_char_boundary(DETECTION_BYTES)];
    let (mut english, mut spanish) = (0u32, 0u32);
    for word in crate::fold::fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let (is_english, is_spanish) =
            (stop_words::contains(Language::English, word), stop_words::contains(Language::Spanish, word));
        english += u32::from(is_english && !is_spanish);
        spanish += u32::from(is_spanish && !is_english);
    }
    spanish += text.chars().filter(|c| matches!(c, 'ñ' | 'Ñ' | '¿' | '¡' | 'á' | 'í' | 'ó' | 'ú')).count() as u32;
    match spanish.cmp(&english) {
        std::cmp::Ordering::Greater => Language::Spanish,
        std::cmp::Ordering::Less => Language::English,
        std::cmp::Ordering::Equal => by_trigrams(text),
    }
}

fn by_trigrams(text: &str) -> Language {
    let detected = Detector::with_allowlist(vec![Lang::Eng, Lang::Spa]).detect(text);
    match detected {
        Some(info) if info.lang() == Lang::Spa && info.is_reliable() => Language::Spanish,
        _ => Language::English,
    }
}
