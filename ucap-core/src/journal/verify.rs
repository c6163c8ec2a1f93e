//! Verification: walks the chain from its first entry and names the first that does not fit.

use super::chain::{Chain, ChainHead, link};
use super::envelope::Record;

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
}

/// Takes records in order.
#[derive(Debug)]
pub(super) struct Verifier {
    chain: Chain,
    more: u32,
    /// Newest first, so that the next to meet is the last.
    anchors: Vec<ChainHead>,
    erased: u64,
    bad: Option<(u64, String)>,
}

impl Verifier {
    /// Starts at the first entry; each of `anchors` must be on the chain.
    pub(super) fn new(mut anchors: Vec<ChainHead>) -> Self {
        anchors.sort_unstable_by_key(|anchor| std::cmp::Reverse(anchor.sequence));
        let mut verifier = Self { chain: Chain::genesis(), more: 0, anchors, erased: 0, bad: None };
        verifier.meet_anchors();
        verifier
    }

    /// The sequence that must come next.
    pub(super) fn expected(&self) -> u64 {
        self.chain.sequence.saturating_add(1)
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
        Verification { valid: first_bad.is_none(), entries: fitting, erased: self.erased, first_bad, reason }
    }
}
