//! Records as they stream in: lines or an array, plain or compressed, cut into pieces within bounds.

use std::io;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use axum::body::Body;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use ucap_core::{Error, ErrorKind, Result};

use super::elements::Elements;
use super::lines::Lines;
use crate::session::SessionIngest;

/// One record is at most so long.
pub(super) const MAX_RECORD_BYTES: usize = 8 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// A piece of the stream.
#[derive(Debug)]
pub(super) enum Piece {
    /// What should be a record.
    Record {
        /// The line, or the element's place, from 1.
        number: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Something that was not kept.
    Bad {
        /// The line, or the element's place, from 1.
        number: u64,
        /// Why.
        error: Error,
    },
}

/// The bytes of the record that is being read; given up once there are too many.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    is_given_up: bool,
}

impl Gathered {
    /// Takes more bytes of record `number`; that there are too many is reported once.
    pub(super) fn extend(&mut self, part: &[u8], number: u64, out: &mut Vec<Piece>) {
        if self.is_given_up {
            return;
        }
        if part.len() > MAX_RECORD_BYTES - self.bytes.len() {
            *self = Self { bytes: Vec::new(), is_given_up: true };
            out.push(Piece::Bad { number, error: too_long() });
            return;
        }
        self.bytes.extend_from_slice(part);
    }

    /// Whether nothing came.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_given_up
    }

    /// The record's bytes at its end, `None` of one that was given up; what comes then is the next one's.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let Self { bytes, is_given_up } = std::mem::take(self);
        (!is_given_up).then_some(bytes)
    }
}

/// How records follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One a line.
    Lines,
    /// JSON: an array; or one record; or, since many send it so, lines.
    Json,
}

/// How the body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// It is not.
    Plain,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

/// What cuts the stream.
#[derive(Debug)]
pub(super) enum Cutter {
    /// Into lines.
    Lines(Lines),
    /// Into elements.
    Elements(Elements),
    /// Not at all: one record that spans lines.
    Whole(Vec<u8>),
    /// Into something that the first bytes tell.
    Undecided(Vec<u8>),
}

impl Cutter {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Lines => Self::Lines(Lines::default()),
            Framing::Json => Self::Undecided(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<Piece>) {
        match self {
            Self::Lines(lines) => lines.push(chunk, out),
            Self::Elements(elements) => elements.push(chunk, out),
            Self::Whole(whole) if whole.len() <= MAX_RECORD_BYTES => {
                let room = (MAX_RECORD_BYTES + 1).saturating_sub(whole.len());
                whole.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Self::Whole(_) => {}
            Self::Undecided(seen) => {
                seen.extend_from_slice(chunk);
                if let Some(mut decided) = decide(seen) {
                    let seen = std::mem::take(seen);
                    decided.push(&seen, out);
                    *self = decided;
                }
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        match self {
            Self::Lines(lines) => lines.finish(out),
            Self::Elements(elements) => elements.finish(out),
            Self::Whole(whole) | Self::Undecided(whole) => {
                let bytes = std::mem::take(whole);
                if bytes.len() > MAX_RECORD_BYTES {
                    out.push(Piece::Bad { number: 1, error: too_long() });
                } else if !bytes.iter().all(u8::is_ascii_whitespace) {
                    out.push(Piece::Record { number: 1, bytes });
                }
            }
        }
    }
}

/// What JSON begins like `seen`: an array by its bracket; lines if the first is complete by itself; else one record.
/// `None` while that cannot be told.
fn decide(seen: &[u8]) -> Option<Cutter> {
    let text = seen.strip_prefix(b"\xef\xbb\xbf").unwrap_or(seen);
    let Some(start) = text.iter().position(|byte| !byte.is_ascii_whitespace()) else {
        return (seen.len() > MAX_RECORD_BYTES).then(|| Cutter::Lines(Lines::default()));
    };
    let text = &text[start..];
    if text[0] == b'[' {
        return Some(Cutter::Elements(Elements::default()));
    }
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) if is_balanced(&text[..end]) => Some(Cutter::Lines(Lines::default())),
        Some(_) => Some(Cutter::Whole(Vec::new())),
        None if text.len() > MAX_RECORD_BYTES => Some(Cutter::Lines(Lines::default())),
        None => None,
    }
}

fn is_balanced(line: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0i64, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    depth <= 0 && !quoted
}

/// Feeds a body to an ingest. An error is one that ended the stream before its end: then what was not committed is lost,
/// the partial record first of all.
pub(super) async fn feed(ingest: &mut SessionIngest, body: Body, framing: Framing, coding: Coding) -> Result<()> {
    let stream = body.into_data_stream().map_err(io::Error::other).boxed();
    let plain = StreamReader::new(stream);
    let mut reader: Box<dyn AsyncRead + Send + Unpin> = match coding {
        Coding::Plain => Box::new(plain),
        Coding::Zstd => {
            let mut decoder = ZstdDecoder::new(plain);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(plain);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
    };
    let mut cutter = Cutter::new(framing);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut pieces = Vec::new();
    loop {
        let read = reader.read(&mut chunk).await.map_err(|cause| ended_early(coding, cause))?;
        if read == 0 {
            cutter.finish(&mut pieces);
        } else {
            cutter.push(&chunk[..read], &mut pieces);
        }
        for piece in pieces.drain(..) {
            match piece {
                Piece::Record { number, bytes } => ingest.line(number, &bytes).await?,
                Piece::Bad { number, error } => ingest.reject(number, &error),
            }
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn ended_early(coding: Coding, cause: io::Error) -> Error {
    let message = match coding {
        Coding::Plain => "the body ended before its end; finished batches were kept, send the rest again",
        Coding::Zstd => "the body ended before its end, or is no zstd; finished batches were kept, send the rest again",
        Coding::Gzip => "the body ended before its end, or is no gzip; finished batches were kept, send the rest again",
    };
    Error::invalid("body", message).with_source(cause)
}

fn too_long() -> Error {
    Error::new(ErrorKind::TooLarge, format!("the record is longer than {MAX_RECORD_BYTES} bytes"))
}

#[cfg(test)]
#[path = "record_stream_tests.rs"]
mod tests;
