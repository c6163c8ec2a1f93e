//! Authorizers.

pub mod grants;
