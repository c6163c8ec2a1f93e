//! The formats of records: OSV, declared fields, documents. Each reads one record's JSON into a [`crate::record::Record`].

pub(crate) mod declared;
pub mod document;
mod html;
mod markdown;
pub(crate) mod osv;
mod outline;
