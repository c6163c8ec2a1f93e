//! What a model call consumed.

use std::ops::AddAssign;

/// What one call consumed, as the provider counted it (or we, where it does not).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens that the model read, special tokens included; what was cut off a long input is not.
    pub input_tokens: u64,
}

impl Usage {
    /// A usage of `input_tokens` and nothing else.
    #[must_use]
    pub fn of_input(input_tokens: u64) -> Self {
        Self { input_tokens }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
    }
}
