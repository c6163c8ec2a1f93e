//! A secret that can be neither printed nor serialised.

use std::fmt;

/// Wraps a secret. It has no `Display` and no `Serialize`; `Debug` shows a placeholder, so that a struct that holds one
/// may be logged.
///
/// ```compile_fail,E0277
/// let key = ucap_core::Redacted::new(String::from("ucap_live_…"));
/// println!("{key}");
/// ```
///
/// ```compile_fail,E0277
/// let key = ucap_core::Redacted::new(String::from("ucap_live_…"));
/// serde_json::to_string(&key).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides `secret`.
    pub fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The secret, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(secret: T) -> Self {
        Self(secret)
    }
}
