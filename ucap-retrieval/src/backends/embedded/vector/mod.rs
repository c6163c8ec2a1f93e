//! The vector index of one datasource: the exact best by dot product, over one flat file after another.
//!
//! A row has its passage number, one-byte codes and the exact `f32` vector. A search scans the codes of the allowed rows
//! with a bound on their error, then scores in full precision whatever could be among the best: the answer is that of
//! brute force, bit for bit, whatever the number of candidates, the segments, or the instructions of the processor.
//!
//! The index is derived from the records and append-only by passage number. Rows added since the last flush are a tail in
//! memory; a flush writes them as a segment file and names it in the manifest. What cannot be trusted is dropped at
//! [`VectorIndex::open`], which returns the last change that the rest has applied; the caller replays what came after. It
//! is meant to sit behind an `RwLock`; see [`FlushJob`] for the flush (as in `lexical`).
//!
//! One-bit codes before the one-byte ones, and partitions of rows (IVF), would have their place in `search`, above
//! `by_codes`, and their columns in a further section of a segment. Neither is here: a full scan of 65,000 rows of 384
//! components takes about a millisecond, which is what reading their codes from memory takes.

mod columns;
mod flush;
mod kernels;
mod manifest;
mod quantize;
mod search;
mod segment;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use ucap_core::{Error, ErrorKind, RequestContext, Result};

use self::columns::{Rows, ScanColumns, stride_of};
use self::kernels::Level;
use self::manifest::{Manifest, segment_file};
use self::quantize::LARGEST_COMPONENT;
use self::search::Source;
use self::segment::{Segment, SegmentError};
use super::flush_guard::FlushGuard;
use crate::passage_set::PassageSet;

pub use self::flush::{FlushDone, FlushJob};

/// The most components that a vector may have.
pub const MAX_DIMENSIONS: usize = 8_192;

/// The vector index of one datasource.
#[derive(Debug)]
pub struct VectorIndex {
    directory: PathBuf,
    dimensions: usize,
    manifest: Manifest,
    segments: Vec<Arc<Numbered>>,
    /// Tails that a flush has taken and that are not installed yet, oldest first.
    frozen: Vec<Arc<Rows>>,
    tail: Rows,
    end: u32,
    next_file: Arc<AtomicU32>,
    is_flushing: Arc<AtomicBool>,
    level: Level,
}

/// A segment and the number of its file.
#[derive(Debug)]
struct Numbered {
    number: u32,
    segment: Segment,
}

impl VectorIndex {
    /// Opens the index in `directory` (made when missing) for vectors of `dimensions` components and returns the last
    /// change it has applied. `fingerprint` names the model; made by another one, or with other dimensions, it is emptied
    /// and the change is 0. A segment that is missing, cut or damaged is dropped with all after it, and the change is that
    /// of the last one kept.
    ///
    /// Reads headers only; the rest of a file is proved when it is first used.
    ///
    /// # Errors
    /// `InvalidInput` for dimensions of 0 or above [`MAX_DIMENSIONS`]; `Unavailable` when the operating system refuses.
    pub fn open(directory: &Path, dimensions: usize, fingerprint: &str) -> Result<(Self, u64)> {
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            let message = format!("a vector has 1 to {MAX_DIMENSIONS} dimensions, not {dimensions}");
            return Err(Error::invalid("dimensions", message));
        }
        let system = |error| failed(directory, error);
        std::fs::create_dir_all(directory).map_err(system)?;
        let manifest = Manifest::read(directory, dimensions, fingerprint).map_err(system)?;
        let mut manifest = manifest.unwrap_or_else(|| Manifest::new(dimensions, fingerprint));
        // Numbers of dropped files are not used again either.
        let next_file = manifest.segments.iter().max().map_or(1, |largest| largest.saturating_add(1));
        let segments = open_segments(directory, dimensions, &manifest)?;
        if segments.len() < manifest.segments.len() {
            manifest.change = segments.last().map_or(0, |last| last.segment.change());
            manifest.segments.truncate(segments.len());
        }
        manifest.remove_strays(directory).map_err(system)?;
        let change = manifest.change;
        let index = Self {
            directory: directory.to_owned(),
            dimensions,
            manifest,
            end: segments.last().map_or(0, |last| last.segment.last() + 1),
            segments,
            frozen: Vec::new(),
            tail: Rows::new(stride_of(dimensions)),
            next_file: Arc::new(AtomicU32::new(next_file)),
            is_flushing: Arc::default(),
            level: Level::detect(),
        };
        Ok((index, change))
    }

    /// Adds the vector of a passage. It is searchable at once, in memory, and on disk after the next flush.
    ///
    /// # Errors
    /// `InvalidInput` (`vector`) unless it has the right number of components, all finite and at most 10^9 in magnitude;
    /// `Internal` unless `passage` is larger than all passages added before, and smaller than `u32::MAX`.
    pub fn add(&mut self, passage: u32, vector: &[f32]) -> Result<()> {
        self.check_vector(vector)?;
        if passage < self.end || passage == u32::MAX {
            return Err(Error::internal(format!(
                "passage {passage} was added to the vector index after passage {}; passages must ascend",
                self.end.saturating_sub(1)
            )));
        }
        self.tail.push(passage, vector);
        self.end = passage + 1;
        Ok(())
    }

    /// The `k` passages of `allowed` with the largest dot products with `query`, and all that tie with the last of them;
    /// by descending score, then ascending passage. Passages without a vector are not in it.
    ///
    /// # Errors
    /// `InvalidInput` (`vector`) for a query that [`Self::add`] would refuse; `DeadlineExceeded`; `DatasourceRebuilding`
    /// when a file turns out to be damaged: it is set aside, and opening the index again tells from where to replay.
    pub fn search(
        &self,
        context: &RequestContext,
        query: &[f32],
        allowed: &PassageSet,
        k: usize,
    ) -> Result<Vec<(u32, f32)>> {
        let query = self.padded(query)?;
        search::search(context, self.level, &self.sources(), &query, allowed, k)
    }

    /// The dot product of `query` and the vector of `passage`; `None` where it has none. The same number that
    /// [`Self::search`] gives.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn score_of(&self, query: &[f32], passage: u32) -> Result<Option<f32>> {
        let query = self.padded(query)?;
        search::score_of(self.level, &self.sources(), &query, passage)
    }

    /// The scores of many passages, in their order; see [`Self::score_of`].
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn scores_of(&self, query: &[f32], passages: &[u32]) -> Result<Vec<Option<f32>>> {
        let query = self.padded(query)?;
        let sources = self.sources();
        passages.iter().map(|&passage| search::score_of(self.level, &sources, &query, passage)).collect()
    }

    /// Reads every file in full and proves it: for `doctor`, or to warm an index up.
    ///
    /// # Errors
    /// `DatasourceRebuilding` when a file is damaged, as in [`Self::search`]; `DeadlineExceeded`.
    pub fn verify(&self, context: &RequestContext) -> Result<()> {
        for numbered in &self.segments {
            numbered.scan()?;
            for row in 0..numbered.segment.len() {
                if row % 1_024 == 0 {
                    context.check()?;
                }
                numbered.exact(row)?;
            }
        }
        Ok(())
    }

    /// Takes the tail for a flush that will have applied all changes up to `change`; `None` while another one is under
    /// way. `live` decides what need not be kept; what is dead now must never come back to life.
    pub fn prepare_flush(&mut self, change: u64, live: &PassageSet) -> Option<FlushJob> {
        let guard = FlushGuard::acquire(&self.is_flushing)?;
        if self.tail.len() > 0 {
            self.frozen.push(Arc::new(std::mem::replace(&mut self.tail, Rows::new(stride_of(self.dimensions)))));
        }
        Some(FlushJob {
            directory: self.directory.clone(),
            dimensions: self.dimensions,
            next_file: self.next_file.clone(),
            manifest: self.manifest.at_change(change),
            segments: self.segments.clone(),
            tails: self.frozen.clone(),
            live: live.clone(),
            guard,
        })
    }

    /// Reads from disk what a flush has written, forgets it in memory, and removes the files that it replaced.
    pub fn install(&mut self, done: FlushDone) {
        let FlushDone { manifest, segments, tails, guard } = done;
        self.manifest = manifest;
        for old in &self.segments {
            if !segments.iter().any(|kept| Arc::ptr_eq(kept, old)) {
                // One that stays is removed when the index is opened again.
                drop(std::fs::remove_file(old.segment.path()));
            }
        }
        self.segments = segments;
        self.frozen.retain(|frozen| !tails.iter().any(|tail| Arc::ptr_eq(tail, frozen)));
        drop(guard);
    }

    /// Components of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// One more than the largest passage number that it has.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// How many rows wait in memory for a flush; flush at about 4,096, or when the index is closed.
    pub fn tail_len(&self) -> usize {
        self.tail.len() + self.frozen.iter().map(|tail| tail.len()).sum::<usize>()
    }

    /// The last change that is on disk.
    pub fn flushed_change(&self) -> u64 {
        self.manifest.change
    }

    /// Whether a flush would write anything, where all changes up to `change` are applied.
    pub fn is_behind(&self, change: u64) -> bool {
        self.manifest.change != change || self.tail_len() > 0
    }

    /// Rows, dead ones that were not dropped yet included.
    pub fn len(&self) -> usize {
        self.tail_len() + self.segments.iter().map(|numbered| numbered.segment.len()).sum::<usize>()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it takes, roughly, without mapped files.
    pub fn memory_bytes(&self) -> usize {
        self.tail.memory_bytes() + self.frozen.iter().map(|tail| tail.memory_bytes()).sum::<usize>()
    }

    fn sources(&self) -> Vec<&dyn Source> {
        let segments = self.segments.iter().map(|segment| &**segment as &dyn Source);
        let frozen = self.frozen.iter().map(|tail| &**tail as &dyn Source);
        segments.chain(frozen).chain([&self.tail as &dyn Source]).collect()
    }

    fn padded(&self, query: &[f32]) -> Result<Vec<f32>> {
        self.check_vector(query)?;
        let mut padded = query.to_vec();
        padded.resize(stride_of(self.dimensions), 0.0);
        Ok(padded)
    }

    fn check_vector(&self, vector: &[f32]) -> Result<()> {
        if vector.len() != self.dimensions {
            let message = format!("a vector here has {} components, this one has {}", self.dimensions, vector.len());
            return Err(Error::invalid("vector", message));
        }
        // Also false for what is not a number.
        if vector.iter().all(|component| component.abs() <= LARGEST_COMPONENT) {
            Ok(())
        } else {
            Err(Error::invalid("vector", "the components of a vector are finite and at most 1e9 in magnitude"))
        }
    }
}

/// The segments of `manifest` up to the first that cannot be trusted.
fn open_segments(directory: &Path, dimensions: usize, manifest: &Manifest) -> Result<Vec<Arc<Numbered>>> {
    let mut segments: Vec<Arc<Numbered>> = Vec::new();
    for &number in &manifest.segments {
        let path = directory.join(segment_file(number));
        let reason = match Segment::open(&path, dimensions) {
            Ok(segment) if segments.last().is_none_or(|before| before.segment.last() < segment.first()) => {
                segments.push(Arc::new(Numbered { number, segment }));
                continue;
            }
            Ok(_) => "its passages do not follow those before",
            Err(SegmentError::System(error)) => return Err(failed(directory, error)),
            Err(SegmentError::Damaged(reason)) => reason,
        };
        tracing::warn!(path = %path.display(), reason, "vector segments from this one on are built anew");
        break;
    }
    Ok(segments)
}

impl Source for Numbered {
    fn scan(&self) -> Result<ScanColumns<'_>> {
        self.segment.scan().map_err(|error| damage(&self.segment, error))
    }

    fn exact(&self, row: usize) -> Result<&[f32]> {
        self.segment.exact(row).map_err(|error| damage(&self.segment, error))
    }
}

impl Source for Rows {
    fn scan(&self) -> Result<ScanColumns<'_>> {
        Ok(self.scan())
    }

    fn exact(&self, row: usize) -> Result<&[f32]> {
        Ok(self.exact(row))
    }
}

/// Sets a damaged segment aside and says so.
fn damage(segment: &Segment, error: SegmentError) -> Error {
    match error {
        SegmentError::System(error) => failed(segment.path(), error),
        SegmentError::Damaged(reason) => {
            segment.set_aside();
            tracing::warn!(path = %segment.path().display(), reason, "vector segment is damaged and set aside");
            let message = "the vectors of this datasource were damaged and are being rebuilt";
            Error::new(ErrorKind::DatasourceRebuilding, message)
        }
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    let message = {
        tracing::warn!(path = %path.display(), %error, "the vector index cannot be used now");
        "a datasource's vector index cannot be used now; see the log".to_owned()
    };
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

#[cfg(test)]
mod tests;
