//! Who are you, what may you do: the gate that every request of ucap passes.
//!
//! A credential becomes a [`Caller`], a caller becomes a [`Scope`] — what it may touch, compiled to bitmaps — and a
//! [`Permit`] is one datasource and action taken out of it. Only the [`Gate`] mints them.

pub mod access;
pub mod administration;
pub mod authorizer;
pub mod backends;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod decision;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod identity;
pub mod permit;
pub mod rights;
pub mod scope;

pub use access::AccessRequest;
pub use administration::Administration;
pub use authorizer::Authorizer;
pub use backends::grants::GrantAuthorizer;
pub use decision::{Decision, Reason};
pub use gate::{Caller, Gate};
pub use permit::Permit;
pub use rights::Rights;
pub use scope::Scope;
