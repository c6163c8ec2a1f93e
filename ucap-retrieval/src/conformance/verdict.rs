//! How a check says what does not hold.

use std::fmt;

use ucap_core::{Error, ErrorKind, Result};

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

/// The end of a check.
pub type Outcome = std::result::Result<(), Failure>;

impl Failure {
    /// A failure with this explanation.
    pub fn new(explanation: impl Into<String>) -> Self {
        Self(explanation.into())
    }

    /// The failure, with where it happened in front.
    #[must_use]
    pub fn during(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut text = format!("unexpected error {:?}: {error}", error.kind());
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text.push_str(&format!("; because {inner}"));
            cause = inner.source();
        }
        Self(text)
    }
}

/// Demands that `got` equals `want`.
///
/// # Errors
/// A failure that shows both.
pub fn expect_same<T: PartialEq + fmt::Debug>(what: impl fmt::Display, got: T, want: T) -> Outcome {
    if got == want { Ok(()) } else { Err(Failure(format!("{what}\n   got: {got:?}\n  want: {want:?}"))) }
}

/// Demands that two long texts are equal.
///
/// # Errors
/// A failure that shows both around the first difference.
pub fn expect_same_text(what: impl fmt::Display, got: &str, want: &str) -> Outcome {
    const AROUND: usize = 160;
    if got == want {
        return Ok(());
    }
    let at = got.chars().zip(want.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.chars().skip(at.saturating_sub(AROUND)).take(2 * AROUND).collect::<String>();
    Err(Failure(format!("{what}\n   got: …{}…\n  want: …{}…", part(got), part(want))))
}

/// Demands that `holds`.
///
/// # Errors
/// A failure that says `what`.
pub fn expect_that(what: impl fmt::Display, holds: bool) -> Outcome {
    if holds { Ok(()) } else { Err(Failure(what.to_string())) }
}

/// Demands an error of this kind.
///
/// # Errors
/// A failure that shows what came instead.
pub fn expect_refusal<T: fmt::Debug>(what: impl fmt::Display, answer: Result<T>, kind: ErrorKind) -> Outcome {
    match answer {
        Err(error) if error.kind() == kind => Ok(()),
        other => Err(Failure(format!("{what}\n   got: {other:?}\n  want: {kind:?}"))),
    }
}
