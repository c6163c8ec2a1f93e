//! The tantivy directory: opening it, proving it whole, and starting it anew when it is not.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::index::{IndexSettings, SegmentId};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::store::Compressor;
use tantivy::{Index, SegmentReader, TantivyError};
use ucap_core::{Error, ErrorKind, Result};

use super::segment::Segment;

/// Raised when the schema or the payload changes.
const FORMAT: u32 = 1;

/// The fast field with the passage number, also indexed, so that dead passages can be deleted before a merge.
pub(super) const PASSAGE: &str = "passage";
/// The fast field with the number of terms.
pub(super) const LENGTH: &str = "length";
const TEXT: &str = "text";

/// The fields of the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) passage: Field,
    pub(super) length: Field,
    pub(super) text: Field,
}

/// An open tantivy directory.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) index: Index,
    pub(super) fields: Fields,
    fingerprint: String,
    directory: PathBuf,
}

/// What an index holds when it has just been opened.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) segments: Vec<Arc<Segment>>,
    /// By passage number; 0 where there is none.
    pub(super) lengths: Vec<u32>,
    pub(super) change: u64,
    /// Whether the change was read from the files.
    pub(super) is_on_disk: bool,
}

/// Why an index cannot be used as it is.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The operating system refused: trying again may help, the files may be sound.
    System(std::io::Error),
    /// The files are not what this code wrote: they are to be wiped and built anew.
    Damaged(String),
}

impl LoadError {
    pub(super) fn damaged(what: impl fmt::Display) -> Self {
        Self::Damaged(what.to_string())
    }
}

impl From<std::io::Error> for LoadError {
    fn from(error: std::io::Error) -> Self {
        // A short or malformed file is an error without a system code; a missing one is damage as well.
        if error.raw_os_error().is_some() && error.kind() != std::io::ErrorKind::NotFound {
            Self::System(error)
        } else {
            Self::damaged(error)
        }
    }
}

impl From<TantivyError> for LoadError {
    fn from(error: TantivyError) -> Self {
        use tantivy::directory::error::OpenReadError;
        let io = match &error {
            TantivyError::IoError(error) => Some(error),
            TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => Some(io_error),
            _ => None,
        };
        match io.and_then(|error| error.raw_os_error()).map(std::io::Error::from_raw_os_error) {
            Some(error) => Self::from(error),
            None => Self::damaged(error),
        }
    }
}

impl Store {
    /// Opens the index in `directory`, or starts an empty one where there is none, where it was made with another
    /// `fingerprint`, or where it is damaged.
    pub(super) fn open(directory: &Path, fingerprint: &str) -> Result<(Self, Loaded)> {
        fs::create_dir_all(directory).map_err(|error| system(directory, error))?;
        let store = match Self::open_existing(directory, fingerprint) {
            Ok(store) => match store.load_all() {
                Ok(loaded) => return Ok((store, loaded)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match store {
            Ok(never) => never,
            Err(LoadError::System(error)) => Err(system(directory, error)),
            Err(LoadError::Damaged(reason)) => {
                tracing::info!(directory = %directory.display(), reason, "lexical index starts anew");
                Self::create(directory, fingerprint)
            }
        }
    }

    fn create(directory: &Path, fingerprint: &str) -> Result<(Self, Loaded)> {
        fs::remove_dir_all(directory).map_err(|error| system(directory, error))?;
        fs::create_dir_all(directory).map_err(|error| system(directory, error))?;
        let settings = IndexSettings { docstore_compression: Compressor::None, ..IndexSettings::default() };
        let (schema, fields) = schema();
        let index =
            Index::builder().schema(schema).settings(settings).create_in_dir(directory).map_err(failed_write)?;
        let store = Self { index, fields, fingerprint: fingerprint.to_owned(), directory: directory.to_owned() };
        Ok((store, Loaded { segments: Vec::new(), lengths: Vec::new(), change: 0, is_on_disk: false }))
    }

    fn open_existing(directory: &Path, fingerprint: &str) -> Result<Self, LoadError> {
        let index = Index::open_in_dir(directory)?;
        let (schema, fields) = schema();
        if index.schema() != schema {
            return Err(LoadError::damaged("another schema"));
        }
        Ok(Self { index, fields, fingerprint: fingerprint.to_owned(), directory: directory.to_owned() })
    }

    fn load_all(&self) -> Result<Loaded, LoadError> {
        let metas = self.index.load_metas()?;
        let change = metas.payload.as_deref().and_then(|payload| self.change_of(payload));
        let Some(change) = change else { return Err(LoadError::damaged("another revision")) };
        let broken = self.index.validate_checksum()?;
        if let Some(file) = broken.iter().min() {
            return Err(LoadError::damaged(format!("checksum of {}", file.display())));
        }
        let mut lengths = Vec::new();
        let segments = self.load_segments(&[], &mut lengths)?;
        Ok(Loaded { segments, lengths, change, is_on_disk: true })
    }

    /// The committed segments in order of passage; those in `known` are taken from there. Fills in the lengths of the
    /// others.
    pub(super) fn load_segments(
        &self,
        known: &[Arc<Segment>],
        lengths: &mut Vec<u32>,
    ) -> Result<Vec<Arc<Segment>>, LoadError> {
        let mut segments = Vec::new();
        for segment in self.index.searchable_segments()? {
            if let Some(open) = known.iter().find(|open| open.id() == segment.id()) {
                segments.push(open.clone());
                continue;
            }
            let reader = SegmentReader::open(&segment)?;
            let opened = Segment::load(&reader, self.fields, |passage, length| set_length(lengths, passage, length))?;
            segments.push(Arc::new(opened));
        }
        segments.sort_unstable_by_key(|segment| segment.range().start);
        if segments.windows(2).any(|pair| pair[0].range().end > pair[1].range().start) {
            return Err(LoadError::damaged("segments that overlap"));
        }
        Ok(segments)
    }

    pub(super) fn segment_ids(&self) -> Result<Vec<SegmentId>> {
        self.index.searchable_segment_ids().map_err(failed_write)
    }

    /// What a commit that has applied `change` says.
    pub(super) fn payload(&self, change: u64) -> String {
        format!("{FORMAT} {change} {}", self.fingerprint)
    }

    fn change_of(&self, payload: &str) -> Option<u64> {
        let (format, rest) = payload.split_once(' ')?;
        let (change, fingerprint) = rest.split_once(' ')?;
        (format.parse() == Ok(FORMAT) && fingerprint == self.fingerprint).then(|| change.parse().ok())?
    }

    /// The error for a `LoadError` after the index was opened.
    pub(super) fn error(&self, error: LoadError) -> Error {
        match error {
            LoadError::System(error) => system(&self.directory, error),
            LoadError::Damaged(reason) => damaged_read(std::io::Error::other(reason)),
        }
    }
}

pub(super) fn set_length(lengths: &mut Vec<u32>, passage: u32, length: u32) {
    let index = passage as usize;
    if index >= lengths.len() {
        lengths.resize(index + 1, 0);
    }
    lengths[index] = length;
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let passage = builder.add_u64_field(PASSAGE, NumericOptions::from(FAST | INDEXED));
    let length = builder.add_u64_field(LENGTH, FAST);
    // The terms come analysed, joined by spaces.
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("whitespace")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqs);
    let text = builder.add_text_field(TEXT, TextOptions::default().set_indexing_options(indexing));
    (builder.build(), Fields { passage, length, text })
}

fn system(directory: &Path, error: std::io::Error) -> Error {
    let message = {
        tracing::warn!(directory = %directory.display(), %error, "the lexical index cannot be used now");
        "a datasource's lexical index cannot be used now; see the log".to_owned()
    };
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

pub(super) fn failed_write(error: TantivyError) -> Error {
    Error::internal("the lexical index cannot be written; what it lacks is replayed when it is opened again")
        .with_source(error)
}

/// A read of an index that was whole when it was opened has failed.
pub(super) fn damaged_read(error: std::io::Error) -> Error {
    Error::internal("the lexical index cannot be read; open it again to rebuild it").with_source(error)
}
