//! The ucap platform: one [`Platform`] for programs that embed it, its HTTP API and its two programs.
//!
//! Everything a caller does goes through a [`Session`]; the HTTP API is a translation of requests into its methods, and
//! the command line speaks that API, over the network or in its own process. Without the default features (`http`,
//! `cli`) this crate compiles no web server and no command line.
//!
//! ```no_run
//! use ucap_core::Principal;
//! use ucap_retrieval::query::SearchRequest;
//! use ucap_server::Platform;
//!
//! # #[tokio::main] async fn main() -> ucap_core::Result<()> {
//! let platform = Platform::open("./data").await?;
//! let administrator = platform.admin_session().await?;
//! administrator.create_domain("notes", "Notes", true).await?;
//! let session = platform.session(&Principal::User("ana".into()))?;
//! for hit in session.search(&SearchRequest::new("heap overflow").with_limit(3)).await?.hits {
//!     println!("{} {}", hit.datasource, hit.id);
//! }
//! platform.close().await?;
//! # Ok(()) }
//! ```

mod background;
pub mod config;
mod denials;
#[cfg(feature = "cli")]
mod descriptors;
pub mod platform;
pub mod session;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "cli")]
mod program;

/// The crates below, so that an embedder depends on one.
pub use {ucap_authz as authz, ucap_core as core, ucap_inference as inference, ucap_retrieval as retrieval};

pub use config::Config;
pub use platform::{Platform, PlatformOptions};
pub use session::Session;

#[cfg(feature = "cli")]
pub use program::run_server;
