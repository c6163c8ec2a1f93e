//! The passages added since the last flush, as a small inverted index in memory.

use std::collections::HashMap;

/// Passages that are not in a segment yet; searched beside the segments with the same formula.
#[derive(Debug, Default)]
pub(super) struct Tail {
    terms: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// By term: passage and how often it holds the term, ascending by passage.
    postings: Vec<Vec<(u32, u32)>>,
    passages: Vec<TailPassage>,
    /// Term and how often, grouped by passage.
    frequencies: Vec<(u32, u32)>,
    bytes: usize,
}

/// One passage of the tail.
#[derive(Clone, Copy, Debug)]
pub(super) struct TailPassage {
    pub(super) passage: u32,
    pub(super) length: u32,
    start: usize,
    end: usize,
}

impl Tail {
    pub(super) fn len(&self) -> usize {
        self.passages.len()
    }

    pub(super) fn passages(&self) -> &[TailPassage] {
        &self.passages
    }

    /// The terms of `passage` and how often it holds each.
    pub(super) fn terms_of(&self, passage: TailPassage) -> impl Iterator<Item = (&str, u32)> {
        self.frequencies[passage.start..passage.end]
            .iter()
            .map(|&(term, frequency)| (&*self.names[term as usize], frequency))
    }

    /// The postings of `term`, ascending by passage.
    pub(super) fn postings(&self, term: &str) -> &[(u32, u32)] {
        self.terms.get(term).map_or(&[], |&term| &self.postings[term as usize])
    }

    /// Adds a passage; its number is larger than all before it.
    pub(super) fn add<T: AsRef<str>>(&mut self, passage: u32, tokens: &[T]) {
        let start = self.frequencies.len();
        for token in tokens {
            let term = self.intern(token.as_ref());
            match self.postings[term as usize].last_mut() {
                Some((last, frequency)) if *last == passage => *frequency += 1,
                _ => {
                    self.postings[term as usize].push((passage, 1));
                    self.frequencies.push((term, 0));
                }
            }
        }
        for (term, frequency) in &mut self.frequencies[start..] {
            *frequency = self.postings[*term as usize].last().map_or(0, |&(_, frequency)| frequency);
        }
        let end = self.frequencies.len();
        self.bytes += (end - start) * 2 * size_of::<(u32, u32)>() + size_of::<TailPassage>();
        self.passages.push(TailPassage { passage, length: tokens.len() as u32, start, end });
    }

    /// Bytes of memory that it takes, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    fn intern(&mut self, term: &str) -> u32 {
        if let Some(&known) = self.terms.get(term) {
            return known;
        }
        let number = self.names.len() as u32;
        self.names.push(term.into());
        self.terms.insert(term.into(), number);
        self.postings.push(Vec::new());
        self.bytes += 2 * term.len() + 96;
        number
    }
}
