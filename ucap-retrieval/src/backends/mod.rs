//! Datastores.

#[cfg(feature = "embedded")]
pub mod embedded;
pub mod memory;
