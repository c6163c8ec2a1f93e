//! Moves the tail into a segment file, and rewrites segments, without holding up searches.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ucap_core::{Error, Result};

use super::super::flush_guard::FlushGuard;
use super::super::merge_plan::{SegmentSize, plan_merges};
use super::columns::{Rows, ScanColumns};
use super::manifest::{Manifest, segment_file};
use super::segment::{RowRef, Segment, SegmentError};
use super::{Numbered, failed};
use crate::passage_set::PassageSet;

/// A flush that is ready to run: it needs no lock on the index, and blocks on disk.
#[must_use = "the tail stays in memory until the job has run and is installed"]
pub struct FlushJob {
    pub(super) directory: PathBuf,
    pub(super) dimensions: usize,
    pub(super) next_file: Arc<AtomicU32>,
    pub(super) manifest: Manifest,
    pub(super) segments: Vec<Arc<Numbered>>,
    pub(super) tails: Vec<Arc<Rows>>,
    pub(super) live: PassageSet,
    pub(super) guard: FlushGuard,
}

/// A flush that is on disk; [`super::VectorIndex::install`] makes the index read it.
#[must_use = "the index reads the tail from memory until this is installed"]
pub struct FlushDone {
    pub(super) manifest: Manifest,
    pub(super) segments: Vec<Arc<Numbered>>,
    pub(super) tails: Vec<Arc<Rows>>,
    pub(super) guard: FlushGuard,
}

impl fmt::Debug for FlushJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushJob").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl fmt::Debug for FlushDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushDone").field("change", &self.manifest.change).finish_non_exhaustive()
    }
}

impl FlushJob {
    /// Writes the live rows of the tail as a segment, rewrites neighbouring segments as one where that pays, leaving out
    /// what is dead, then names the result in the manifest. A crash at any point leaves the state before or after it.
    ///
    /// # Errors
    /// `Unavailable` when the directory cannot be written, `DatasourceRebuilding` when a segment that is to be rewritten
    /// is damaged. The index goes on as before.
    pub fn run(self) -> Result<FlushDone> {
        let mut manifest = self.manifest.clone();
        let mut segments = Vec::new();
        let mut rest = self.segments.as_slice();
        let mut taken = 0;
        let sizes = self.sizes()?;
        for range in plan_merges(&sizes) {
            let (before, from) = rest.split_at(range.start - taken);
            let (run, after) = from.split_at(range.len());
            segments.extend_from_slice(before);
            segments.extend(self.rewrite(run)?);
            taken = range.end;
            rest = after;
        }
        segments.extend_from_slice(rest);
        segments.extend(self.write_tail(manifest.change)?);
        manifest.segments = segments.iter().map(|segment| segment.number).collect();
        manifest.write(&self.directory).map_err(|error| failed(&self.directory, error))?;
        Ok(FlushDone { manifest, segments, tails: self.tails, guard: self.guard })
    }

    fn sizes(&self) -> Result<Vec<SegmentSize>> {
        let size = |segment: &Arc<Numbered>| {
            let segment = &segment.segment;
            let in_range = self.live.len_in_range(segment.first()..segment.last() + 1);
            let live = if segment.is_consecutive() {
                in_range
            } else {
                let scan = segment.scan().map_err(|error| self.damage(segment, error))?;
                scan.passages.iter().filter(|&&passage| self.live.contains(passage)).count()
            };
            Ok(SegmentSize { live, total: segment.len() })
        };
        self.segments.iter().map(size).collect()
    }

    fn rewrite(&self, run: &[Arc<Numbered>]) -> Result<Option<Arc<Numbered>>> {
        let mut rows = Vec::new();
        for numbered in run {
            let segment = &numbered.segment;
            let scan = segment.scan().map_err(|error| self.damage(segment, error))?;
            for row in self.live_rows(scan) {
                let exact = segment.exact(row).map_err(|error| self.damage(segment, error))?;
                rows.push(RowRef { scan, row, exact });
            }
        }
        let change = run.iter().map(|numbered| numbered.segment.change()).max().unwrap_or(0);
        self.write(change, &rows)
    }

    fn write_tail(&self, change: u64) -> Result<Option<Arc<Numbered>>> {
        let mut rows = Vec::new();
        for tail in &self.tails {
            let scan = tail.scan();
            rows.extend(self.live_rows(scan).map(|row| RowRef { scan, row, exact: tail.exact(row) }));
        }
        self.write(change, &rows)
    }

    fn live_rows(&self, scan: ScanColumns<'_>) -> impl Iterator<Item = usize> {
        (0..scan.passages.len()).filter(move |&row| self.live.contains(scan.passages[row]))
    }

    fn write(&self, change: u64, rows: &[RowRef<'_>]) -> Result<Option<Arc<Numbered>>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(segment_file(number));
        Segment::write(&path, self.dimensions, change, rows).map_err(|error| failed(&self.directory, error))?;
        let segment = Segment::open(&path, self.dimensions).map_err(|error| match error {
            SegmentError::System(error) => failed(&self.directory, error),
            SegmentError::Damaged(reason) => failed(&self.directory, io::Error::other(reason)),
        })?;
        Ok(Some(Arc::new(Numbered { number, segment })))
    }

    fn damage(&self, segment: &Segment, error: SegmentError) -> Error {
        super::damage(segment, error)
    }
}
