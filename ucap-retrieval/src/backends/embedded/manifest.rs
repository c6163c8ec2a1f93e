//! What a datasource's derived data were made with. Data made with something else are not served as if they fitted.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use ucap_core::catalog::Datasource;
use ucap_core::data_directory::private;
use ucap_core::{Error, ErrorKind, Result};

use crate::fold::FOLD_REVISION;
use crate::ingest::chunking::CHUNKER_REVISION;
use crate::version::KEY_REVISION;

const FILE: &str = "manifest.json";

/// Beside `records.db`. The analyzer's revision is the lexical index's own: it is rebuilt from the passages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    datasource: String,
    generation: u64,
    /// The model's id and digest; `None` without vectors.
    vectors: Option<String>,
    chunker: u32,
    version_keys: u32,
    fold: u32,
}

impl Manifest {
    pub(super) fn current(datasource: &Datasource, vectors: Option<String>) -> Self {
        Self {
            datasource: datasource.id.clone(),
            generation: datasource.stamp.generation,
            vectors,
            chunker: CHUNKER_REVISION,
            version_keys: KEY_REVISION,
            fold: FOLD_REVISION,
        }
    }

    /// Writes the manifest of a new datasource, or compares it with the one that is there.
    pub(super) fn settle(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let unavailable = |cause: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "a datasource's manifest cannot be read or written; see the log")
                .with_source(cause)
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = serde_json::to_string_pretty(self)
                    .map_err(|cause| Error::internal("a manifest cannot be written").with_source(cause))?;
                return write_whole(&path, &text).map_err(unavailable);
            }
            Err(error) => return Err(unavailable(error)),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(held) if held == *self => Ok(()),
            _ => Err(Error::new(
                ErrorKind::DatasourceRebuilding,
                format!(
                    "datasource `{}` was made with another model or revision; load it again into a new datasource",
                    self.datasource
                ),
            )),
        }
    }
}

/// Under its name the file is whole or not there.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = private(std::fs::OpenOptions::new().write(true).create(true).truncate(true)).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}
