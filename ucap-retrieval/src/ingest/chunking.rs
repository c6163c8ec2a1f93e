//! Cuts the text of a record into passages that an embedding model reads whole.
//!
//! A passage ends where a section does, else a paragraph, a sentence, a line, a word. How much fits is measured in estimated word pieces,
//! since the models cut what is longer than their window without a word. The title goes in front of every passage, and so do the headings
//! that lead to one which begins inside a section: a passage is searched and read alone.

use std::collections::VecDeque;
use std::ops::Range;

use crate::record::{MAX_TITLE, Section};

/// The revision of what [`chunk`] returns, for a datasource's manifest: another one means that passages are cut anew.
pub const CHUNKER_REVISION: u32 = 2;
/// The longest piece of a body in one passage, in bytes.
pub const MAX_CHUNK_BYTES: usize = 4_096;
/// About the most passages of one record; a body with more of them at the usual length has longer ones.
pub const MAX_CHUNKS: usize = 65_536;

/// The word pieces that a passage may have with what stands in front. MiniLM reads 256, but its one vector of a full window hides a single
/// sentence: with "The capybara stole the private key." behind 16 sentences of filler (142 pieces) the cosine to `capybara private key` was
/// 0.39, behind 26 (222 pieces) it was 0.13.
const WINDOW: usize = 160;
/// The least that is left to the body, however long the title is.
const LEAST: usize = 120;
/// The longest run of text or of white space that is not cut, in bytes.
const MAX_PIECE: usize = 64;
/// The longest path of headings in front of a passage, in bytes.
const MAX_CONTEXT: usize = 160;

/// A passage of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Where it stands in the body, in bytes. The ranges of a body's chunks follow each other without a gap, from its beginning to its end.
    pub range: Range<usize>,
    /// What is indexed, embedded and shown: title, headings, and the piece of the body, each on its own line.
    pub text: String,
}

/// Cuts a body, in one pass over it. A record with a title alone has one chunk, one without any text has none.
pub fn chunk(title: &str, body: &str, sections: &[Section]) -> Vec<Chunk> {
    cut(title, body, sections, MAX_CHUNKS)
}

fn cut(title: &str, body: &str, sections: &[Section], max_chunks: usize) -> Vec<Chunk> {
    let title = title.trim();
    let title = title.get(..title.floor_char_boundary(MAX_TITLE)).unwrap_or_default();
    let letters = letters_a_piece(body);
    let total: usize = Pieces::new(body, sections, letters).map(|piece| piece.cost).sum();
    // A chunk is at least half full, so that twice the average bounds their number.
    let least = LEAST.max((2 * total).div_ceil(max_chunks));
    let mut output = Output { title, body, sections, chunks: Vec::new(), from: 0, blank: 0 };
    let mut pieces = Pieces::new(body, sections, letters);
    let mut window = Window::default();
    let mut consumed = 0;
    loop {
        let budget =
            WINDOW.saturating_sub(cost(title, letters) + cost(&output.context(output.from), letters)).max(least);
        let is_last = window.fill(&mut pieces, budget);
        if is_last {
            output.push(body.len());
            break;
        }
        let (end, cost) = window.take(budget, total - consumed);
        consumed += cost;
        output.push(end);
    }
    output.finish()
}

/// How well a text breaks behind a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Break {
    InWord,
    Word,
    Line,
    Sentence,
    Paragraph,
    Section,
}

/// A word, or a part of a long one, and the white space behind it.
#[derive(Clone, Copy, Debug)]
struct Piece {
    end: usize,
    bytes: usize,
    cost: usize,
    after: Break,
}

/// The pieces of a body from its beginning to its end.
struct Pieces<'a> {
    body: &'a str,
    at: usize,
    /// The sections that begin behind `at`.
    sections: &'a [Section],
    /// See [`letters_a_piece`].
    letters: usize,
}

impl<'a> Pieces<'a> {
    fn new(body: &'a str, sections: &'a [Section], letters: usize) -> Self {
        Self { body, at: 0, sections, letters }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while let Some((first, later)) = self.sections.split_first().filter(|(first, _)| first.start <= self.at) {
            debug_assert!(first.start <= self.at, "the sections are in order");
            self.sections = later;
        }
        let section = self.sections.first().map_or(self.body.len(), |section| section.start.min(self.body.len()));
        let rest =
            self.body.get(self.at..section).or_else(|| self.body.get(self.at..)).filter(|rest| !rest.is_empty())?;
        let word = run(rest, |c| !c.is_whitespace());
        let space = run(rest.get(word..).unwrap_or_default(), char::is_whitespace);
        let (word, space) = (rest.get(..word).unwrap_or_default(), rest.get(word..word + space).unwrap_or_default());
        self.at += word.len() + space.len();
        let after = if self.sections.first().is_some_and(|section| section.start == self.at) {
            Break::Section
        } else {
            break_after(word, space)
        };
        Some(Piece { end: self.at, bytes: word.len() + space.len(), cost: cost(word, self.letters), after })
    }
}

/// The length of the run of such characters that a text begins with, cut at [`MAX_PIECE`].
fn run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.char_indices().find(|&(at, c)| !is_in(c) || at + c.len_utf8() > MAX_PIECE).map_or(text.len(), |(at, _)| at)
}

fn break_after(word: &str, space: &str) -> Break {
    let end = word.trim_end_matches(['"', '\'', ')', ']', '*', '»', '”', '’', '`']);
    if space.bytes().filter(|byte| *byte == b'\n').count() > 1 {
        Break::Paragraph
    } else if end.ends_with(['。', '！', '？']) || (!space.is_empty() && end.ends_with(['.', '!', '?', '…'])) {
        Break::Sentence
    } else if space.contains('\n') {
        Break::Line
    } else if space.is_empty() {
        Break::InWord
    } else {
        Break::Word
    }
}

/// The pieces since the last break.
#[derive(Debug, Default)]
struct Window {
    pieces: VecDeque<Piece>,
    cost: usize,
    bytes: usize,
}

impl Window {
    /// Takes pieces in until they are too many for one chunk; true if they all fit.
    fn fill(&mut self, pieces: &mut Pieces<'_>, budget: usize) -> bool {
        while self.cost <= budget && self.bytes <= MAX_CHUNK_BYTES {
            let Some(piece) = pieces.next() else { return true };
            self.cost += piece.cost;
            self.bytes += piece.bytes;
            self.pieces.push_back(piece);
        }
        false
    }

    /// Takes the pieces of the next chunk out: where it ends, and what it costs. `remaining` is what is left of the body.
    fn take(&mut self, budget: usize, remaining: usize) -> (usize, usize) {
        // What fits into two chunks is cut near its middle, so that no tiny rest is left.
        let (least, middle) = match remaining <= 2 * budget {
            true => (remaining.saturating_sub(budget).max(remaining / 3), Some(remaining / 2)),
            false => (budget / 2, None),
        };
        let (mut cost, mut bytes) = (0, 0);
        let mut best: Option<(Break, usize)> = None;
        let mut count = 1;
        for (i, piece) in self.pieces.iter().enumerate() {
            cost += piece.cost;
            bytes += piece.bytes;
            if cost > budget || bytes > MAX_CHUNK_BYTES {
                break;
            }
            let distance = middle.map_or(budget - cost, |middle| middle.abs_diff(cost));
            let is_better = best.is_none_or(|(after, far)| {
                (piece.after, std::cmp::Reverse(distance)) >= (after, std::cmp::Reverse(far))
            });
            if cost >= least && is_better {
                best = Some((piece.after, distance));
            }
            // Before the least is reached, the furthest piece counts: white space may fill a chunk alone.
            if best.is_none() || best == Some((piece.after, distance)) {
                count = i + 1;
            }
        }
        let (mut end, mut taken) = (0, 0);
        for piece in self.pieces.drain(..count.min(self.pieces.len())) {
            end = piece.end;
            taken += piece.cost;
            self.bytes -= piece.bytes;
        }
        self.cost -= taken;
        (end, taken)
    }
}

/// The chunks as they come out.
struct Output<'a> {
    title: &'a str,
    body: &'a str,
    sections: &'a [Section],
    chunks: Vec<Chunk>,
    /// Where the next one begins.
    from: usize,
    /// Up to where there is nothing but white space from there.
    blank: usize,
}

impl Output<'_> {
    /// Ends a chunk here.
    fn push(&mut self, end: usize) {
        let piece = self.body.get(self.from.max(self.blank)..end).unwrap_or_default();
        if piece.trim().is_empty() {
            // White space alone belongs to the chunk before, or to the one after.
            self.blank = end;
            if let Some(last) = self.chunks.last_mut() {
                last.range.end = end;
                self.from = end;
            }
            return;
        }
        let context = self.context(end - piece.trim_start().len());
        let piece = piece.trim();
        let title = if piece.starts_with(self.title) || context.starts_with(self.title) { "" } else { self.title };
        let mut text = String::with_capacity(title.len() + context.len() + piece.len() + 2);
        for line in [title, &context].into_iter().filter(|line| !line.is_empty()) {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(piece);
        self.chunks.push(Chunk { range: self.from..end, text });
        self.from = end;
    }

    /// The headings that lead to a place of the body but do not stand there.
    fn context(&self, at: usize) -> String {
        let Some(index) = self.sections.partition_point(|section| section.start <= at).checked_sub(1) else {
            return String::new();
        };
        let Some(section) = self.sections.get(index) else { return String::new() };
        let path = if section.start == at { section.above.clone() } else { section.path() };
        let nearest = if section.start == at { "" } else { section.heading.as_str() };
        if path.len() <= MAX_CONTEXT { path } else { nearest.to_owned() }
    }

    fn finish(mut self) -> Vec<Chunk> {
        if self.chunks.is_empty() && !self.title.is_empty() {
            self.chunks.push(Chunk { range: 0..self.body.len(), text: self.title.to_owned() });
        }
        self.chunks
    }
}

/// How many letters of a word make a word piece, by the vocabulary of a model that was taught English: six in English (rather fewer than
/// they are, so that the estimate is safe), three in a language that is seen to be another by its letters.
fn letters_a_piece(body: &str) -> usize {
    let (all, others) = body
        .chars()
        .filter(|c| c.is_alphabetic())
        .fold((0usize, 0usize), |(all, others), c| (all + 1, others + usize::from(!c.is_ascii())));
    if others * 100 > all { 3 } else { 6 }
}

/// An estimate of the word pieces of a text, rather too many than too few.
fn cost(text: &str, letters_a_piece: usize) -> usize {
    let mut pieces = 0;
    let mut letters = 0;
    let mut digits = 0;
    for c in text.chars() {
        letters = if c.is_ascii_alphabetic() { letters + 1 } else { 0 };
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        let begins = match c {
            _ if letters > 0 => letters % letters_a_piece == 1,
            _ if digits > 0 => digits % 2 == 1,
            _ => !c.is_whitespace(),
        };
        pieces += usize::from(begins);
    }
    pieces
}

#[cfg(test)]
#[path = "chunking_tests.rs"]
mod tests;
