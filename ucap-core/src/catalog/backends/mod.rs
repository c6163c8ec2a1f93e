//! Stores of the catalog.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
