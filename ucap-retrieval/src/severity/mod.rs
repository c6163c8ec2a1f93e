//! Severity as a number: the base score of a CVSS vector, and the words beside it.
//!
//! Scores follow FIRST's specifications ([v2](https://www.first.org/cvss/v2/guide),
//! [v3.0](https://www.first.org/cvss/v3.0/specification-document),
//! [v3.1](https://www.first.org/cvss/v3.1/specification-document),
//! [v4.0](https://www.first.org/cvss/v4.0/specification-document)); the arithmetic is RustSec's `cvss` crate. Here is
//! what it leaves to us: which version a vector is of, how much deviation in writing is accepted, completeness, and
//! words.
//!
//! In v2 and v3 the base score leaves temporal and environmental metrics aside. Version 4.0 defines one score, of all
//! metrics a vector carries (its nomenclature: CVSS-B, CVSS-BT …), and that is what the databases publish: a vector
//! with a threat metric (`E:U`) scores lower than without.

#[cfg(test)]
mod tests;

use std::fmt;

/// The version of the specification that a vector follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CvssVersion {
    /// CVSS v2: a vector without a prefix (`AV:N/AC:L/Au:N/C:P/I:P/A:P`).
    V2,
    /// CVSS v3.0.
    V3_0,
    /// CVSS v3.1.
    V3_1,
    /// CVSS v4.0.
    V4_0,
}

impl fmt::Display for CvssVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CvssVersion::V2 => "2.0",
            CvssVersion::V3_0 => "3.0",
            CvssVersion::V3_1 => "3.1",
            CvssVersion::V4_0 => "4.0",
        })
    }
}

/// The base score of a CVSS vector (v4.0: the score of the whole vector), 0.0 to 10.0 in tenths; `None` for a text that
/// is not a complete, valid vector.
///
/// Beyond the specifications: blanks around, brackets around (v2), one `/` at the end, the prefix `CVSS:2.0/`.
pub fn base_score(vector: &str) -> Option<(CvssVersion, f64)> {
    let vector = vector.trim();
    let vector = vector.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(vector);
    let vector = vector.strip_suffix('/').unwrap_or(vector);
    let (version, score) = if vector.starts_with("CVSS:4.0/") {
        let parsed: cvss::v4::Vector = vector.parse().ok()?;
        (CvssVersion::V4_0, parsed.score().value())
    } else if vector.starts_with("CVSS:3.") {
        let v: cvss::v3::Vector = vector.parse().ok()?;
        // The library takes a missing base metric for one without weight.
        v.av.and(v.ac).and(v.pr).and(v.ui).and(v.s).and(v.c).and(v.i).and(v.a)?;
        let version = if vector.starts_with("CVSS:3.0/") { CvssVersion::V3_0 } else { CvssVersion::V3_1 };
        (version, v.base_score().value())
    } else {
        let parsed: cvss::v2::Vector = vector.strip_prefix("CVSS:2.0/").unwrap_or(vector).parse().ok()?;
        (CvssVersion::V2, parsed.score().value())
    };
    // Adding 0.0 turns -0.0 into 0.0.
    score.is_finite().then_some((version, (score * 10.0).round() / 10.0 + 0.0))
}

/// The word for a score, by the bounds of CVSS v3 and v4: NONE, LOW from 0.1, MEDIUM from 4, HIGH from 7, CRITICAL from
/// 9.
pub fn label(score: f64) -> &'static str {
    match score {
        score if score >= 9.0 => "CRITICAL",
        score if score >= 7.0 => "HIGH",
        score if score >= 4.0 => "MEDIUM",
        score if score >= 0.1 => "LOW",
        _ => "NONE",
    }
}

/// The lowest score that a severity word stands for, in any case; `None` for any other word.
pub fn word_score(word: &str) -> Option<f64> {
    let word = word.trim();
    [("NONE", 0.0), ("LOW", 0.1), ("MEDIUM", 4.0), ("MODERATE", 4.0), ("HIGH", 7.0), ("CRITICAL", 9.0)]
        .into_iter()
        .find_map(|(known, score)| word.eq_ignore_ascii_case(known).then_some(score))
}
