//! Cuts a stream into lines, with bounded memory.

use super::record_stream::{Gathered, Piece};

/// Takes chunks, gives lines. Blank lines are counted and left out; a line that is too long is reported and skipped to
/// its newline.
#[derive(Debug, Default)]
pub(super) struct Lines {
    number: u64,
    line: Gathered,
}

impl Lines {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut chunk: &[u8], out: &mut Vec<Piece>) {
        while let Some(end) = memchr(chunk) {
            self.line.extend(&chunk[..end], self.number + 1, out);
            self.end_line(out);
            chunk = &chunk[end + 1..];
        }
        self.line.extend(chunk, self.number + 1, out);
    }

    /// The stream came to its proper end: what is left is a line too.
    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        if !self.line.is_empty() {
            self.end_line(out);
        }
    }

    fn end_line(&mut self, out: &mut Vec<Piece>) {
        self.number += 1;
        let Some(mut line) = self.line.take() else { return };
        if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3); // a byte order mark is no part of the record
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            out.push(Piece::Record { number: self.number, bytes: line });
        }
    }
}

fn memchr(chunk: &[u8]) -> Option<usize> {
    chunk.iter().position(|byte| *byte == b'\n')
}
