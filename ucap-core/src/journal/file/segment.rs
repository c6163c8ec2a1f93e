//! Segment files: their names, their lines from the front, and the destruction of payloads in one of them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::super::envelope::{MAX_LINE_BYTES, Record};
use crate::data_directory::{private, sync_directory};

/// The file name of segment `number`, such as `000001.log`.
pub(super) fn name_of(number: u32) -> String {
    format!("{number:06}.log")
}

/// Its path.
pub(super) fn path_of(directory: &Path, number: u32) -> PathBuf {
    directory.join(name_of(number))
}

/// Where an erasure writes its copy of segment `number`.
pub(super) fn erasing_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}.log.erasing"))
}

/// The numbers of the segments in `directory`, ascending; none where it does not exist. Other files are none of our
/// business.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    let files = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        files => files?,
    };
    for file in files {
        let name = file?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        if let Some(digits) = digits.filter(|d| d.len() >= 6 && d.bytes().all(|b| b.is_ascii_digit())) {
            numbers.extend(digits.parse::<u32>().ok().filter(|number| *number > 0));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What stands next in a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// A line that can be read; `start` and `end` are offsets in the file, `end` behind the newline.
    Entry { record: Box<Record>, start: u64, end: u64 },
    /// A line that cannot, or bytes without an end of line.
    Broken,
    /// The end of the segment, or of the part that was asked for.
    End,
}

/// Reads a segment's lines from an offset on, in bounded memory.
#[derive(Debug)]
pub(super) struct Lines {
    reader: io::Take<BufReader<File>>,
    offset: u64,
    line: Vec<u8>,
}

impl Lines {
    /// The lines of `path` that stand in `start..end`.
    pub(super) fn open(path: &Path, start: u64, end: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let reader = BufReader::with_capacity(64 << 10, file).take(end.saturating_sub(start));
        Ok(Self { reader, offset: start, line: Vec::new() })
    }

    /// Reads a line, newline included, of at most the bound; what is longer comes in pieces without a newline.
    fn read_raw(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        self.reader.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut self.line)?;
        self.offset += self.line.len() as u64;
        Ok(&self.line)
    }

    /// The next line.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let start = self.offset;
        let line = self.read_raw()?;
        if line.is_empty() {
            return Ok(Step::End);
        }
        let record = if line.ends_with(b"\n") { Record::read_line(line) } else { None };
        Ok(match record {
            Some(record) => Step::Entry { record: Box::new(record), start, end: self.offset },
            None => Step::Broken,
        })
    }
}

/// The first entry of `path` that can be read.
pub(super) fn first_record(path: &Path) -> io::Result<Option<Record>> {
    let mut lines = Lines::open(path, 0, u64::MAX)?;
    loop {
        match lines.step()? {
            Step::Entry { record, .. } => return Ok(Some(*record)),
            Step::Broken => {}
            Step::End => return Ok(None),
        }
    }
}

/// Replaces segment `number` by a copy without the payloads of `sequences`; every line keeps its length, so offsets that
/// others hold stay true. A reader that has the old file open reads on in the old file. Returns how many were erased.
pub(super) fn erase(directory: &Path, number: u32, sequences: &BTreeSet<u64>) -> io::Result<u64> {
    let path = path_of(directory, number);
    let copy = erasing_path(directory, number);
    let mut out = BufWriter::new(private(OpenOptions::new().write(true).create(true).truncate(true)).open(&copy)?);
    let mut lines = Lines::open(&path, 0, u64::MAX)?;
    let (mut erased, mut changed) = (0, Vec::new());
    loop {
        let line = lines.read_raw()?;
        if line.is_empty() {
            break;
        }
        let record = Record::read_line(line);
        match record.filter(|record| record.disclosure.is_some() && sequences.contains(&record.sequence)) {
            Some(record) => {
                changed.clear();
                record.write_erased(line.len(), &mut changed).map_err(io::Error::other)?;
                out.write_all(&changed)?;
                erased += 1;
            }
            None => out.write_all(line)?,
        }
    }
    if erased == 0 {
        drop(out);
        fs::remove_file(&copy)?;
        return Ok(0);
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&copy, &path)?;
    sync_directory(directory)?;
    Ok(erased)
}
