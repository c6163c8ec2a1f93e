//! An answer, and what it rests on.

use ucap_core::Resource;
use ucap_core::Subject;
use ucap_core::catalog::Effect;

/// Why a decision fell as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A grant speaks about the resource or something above it.
    Grant {
        /// Its id.
        id: String,
        /// Gives or takes.
        effect: Effect,
        /// Whom it names.
        subject: Subject,
        /// Where on the path.
        resource: Resource,
    },
    /// The domain is public, which lets everyone read.
    PublicDomain(String),
    /// The key's scopes leave it out.
    KeyScope,
}

/// Whether it may be done. Denied unless something allows it and nothing denies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub allowed: bool,
    /// What it rests on, in a fixed order; empty when nothing speaks about it.
    pub reasons: Vec<Reason>,
}
