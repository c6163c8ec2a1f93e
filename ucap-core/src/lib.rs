//! The words of ucap, its catalog (what exists) and its journal (what happened).
//!
//! Everything else in ucap is built from what this crate names: principals and subjects, domains and datasources, grants,
//! requests and errors. The catalog is read from an immutable [`catalog::Snapshot`]; the journal is an append-only hash
//! chain. Neither knows HTTP.
//!
//! ```
//! use std::sync::Arc;
//! use ucap_core::catalog::{Catalog, Cause, Change, Domain, Object, backends::memory::MemoryCatalogStore};
//! use ucap_core::journal::{JournalStore, MemoryJournal};
//! use ucap_core::{Principal, RequestContext, SystemClock, SystemEntropy};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ucap_core::Result<()> {
//! let clock = Arc::new(SystemClock);
//! let journal = Arc::new(MemoryJournal::new(clock.clone(), Arc::new(SystemEntropy)));
//! let store = Arc::new(MemoryCatalogStore::default());
//! let catalog = Catalog::open(store, journal.clone(), clock, Box::new(|_, _| Ok(()))).await?;
//! let cause = Cause { principal: &Principal::System, resource: "domain:advisories" };
//! catalog
//!     .change(&RequestContext::new("r-1"), cause, |planning| {
//!         let (id, title) = ("advisories".to_owned(), "Advisories".to_owned());
//!         let domain = Domain { id, title, public: false, ordinal: planning.ordinal()?, stamp: planning.birth };
//!         Ok((vec![Change::Put(Object::Domain(domain))], ()))
//!     })
//!     .await?;
//! assert_eq!(catalog.snapshot().domain("advisories").map(|domain| domain.title.as_str()), Some("Advisories"));
//! assert!(journal.verify().await?.valid);
//! # Ok(()) }
//! ```

pub mod catalog;
pub mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod data_directory;
pub mod embedder;
pub mod entropy;
pub mod error;
pub mod identity;
pub mod journal;
pub mod redacted;
pub mod request_context;
pub mod resource;

pub use clock::{Clock, ManualClock, SystemClock};
pub use data_directory::DataDirectory;
pub use embedder::{Embedder, EmbeddingLane, EmbeddingModel, NoEmbedder};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy, mint_id};
pub use error::{Error, ErrorKind, Result, Severity};
pub use identity::{Principal, Subject};
pub use redacted::Redacted;
pub use request_context::RequestContext;
pub use resource::{Action, ActionSet, Resource, ResourceKind};
