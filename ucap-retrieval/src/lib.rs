//! Find it, among what you may see: structured filter, BM25 and vectors in one query.
//!
//! A [`Retriever`] serves a `Scope`; only `ucap_authz::Gate` makes one. Most programs take `ucap_server::Platform`, which puts
//! all this together; by itself the crate is used so (with the feature `embedded`):
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use ucap_authz::{Administration, Gate};
//! # use ucap_core::{NoEmbedder, Embedder, Redacted, RequestContext};
//! # use ucap_retrieval::{Filter, Retriever, RetrieverOptions, SearchRequest};
//! # use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
//! # async fn program(gate: Arc<Gate>, administration: Administration) -> ucap_core::Result<()> {
//! let backend = EmbeddedBackend::open("data/datasources".into(), EmbeddedOptions::new(NoEmbedder.model()))?;
//! let cursor_key = Redacted::new([7; 32]); // random, and kept
//! let retriever = Arc::new(Retriever::new(RetrieverOptions { gate: gate.clone(), backend, embedder: Arc::new(NoEmbedder), cursor_key }));
//!
//! let context = RequestContext::new("r-1");
//! let scope = gate.scope(&context, &gate.vouch("ana")?).await?;
//! let mut ingest = retriever.ingest(&context, &scope, "rustsec").await?;
//! ingest.line(1, br#"{"id":"RUSTSEC-1","summary":"A parser reads past its buffer"}"#).await?;
//! println!("{:?}", ingest.finish().await?);
//!
//! let request = SearchRequest::filtered(Filter::from_text("severity >= 7")?);
//! for hit in retriever.search(&context, &scope, &request).await?.hits {
//!     println!("{} {}", hit.datasource, hit.id);
//! }
//! # Ok(()) }
//! ```

pub mod analysis;
pub mod backends;
pub mod bm25;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
pub mod datastore;
mod dot_product;
pub mod filter;
pub mod fold;
mod fusion;
pub mod hit;
pub mod ingest;
pub mod ingest_queue;
pub mod passage_set;
pub mod query;
pub mod record;
pub mod retriever;
pub mod schema;
pub mod settings;
pub mod severity;
mod sort_order;
pub mod timestamp;
mod unit_vector;
pub mod value;
pub mod version;

pub use datastore::{Datastore, DatastoreBackend};
pub use filter::Filter;
pub use hit::{DatasourceStats, DeleteReport, Hit, IngestReport, RecordAnswer, Rejection, SearchAnswer, Timings};
pub use query::{Mode, SearchRequest, SortKey, Withdrawn};
pub use retriever::{Ingest, PutBody, Retriever, RetrieverOptions, Selection, Wait};
pub use settings::{NewSettings, Settings};
