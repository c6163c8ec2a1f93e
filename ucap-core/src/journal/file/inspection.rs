//! Reading the whole journal: whether its chain fits, where it first does not, and where the last good append ends.

use std::io;
use std::path::Path;

use super::super::chain::{Chain, ChainHead};
use super::super::verify::{Place, Verification, Verifier};
use super::checkpoint::{Checkpoint, peek};
use super::recovery::Tail;
use super::segment::{Lines, Step, list, name_of, path_of};

/// What reading everything showed.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) verification: Verification,
    /// The end of the last complete append before whatever is wrong.
    pub(super) good: Tail,
}

/// How far to read.
#[derive(Debug, Clone, Copy)]
struct Extent {
    segment: u32,
    /// In that segment.
    end: u64,
    /// When set, what is broken behind this sequence, at the very end, is a torn write and no fault.
    torn_after: Option<u64>,
}

impl Extent {
    fn end_of(&self, segment: u32) -> u64 {
        if segment == self.segment { self.end } else { u64::MAX }
    }
}

/// Inspects a journal that nobody writes; `head` is what its `HEAD` says.
pub(super) fn at_rest(
    directory: &Path,
    head: Option<Checkpoint>,
    mut anchors: Vec<ChainHead>,
) -> io::Result<Inspection> {
    anchors.extend(head.map(|checkpoint| checkpoint.head()));
    let extent = Extent { segment: u32::MAX, end: u64::MAX, torn_after: head.map(|checkpoint| checkpoint.sequence) };
    let segments = list(directory)?;
    let mut walk = Walk::new(anchors, head);
    walk.read(directory, &segments, extent)?;
    if walk.verifier.fits() && head.is_none() && !segments.is_empty() {
        walk.verifier.fail("HEAD is missing or broken, so nothing shows that the journal ends before it");
    }
    Ok(walk.finish())
}

/// Verifies a journal that is being written, up to `tail`.
pub(super) fn in_use(directory: &Path, tail: &Tail, mut anchors: Vec<ChainHead>) -> io::Result<Verification> {
    let flushed = peek(directory)?.map(|checkpoint| checkpoint.head());
    anchors.extend(flushed.filter(|head| head.sequence <= tail.chain.sequence));
    let mut segments = list(directory)?;
    segments.retain(|number| *number <= tail.segment);
    let mut walk = Walk::new(anchors, None);
    walk.read(directory, &segments, Extent { segment: tail.segment, end: tail.end, torn_after: None })?;
    Ok(walk.finish().verification)
}

/// The state of reading everything.
struct Walk {
    verifier: Verifier,
    /// Where the head's entry must stand.
    head: Option<Checkpoint>,
    good: Tail,
    /// The segment and the line in it that is being looked at.
    at: Option<(u32, u64)>,
}

impl Walk {
    fn new(anchors: Vec<ChainHead>, head: Option<Checkpoint>) -> Self {
        let head = head.filter(|checkpoint| checkpoint.sequence > 0);
        Self { verifier: Verifier::new(anchors), head, good: Tail::genesis(), at: None }
    }

    /// Reads `segments` as far as they fit.
    fn read(&mut self, directory: &Path, segments: &[u32], extent: Extent) -> io::Result<()> {
        let last = segments.last().copied();
        for (number, expected) in segments.iter().copied().zip(1..) {
            if number != expected {
                self.at = Some((expected, 1));
                self.verifier.fail("its segment is missing");
                return Ok(());
            }
            let may_be_torn = last == Some(number);
            if !self.read_segment(directory, number, extent, may_be_torn)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when the walk is over.
    fn read_segment(&mut self, directory: &Path, number: u32, extent: Extent, may_be_torn: bool) -> io::Result<bool> {
        let mut lines = Lines::open(&path_of(directory, number), 0, extent.end_of(number))?;
        for line in 1.. {
            self.at = Some((number, line));
            let torn = || may_be_torn && extent.torn_after.is_some_and(|flushed| self.verifier.expected() > flushed);
            match lines.step()? {
                Step::Entry { record, start, end } => {
                    let misplaced = self
                        .head
                        .filter(|head| head.sequence == record.sequence)
                        .is_some_and(|head| (head.segment, head.start, head.end) != (number, start, end));
                    if misplaced {
                        return Ok(self.verifier.fail("HEAD names another place in the files for it"));
                    }
                    if !self.verifier.accept(&record) {
                        return Ok(false);
                    }
                    if record.more == 0 {
                        self.good = Tail { segment: number, start, end, chain: Chain::after(&record) };
                    }
                }
                Step::End => {
                    if torn() {
                        self.verifier.forgive_incomplete();
                    }
                    return Ok(true);
                }
                Step::Broken if torn() => {
                    self.verifier.forgive_incomplete();
                    return Ok(false);
                }
                Step::Broken => return Ok(self.verifier.fail("its line is broken")),
            }
        }
        Ok(true)
    }

    fn finish(self) -> Inspection {
        let mut verification = self.verifier.finish();
        if !verification.valid {
            verification.place = self.at.map(|(number, line)| Place { file: name_of(number), line });
        }
        Inspection { verification, good: self.good }
    }
}
