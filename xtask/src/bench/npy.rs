//! The rows of a two-dimensional NumPy array of half floats, read one at a time
//! ([format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1 and 2).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::shell::Result;

/// An open array.
#[derive(Debug)]
pub(super) struct Rows {
    file: BufReader<File>,
    start: u64,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Rows {
    /// # Errors
    /// It cannot be read, or is no C-ordered two-dimensional array of little-endian half floats.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let broken = |what: &str| format!("{}: {what}", path.display());
        let file = File::open(path).map_err(|error| broken(&error.to_string()))?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut fixed = [0_u8; 8];
        file.read_exact(&mut fixed).map_err(|error| broken(&error.to_string()))?;
        if !fixed.starts_with(b"\x93NUMPY") {
            return Err(broken("no NumPy array"));
        }
        let width = if fixed[6] == 1 { 2 } else { 4 };
        let mut length = [0_u8; 4];
        file.read_exact(&mut length[..width]).map_err(|error| broken(&error.to_string()))?;
        let length = u32::from_le_bytes(length);
        let mut header = String::new();
        file.by_ref().take(length.into()).read_to_string(&mut header).map_err(|error| broken(&error.to_string()))?;
        let (rows, columns) = shape(&header).ok_or_else(|| broken("no two-dimensional array of half floats"))?;
        Ok(Self { file, start: 8 + width as u64 + u64::from(length), rows, columns })
    }

    /// The row after the one read last.
    ///
    /// # Errors
    /// The file ends early.
    pub(super) fn next_row(&mut self) -> Result<Vec<f32>> {
        let mut bytes = vec![0_u8; self.columns * 2];
        self.file.read_exact(&mut bytes).map_err(|error| format!("the vectors end early: {error}"))?;
        Ok(bytes.chunks_exact(2).map(|pair| half(u16::from_le_bytes([pair[0], pair[1]]))).collect())
    }

    /// Makes `next_row` read this one.
    ///
    /// # Errors
    /// The file cannot be read there.
    pub(super) fn seek(&mut self, row: usize) -> Result<()> {
        let at = self.start + (row * self.columns * 2) as u64;
        self.file.seek(SeekFrom::Start(at)).map(drop).map_err(|error| format!("the vectors cannot be read: {error}"))
    }
}

/// `{'descr': '<f2', 'fortran_order': False, 'shape': (64905, 384), }` -> (64905, 384).
fn shape(header: &str) -> Option<(usize, usize)> {
    if !header.contains("'descr': '<f2'") || !header.contains("'fortran_order': False") {
        return None;
    }
    let (inner, _) = header.split_once("'shape': (")?.1.split_once(')')?;
    let (rows, columns) = inner.split_once(',')?;
    Some((rows.trim().parse().ok()?, columns.trim().parse().ok()?))
}

/// An IEEE 754 half float, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::{half, shape};

    #[test]
    fn half_floats() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn headers() {
        assert_eq!(shape("{'descr': '<f2', 'fortran_order': False, 'shape': (64905, 384), }  \n"), Some((64905, 384)));
        assert_eq!(shape("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"), None);
        assert_eq!(shape("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3), }"), None);
        assert_eq!(shape("{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }"), None);
    }
}
