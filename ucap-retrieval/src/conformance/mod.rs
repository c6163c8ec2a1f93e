//! What every datastore backend must do, as checks that it runs on itself.
//!
//! A backend implements [`Subject`] and calls [`run`] in a test target of its own with `harness = false`:
//!
//! ```no_run
//! use std::sync::Arc;
//! use ucap_retrieval::DatastoreBackend;
//! use ucap_retrieval::backends::memory::MemoryBackend;
//! use ucap_retrieval::conformance::{self, Instance, Subject};
//!
//! struct Memory;
//! struct Fresh(Arc<MemoryBackend>);
//!
//! impl Subject for Memory {
//!     fn name(&self) -> &'static str {
//!         "memory"
//!     }
//!     fn fresh(&self) -> ucap_core::Result<Box<dyn Instance>> {
//!         Ok(Box::new(Fresh(Arc::new(MemoryBackend::new()))))
//!     }
//! }
//!
//! impl Instance for Fresh {
//!     fn backend(&self) -> Arc<dyn DatastoreBackend> {
//!         self.0.clone()
//!     }
//! }
//!
//! fn main() {
//!     conformance::run(Memory);
//! }
//! ```
//!
//! The suite owns the list of checks: a backend cannot leave one out, and what it does not claim to do (outlive its
//! process) shows as ignored. The memory backend is the reference; [`broken`] holds wrong ones, each of which is caught.

pub mod broken;
mod checks;
mod embedder;
mod random;
mod sequences;
mod store;
mod verdict;
mod world;

use std::sync::Arc;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};
use ucap_core::Result;

use crate::datastore::DatastoreBackend;

pub use self::checks::checks;
pub use self::embedder::{WordEmbedder, model};
pub use self::random::Random;
pub use self::sequences::{Sequence, compare};
pub use self::store::Store;
pub use self::verdict::{Failure, Outcome, expect_refusal, expect_same, expect_same_text, expect_that};
pub use self::world::{Memory, World};

/// A backend under test.
pub trait Subject: Send + Sync + 'static {
    /// Its name in the report.
    fn name(&self) -> &'static str;

    /// A fresh, empty instance, for datasources of the model [`model`].
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    fn fresh(&self) -> Result<Box<dyn Instance>>;

    /// Whether it outlives its process: then [`Instance::reopen`] is called.
    fn is_lasting(&self) -> bool {
        false
    }
}

/// One instance of a backend; dropping it removes what it has left.
pub trait Instance: Send + Sync {
    /// The backend.
    fn backend(&self) -> Arc<dyn DatastoreBackend>;

    /// A new backend over what the one before has left; it was closed.
    ///
    /// # Errors
    /// Whatever keeps it from being opened; `Unsupported` for one that does not last.
    fn reopen(&mut self) -> Result<Arc<dyn DatastoreBackend>> {
        Err(ucap_core::Error::new(ucap_core::ErrorKind::Unsupported, "this backend does not outlive its process"))
    }
}

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name: what holds.
    pub name: &'static str,
    /// Whether it is for backends that outlive their process.
    pub needs_lasting: bool,
    pub(crate) steps: for<'a> fn(&'a mut World) -> BoxFuture<'a, Outcome>,
}

impl Check {
    /// Runs the check on a fresh instance.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run(&self, subject: &dyn Subject) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| Failure::new(format!("no runtime: {cause}")))?;
        runtime.block_on(async {
            let mut world = World::new(subject.fresh()?).await?;
            let outcome = (self.steps)(&mut world).await;
            world.close().await?;
            outcome
        })
    }
}

/// Runs all checks on `subject` as the test harness of a target, and ends the process.
pub fn run(subject: impl Subject) -> ! {
    let arguments = Arguments::from_args();
    let subject = Arc::new(subject);
    let trials = checks().into_iter().map(|check| {
        let subject = Arc::clone(&subject);
        let ignored = check.needs_lasting && !subject.is_lasting();
        let name = format!("{}::{}", subject.name(), check.name);
        Trial::test(name, move || check.run(&*subject).map_err(libtest_mimic::Failed::from)).with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}
