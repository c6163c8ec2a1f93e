//! Credentials.

pub mod api_key;
