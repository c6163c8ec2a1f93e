//! Bringing records in.

pub mod chunking;
pub mod formats;
