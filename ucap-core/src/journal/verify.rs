//! Verification: walks the chain from its first entry and names the first that does not fit.

use std::fmt;

use super::chain::{Chain, ChainHead, link};
use super::envelope::Record;

/// The kind of the entry with which a repair goes on behind a break.
pub const REPAIRED: &str = "journal.repaired";

/// Where in the files something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The segment's file name.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

/// The outcome of reading the whole chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether everything fits.
    pub valid: bool,
    /// How many entries fit, from the first on.
    pub entries: u64,
    /// How many of these have had their payload erased.
    pub erased: u64,
    /// Sequence of the first entry that is broken or missing.
    pub first_bad: Option<u64>,
    /// What is wrong there, for an operator.
    pub reason: Option<String>,
    /// Where that is; `None` for a store without files, and where there are none.
    pub place: Option<Place>,
    /// How many breaks are on record: entries of kind [`REPAIRED`] among those that fit.
    pub breaks: u64,
    /// Sequence of the last of these.
    pub last_break: Option<u64>,
}

impl Verification {
    /// The verdict that evidence from outside gives on a chain that fits in itself: what follows its last entry is missing.
    #[must_use]
    pub fn but(self, reason: impl Into<String>) -> Self {
        if !self.valid {
            return self;
        }
        Self { valid: false, first_bad: Some(self.entries.saturating_add(1)), reason: Some(reason.into()), ..self }
    }
}

/// What is wrong, in a sentence's end, such as `entry 7 (000001.log line 7): its line is broken`.
impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bad) = self.first_bad else { return write!(f, "{} entries fit", self.entries) };
        write!(f, "entry {bad}")?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        write!(f, ": {}", self.reason.as_deref().unwrap_or("it does not fit"))
    }
}

/// Takes records in order.
#[derive(Debug)]
pub(super) struct Verifier {
    chain: Chain,
    more: u32,
    /// Newest first, so that the next to meet is the last.
    anchors: Vec<ChainHead>,
    erased: u64,
    breaks: u64,
    last_break: Option<u64>,
    bad: Option<(u64, String)>,
}

impl Verifier {
    /// Starts at the first entry; each of `anchors` must be on the chain.
    pub(super) fn new(mut anchors: Vec<ChainHead>) -> Self {
        anchors.sort_unstable_by_key(|anchor| std::cmp::Reverse(anchor.sequence));
        let (chain, more, erased, breaks) = (Chain::genesis(), 0, 0, 0);
        let mut verifier = Self { chain, more, anchors, erased, breaks, last_break: None, bad: None };
        verifier.meet_anchors();
        verifier
    }

    /// The sequence that must come next.
    pub(super) fn expected(&self) -> u64 {
        self.chain.sequence.saturating_add(1)
    }

    /// Whether everything so far fits.
    pub(super) fn fits(&self) -> bool {
        self.bad.is_none()
    }

    /// Takes the next record; false when it does not fit, and then the walk is over.
    pub(super) fn accept(&mut self, record: &Record) -> bool {
        if self.bad.is_some() {
            return false;
        }
        let reason = if record.sequence != self.expected() {
            format!("entry {} stands in its place", record.sequence)
        } else if record.hash != link(&self.chain.hash, record) {
            "its hash does not follow from its content and the entry before it".to_owned()
        } else if record.at < self.chain.at {
            "it is older than the entry before it".to_owned()
        } else if self.more > 0 && record.more != self.more - 1 {
            "it cuts an append in two".to_owned()
        } else if !record.keeps_commitment() {
            "its payload is not the one that was written".to_owned()
        } else {
            self.chain = Chain::after(record);
            self.more = record.more;
            self.erased += u64::from(record.disclosure.is_none());
            if record.kind == REPAIRED {
                self.breaks += 1;
                self.last_break = Some(record.sequence);
            }
            self.meet_anchors();
            return self.bad.is_none();
        };
        self.fail(reason)
    }

    /// The next record cannot be read.
    pub(super) fn fail(&mut self, reason: impl Into<String>) -> bool {
        let expected = self.expected();
        self.bad.get_or_insert((expected, reason.into()));
        false
    }

    /// The rest of the last append was torn off before anybody was told of it.
    pub(super) fn forgive_incomplete(&mut self) {
        self.more = 0;
    }

    fn meet_anchors(&mut self) {
        while let Some(anchor) = self.anchors.pop_if(|anchor| anchor.sequence <= self.chain.sequence) {
            if anchor.sequence == self.chain.sequence && anchor.hash != self.chain.hash && self.bad.is_none() {
                self.bad = Some((anchor.sequence, "its hash is not the one that was anchored".to_owned()));
            }
        }
    }

    /// There are no more records.
    pub(super) fn finish(mut self) -> Verification {
        if self.bad.is_none() && self.more > 0 {
            self.fail("the append that entry belongs to is not complete");
        }
        if self.bad.is_none()
            && let Some(anchor) = self.anchors.first()
        {
            let reason = format!("the journal ends here although it once reached entry {}", anchor.sequence);
            self.fail(reason);
        }
        let (first_bad, reason) = self.bad.unzip();
        let fitting = first_bad.map_or(self.chain.sequence, |bad| self.chain.sequence.min(bad.saturating_sub(1)));
        Verification {
            valid: first_bad.is_none(),
            entries: fitting,
            erased: self.erased,
            first_bad,
            reason,
            place: None,
            breaks: self.breaks,
            last_break: self.last_break,
        }
    }
}
