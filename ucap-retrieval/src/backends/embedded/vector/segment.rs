//! One file of vectors: written once, read by memory mapping, proved by checksums.
//!
//! Little-endian, each section at a multiple of 64 bytes:
//!
//! ```text
//! header     magic, version, dimensions, rows, first and last passage, change, whether
//!            passages are consecutive; BLAKE3 of the scan sections, of the
//!            table of row groups, and of the header itself
//! scan       passages u32 · records: scale, residual norm, norm f32, 4 bytes 0, codes i8 (dimensions padded to 32)
//! groups     BLAKE3 of each 16 exact rows
//! exact      rows f32 (dimensions padded to 32)
//! ```
//!
//! Opening reads the header and the table of groups and compares the file's length, which finds torn and cut files. The
//! scan sections are hashed as a whole at their first use, exact rows by group at theirs: hashing all of a large file
//! would hold up the first search for no need, and nothing is used before it is proved.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;
use ucap_core::data_directory::private;

use super::columns::{ScanColumns, record_bytes_of, stride_of};

const MAGIC: &[u8; 8] = b"ucapvec\0";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 192;
/// Where the header's own checksum lies.
const HEADER_CHECKSUM: usize = HEADER_BYTES - 32;
const ALIGNMENT: usize = 64;
const ROWS_IN_GROUP: usize = 16;
const CHECKSUM_BYTES: usize = 32;

#[cfg(target_endian = "big")]
compile_error!("vector segments are mapped as they lie on disk, little-endian");

/// Why a segment cannot be used.
#[derive(Debug)]
pub(super) enum SegmentError {
    /// The operating system refused; the file may be sound.
    System(io::Error),
    /// The file is missing, cut, or not what was written.
    Damaged(&'static str),
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Damaged("it is missing"),
            _ => Self::System(error),
        }
    }
}

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    map: Mmap,
    layout: Layout,
    first: u32,
    last: u32,
    change: u64,
    is_consecutive: bool,
    scan_checksum: [u8; CHECKSUM_BYTES],
    is_scan_sound: OnceLock<bool>,
    /// One bit a group of exact rows that was proved.
    proved: Vec<AtomicU64>,
}

/// Where the sections of a file lie.
#[derive(Clone, Copy, Debug)]
struct Layout {
    rows: usize,
    stride: usize,
}

impl Layout {
    /// Passages, records, groups, exact; saturating, so that a header that lies is merely a
    /// length that does not fit.
    fn sections(self) -> [Range<usize>; 4] {
        let Self { rows, stride } = self;
        let bytes = |one: usize| rows.saturating_mul(one);
        let groups = rows.div_ceil(ROWS_IN_GROUP).saturating_mul(CHECKSUM_BYTES);
        let mut start = HEADER_BYTES;
        [bytes(4), bytes(record_bytes_of(stride)), groups, bytes(stride.saturating_mul(4))].map(|length| {
            let section = start..start.saturating_add(length);
            start = section.end.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX);
            section
        })
    }

    fn file_bytes(self) -> usize {
        self.sections()[3].end
    }

    /// All sections that a scan reads, with the gaps between them.
    fn scan(self) -> Range<usize> {
        let sections = self.sections();
        sections[0].start..sections[1].end
    }
}

/// A row to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowRef<'a> {
    pub(super) scan: ScanColumns<'a>,
    pub(super) row: usize,
    pub(super) exact: &'a [f32],
}

impl Segment {
    /// Opens the file at `path`, which must have rows of `dimensions` components.
    pub(super) fn open(path: &Path, dimensions: usize) -> Result<Self, SegmentError> {
        let file = File::open(path)?;
        #[expect(
            unsafe_code,
            reason = "the file is written once under a temporary name and never changed; the data directory is locked \
                      against other processes"
        )]
        let map = unsafe { Mmap::map(&file)? };
        let header = map.get(..HEADER_BYTES).ok_or(SegmentError::Damaged("it has no header"))?;
        let (body, checksum) = header.split_at(HEADER_CHECKSUM);
        if blake3::hash(body).as_bytes() != checksum {
            return Err(SegmentError::Damaged("its header does not fit its checksum"));
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let stride = stride_of(dimensions);
        if &header[..8] != MAGIC || number(8) != VERSION || number(12) as usize != dimensions {
            return Err(SegmentError::Damaged("it is of another version or has other dimensions"));
        }
        let layout = Layout { rows: number(16) as usize, stride };
        if layout.file_bytes() != map.len() || layout.rows == 0 {
            return Err(SegmentError::Damaged("its length does not fit its header"));
        }
        let [.., groups, _] = layout.sections();
        if blake3::hash(&map[groups]).as_bytes() != &header[72..104] {
            return Err(SegmentError::Damaged("its table of groups does not fit its checksum"));
        }
        let mut scan_checksum = [0; CHECKSUM_BYTES];
        scan_checksum.copy_from_slice(&header[40..72]);
        let words = layout.rows.div_ceil(ROWS_IN_GROUP).div_ceil(u64::BITS as usize);
        Ok(Self {
            path: path.to_owned(),
            layout,
            first: number(20),
            last: number(24),
            change: u64::from(number(28)) | u64::from(number(32)) << 32,
            is_consecutive: number(36) != 0,
            scan_checksum,
            is_scan_sound: OnceLock::new(),
            proved: std::iter::repeat_with(AtomicU64::default).take(words).collect(),
            map,
        })
    }

    /// Writes `rows` (at least one, ascending by passage) to `path`: to a temporary name first, synced, then renamed. The
    /// caller syncs the directory.
    pub(super) fn write(path: &Path, dimensions: usize, change: u64, rows: &[RowRef<'_>]) -> io::Result<()> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(io::Error::other("a segment has at least one row"));
        };
        let stride = stride_of(dimensions);
        let layout = Layout { rows: rows.len(), stride };
        let mut body = Vec::with_capacity(layout.scan().len() + rows.len() * 2 + ALIGNMENT);
        write_scan(&mut body, rows);
        let scan_checksum = blake3::hash(&body[..layout.scan().len()]);
        let groups_start = body.len();
        for group in rows.chunks(ROWS_IN_GROUP) {
            let mut hasher = blake3::Hasher::new();
            for row in group {
                hasher.update(bytes_of(row.exact));
            }
            body.extend_from_slice(hasher.finalize().as_bytes());
        }
        let groups_checksum = blake3::hash(&body[groups_start..]);
        pad(&mut body);

        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        let numbers = [
            VERSION,
            dimensions as u32,
            rows.len() as u32,
            first.passage(),
            last.passage(),
            change as u32,
            (change >> 32) as u32,
            u32::from(rows.windows(2).all(|pair| pair[0].passage() + 1 == pair[1].passage())),
        ];
        numbers.iter().for_each(|number| header.extend_from_slice(&number.to_le_bytes()));
        header.extend_from_slice(scan_checksum.as_bytes());
        header.extend_from_slice(groups_checksum.as_bytes());
        header.resize(HEADER_CHECKSUM, 0);
        let header_checksum = blake3::hash(&header);
        header.extend_from_slice(header_checksum.as_bytes());

        let temporary = path.with_extension("tmp");
        let file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&temporary)?;
        let mut out = BufWriter::new(file);
        out.write_all(&header)?;
        out.write_all(&body)?;
        for row in rows {
            out.write_all(bytes_of(row.exact))?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&temporary, path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn first(&self) -> u32 {
        self.first
    }

    pub(super) fn last(&self) -> u32 {
        self.last
    }

    pub(super) fn change(&self) -> u64 {
        self.change
    }

    pub(super) fn is_consecutive(&self) -> bool {
        self.is_consecutive
    }

    pub(super) fn len(&self) -> usize {
        self.layout.rows
    }

    /// The columns of a scan, proved at the first call.
    pub(super) fn scan(&self) -> Result<ScanColumns<'_>, SegmentError> {
        let is_sound = self
            .is_scan_sound
            .get_or_init(|| *blake3::hash(&self.map[self.layout.scan()]).as_bytes() == self.scan_checksum);
        if !is_sound {
            return Err(SegmentError::Damaged("its codes do not fit their checksum"));
        }
        let [passages, records, ..] = self.layout.sections();
        Ok(ScanColumns {
            passages: cast(&self.map[passages]),
            records: cast(&self.map[records]),
            record_bytes: record_bytes_of(self.layout.stride),
            is_consecutive: self.is_consecutive,
        })
    }

    /// An exact row, proved with its group at the first call.
    pub(super) fn exact(&self, row: usize) -> Result<&[f32], SegmentError> {
        let [.., groups, exact] = self.layout.sections();
        let row_bytes = self.layout.stride * 4;
        let group = row / ROWS_IN_GROUP;
        let (word, bit) = (&self.proved[group / 64], 1u64 << (group % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            let start = exact.start + group * ROWS_IN_GROUP * row_bytes;
            let end = exact.end.min(start + ROWS_IN_GROUP * row_bytes);
            let expected = &self.map[groups.start + group * CHECKSUM_BYTES..][..CHECKSUM_BYTES];
            if blake3::hash(&self.map[start..end]).as_bytes() != expected {
                return Err(SegmentError::Damaged("its vectors do not fit their checksum"));
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(cast(&self.map[exact.start + row * row_bytes..][..row_bytes]))
    }

    /// Takes a damaged file out of the way, so that the next opening replays what it held.
    pub(super) fn set_aside(&self) {
        // The file stays mapped. Should the rename fail, the damage is found again.
        if let Err(error) = std::fs::rename(&self.path, self.path.with_extension("damaged")) {
            tracing::warn!(path = %self.path.display(), %error, "damaged vector segment cannot be set aside");
        }
    }
}

impl RowRef<'_> {
    fn passage(&self) -> u32 {
        self.scan.passages[self.row]
    }
}

fn write_scan(body: &mut Vec<u8>, rows: &[RowRef<'_>]) {
    rows.iter().for_each(|row| body.extend_from_slice(&row.passage().to_le_bytes()));
    pad(body);
    rows.iter().for_each(|row| body.extend_from_slice(bytes_of(row.scan.record_bytes(row.row))));
    pad(body);
}

/// Fills up to the next section; the header is a whole number of them.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
}

/// Numbers for which every pattern of bits is a value, and that have no padding.
trait Plain: Copy {}
impl Plain for u32 {}
impl Plain for f32 {}
impl Plain for i8 {}

fn cast<T: Plain>(bytes: &[u8]) -> &[T] {
    #[expect(unsafe_code, reason = "every pattern of bits is a value of `T`")]
    let (before, numbers, after) = unsafe { bytes.align_to::<T>() };
    debug_assert!(before.is_empty() && after.is_empty(), "sections are aligned");
    numbers
}

fn bytes_of<T: Plain>(numbers: &[T]) -> &[u8] {
    #[expect(unsafe_code, reason = "`T` has no padding, and every byte is a value of `u8`")]
    let (_, bytes, _) = unsafe { numbers.align_to::<u8>() };
    bytes
}
