//! Cuts a stream into lines, with bounded memory.

use super::record_stream::{MAX_RECORD_BYTES, Piece, too_long};

/// Takes chunks, gives lines. Blank lines are counted and left out; a line that is too long is reported and skipped to
/// its newline.
#[derive(Debug, Default)]
pub(super) struct Lines {
    number: u64,
    line: Vec<u8>,
    skipping: bool,
}

impl Lines {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut chunk: &[u8], out: &mut Vec<Piece>) {
        while let Some(end) = memchr(chunk) {
            self.extend(&chunk[..end], out);
            self.end_line(out);
            chunk = &chunk[end + 1..];
        }
        self.extend(chunk, out);
    }

    /// The stream came to its proper end: what is left is a line too.
    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        if self.skipping || !self.line.is_empty() {
            self.end_line(out);
        }
    }

    fn extend(&mut self, part: &[u8], out: &mut Vec<Piece>) {
        if self.skipping {
            return;
        }
        if part.len() > MAX_RECORD_BYTES - self.line.len() {
            self.skipping = true;
            self.line = Vec::new();
            out.push(Piece::Bad { number: self.number + 1, error: too_long() });
            return;
        }
        self.line.extend_from_slice(part);
    }

    fn end_line(&mut self, out: &mut Vec<Piece>) {
        self.number += 1;
        if std::mem::take(&mut self.skipping) {
            return;
        }
        let mut line = std::mem::take(&mut self.line);
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
