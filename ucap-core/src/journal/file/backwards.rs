//! Reading a segment from its end: pages of the newest entries, and the place where an older page starts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::super::envelope::{MAX_LINE_BYTES, Record};
use super::segment::{Lines, Step};

const CHUNK_BYTES: u64 = 64 << 10;

/// The lines of `0..end` of a file, last first, in bounded memory.
#[derive(Debug)]
pub(super) struct BackwardLines {
    file: File,
    /// Offset of the first byte in `buffer`.
    position: u64,
    /// What was read and not yet handed out.
    buffer: Vec<u8>,
    /// Lines of other principals are passed over without being decoded.
    only: Option<Vec<u8>>,
}

/// A line from the back: its offset, and its record when it can be read.
#[derive(Debug)]
pub(super) struct BackwardLine {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) record: Option<Record>,
    /// Nobody looked whether it can be read: it is not of the principal that was asked for.
    pub(super) passed_over: bool,
}

/// The key of the principal's field. Quotes inside of texts are escaped, so it stands in a line but once.
const PRINCIPAL_KEY: &[u8] = b",\"principal\":";

fn is_of(line: &[u8], principal: &[u8]) -> bool {
    let key = line.windows(PRINCIPAL_KEY.len()).position(|window| window == PRINCIPAL_KEY);
    let value = key.and_then(|at| line.get(at + PRINCIPAL_KEY.len()..));
    value.is_some_and(|value| value.starts_with(principal))
}

impl BackwardLines {
    pub(super) fn open(path: &Path, end: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = end.min(file.metadata()?.len());
        Ok(Self { file, position: end, buffer: Vec::new(), only: None })
    }

    /// Passes over the lines of others than `principal` from here on; `None` looks at every line.
    pub(super) fn look_for(&mut self, principal: Option<&str>) -> io::Result<()> {
        self.only = principal.map(serde_json::to_vec).transpose()?;
        Ok(())
    }

    /// The line before, or `None` at the beginning. A stretch longer than any line comes in pieces, all broken.
    pub(super) fn step(&mut self) -> io::Result<Option<BackwardLine>> {
        loop {
            let inner = self.buffer.len().saturating_sub(1); // the last byte is the line's own newline
            let newline = self.buffer[..inner].iter().rposition(|byte| *byte == b'\n');
            let from = match newline {
                Some(newline) => newline + 1,
                None if self.position > 0 && self.buffer.len() <= MAX_LINE_BYTES => {
                    self.read_chunk()?;
                    continue;
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => 0,
            };
            let line = &self.buffer[from..];
            let passed_over = self.only.as_ref().is_some_and(|principal| !is_of(line, principal));
            let record = if passed_over || !line.ends_with(b"\n") { None } else { Record::read_line(line) };
            let end = self.position + self.buffer.len() as u64;
            self.buffer.truncate(from);
            return Ok(Some(BackwardLine { start: self.position + from as u64, end, record, passed_over }));
        }
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        // A chunk as long as what is there already: a long line is copied a few times, not once for each chunk.
        let length = CHUNK_BYTES.max(self.buffer.len() as u64).min(self.position);
        self.position -= length;
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut chunk = Vec::with_capacity(length as usize + self.buffer.len());
        self.file.by_ref().take(length).read_to_end(&mut chunk)?;
        if chunk.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.append(&mut self.buffer);
        self.buffer = chunk;
        Ok(())
    }
}

/// An offset at which a line starts, not long after the last entry with a sequence below `before`: bisection, so that a
/// page in the middle of a segment does not read the rest of it. Falls back to `end` where lines are broken.
pub(super) fn seek_before(path: &Path, end: u64, before: u64) -> io::Result<u64> {
    let (mut low, mut high, mut boundary) = (0, end, end);
    while high - low > CHUNK_BYTES {
        let middle = low + (high - low) / 2;
        let mut lines = Lines::open(path, middle, boundary)?;
        lines.step()?; // the rest of the line that `middle` falls into
        match lines.step()? {
            Step::Entry { record, end, .. } if record.sequence < before => low = end.min(high),
            Step::Entry { start, .. } => (high, boundary) = (middle, start),
            Step::End => high = middle,
            Step::Broken => break,
        }
    }
    Ok(boundary)
}
