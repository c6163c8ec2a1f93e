//! Cuts a JSON array into its elements while it streams in, with bounded memory.
//!
//! Only strings and nesting are tracked, so that the elements' ends are found; whether an element is valid JSON is for
//! its reader to say, and one that is not costs just itself. A break of the array itself (a missing bracket, bytes behind
//! it) is reported as one more element, and nothing after it is read.

use ucap_core::Error;

use super::record_stream::{Gathered, Piece};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening bracket.
    Before,
    /// Inside of it.
    Inside,
    /// Behind the closing one.
    Behind,
    /// Given up.
    Broken,
}

/// Takes chunks, gives elements, counted from 1.
#[derive(Debug)]
pub(super) struct Elements {
    state: State,
    number: u64,
    element: Gathered,
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// Whether a comma demands one more element.
    after_comma: bool,
}

impl Default for Elements {
    fn default() -> Self {
        Self {
            state: State::Before,
            number: 0,
            element: Gathered::default(),
            depth: 0,
            quoted: false,
            escaped: false,
            after_comma: false,
        }
    }
}

impl Elements {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<Piece>) {
        let mut begin = 0;
        let mut at = 0;
        while at < chunk.len() {
            let byte = chunk[at];
            let ends = self.state == State::Inside && self.ends_element(byte);
            match self.state {
                State::Inside if ends => {
                    self.element.extend(&chunk[begin..at], self.number + 1, out);
                    begin = at + 1;
                    self.end_element(byte, out);
                }
                State::Inside => {}
                State::Before if byte == b'[' => {
                    self.state = State::Inside;
                    begin = at + 1;
                }
                // A byte order mark is no part of the array.
                State::Before if matches!(byte, 0xef | 0xbb | 0xbf) => {}
                State::Before | State::Behind if byte.is_ascii_whitespace() => {}
                State::Before | State::Behind => {
                    let what = if self.state == State::Before { "before" } else { "behind" };
                    self.give_up(format!("there are bytes {what} the array"), out);
                    return;
                }
                State::Broken => return,
            }
            at += 1;
        }
        if self.state == State::Inside {
            self.element.extend(&chunk[begin..], self.number + 1, out);
        }
    }

    /// The stream came to its proper end.
    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        match self.state {
            State::Behind | State::Broken => {}
            State::Before => self.give_up("there is no array".to_owned(), out),
            State::Inside => self.give_up("the array is not closed".to_owned(), out),
        }
    }

    /// Follows strings and nesting; true for a comma or bracket of the array itself.
    fn ends_element(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        match byte {
            b'\\' if self.quoted => self.escaped = true,
            b'"' => self.quoted = !self.quoted,
            _ if self.quoted => {}
            b',' | b']' if self.depth == 0 => return true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }

    fn end_element(&mut self, delimiter: u8, out: &mut Vec<Piece>) {
        let element = self.element.take();
        let blank = element.as_ref().is_some_and(|bytes| bytes.iter().all(u8::is_ascii_whitespace));
        let last = delimiter == b']';
        if last {
            self.state = State::Behind;
        }
        // `[]` and the end behind the last element; but `[1,]` and `[1,,2]` miss one.
        if blank && last && !self.after_comma {
            return;
        }
        self.number += 1;
        self.after_comma = !last;
        let Some(bytes) = element else { return };
        out.push(if blank {
            Piece::Bad { number: self.number, error: Error::invalid("body", "an element of the array is missing") }
        } else {
            Piece::Record { number: self.number, bytes }
        });
    }

    fn give_up(&mut self, reason: String, out: &mut Vec<Piece>) {
        self.state = State::Broken;
        self.element = Gathered::default();
        self.number += 1;
        let message = format!("{reason}; what comes after element {} was not read", self.number - 1);
        out.push(Piece::Bad { number: self.number, error: Error::invalid("body", message) });
    }
}
