//! The embedded backend obeys the laws of a datastore.

use std::sync::Arc;

use tempfile::TempDir;
use ucap_core::{Error, Result};
use ucap_retrieval::DatastoreBackend;
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::conformance::{self, Instance, Subject};

struct Embedded;

struct Directory(TempDir, Arc<EmbeddedBackend>);

fn open(directory: &TempDir) -> Result<Arc<EmbeddedBackend>> {
    EmbeddedBackend::open(directory.path().to_owned(), EmbeddedOptions::new(conformance::model()))
}

impl Subject for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn fresh(&self) -> Result<Box<dyn Instance>> {
        let directory = TempDir::new().map_err(|cause| Error::internal("no directory").with_source(cause))?;
        let backend = open(&directory)?;
        Ok(Box::new(Directory(directory, backend)))
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

impl Instance for Directory {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.1.clone()
    }

    fn reopen(&mut self) -> Result<Arc<dyn DatastoreBackend>> {
        self.1 = open(&self.0)?;
        Ok(self.1.clone())
    }
}

fn main() {
    conformance::run(Embedded);
}
