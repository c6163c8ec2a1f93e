//! Folding: the form in which texts are compared without regard to case and accents.
//!
//! `contains` and lexical analysis both compare folded texts. Folding happens here, in Rust, for the stored text as for the query, so
//! that every SQL engine agrees. Whoever changes what [`fold`] returns raises [`FOLD_REVISION`].

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The revision of [`fold`], for a datasource's manifest: another one means that folded columns and terms are derived anew.
pub const FOLD_REVISION: u32 = 1;

/// Folds case, accents and compatibility forms: `Inyección`, `INYECCION` and `ｉｎｙｅｃｃｉｏｎ` become `inyeccion`, `ñ` becomes `n`.
///
/// [NFKD](https://unicode.org/reports/tr15/), then accents are dropped and letters made small, then NFC, so that a Hangul syllable is one
/// character again. Marks that make another letter rather than accent one (vowel signs and nuktas of Indic scripts, the voicing of kana,
/// overlays such as in `≠`) stay. Letters that have no decomposition but are typed as their base are spelled out (`ø` o, `ß` ss).
/// Characters that nobody sees (soft hyphens, zero-width spaces, variation selectors) are dropped. Idempotent.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|&c| !is_dropped(c)) {
        for small in c.to_lowercase() {
            match spelled_out(small) {
                Some(letters) => folded.push_str(letters),
                None if is_dropped(small) => {}
                None => folded.push(small),
            }
        }
    }
    if folded.is_ascii() { folded } else { folded.nfc().collect() }
}

/// Accents, by their canonical combining class: 0 does not combine or is a vowel sign, 1 are overlays, 7 nuktas, 8 kana voicing, 9 viramas.
fn is_dropped(c: char) -> bool {
    canonical_combining_class(c) >= 10
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

fn spelled_out(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ŧ' => "t",
        'ı' => "i",
        'þ' => "th",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_accents_fold() {
        for (text, want) in [
            ("Inyección", "inyeccion"),
            ("Denegacio\u{301}n", "denegacion"),
            ("CONTRASEÑAS", "contrasenas"),
            ("Straße STRAẞE", "strasse strasse"),
            ("ﬁle №1 Å", "file no1 a"),
            ("İstanbul ısı", "istanbul isi"),
            ("ΟΔΟΣ οδός", "οδοσ οδοσ"),
            ("Łódź Ærø", "lodz aero"),
            ("한국어", "한국어"),
            ("が か", "が か"),
            ("हिन्दी", "हिन्दी"),
            ("a\u{ad}b\u{200b}c ❤\u{fe0f}", "abc ❤"),
            ("CVE-2021-44228", "cve-2021-44228"),
            ("", ""),
        ] {
            assert_eq!(fold(text), want, "{text}");
        }
    }

    #[test]
    fn every_character_folds_once() {
        for c in char::MIN..=char::MAX {
            let once = fold(&c.to_string());
            assert_eq!(fold(&once), once, "U+{:04X}", c as u32);
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
