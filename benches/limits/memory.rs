//! What the memory allows: the figure that every scan is shown beside.

use std::hint::black_box;

/// A buffer and room for its copy.
pub(crate) struct Copied {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Copied {
    /// For copies of `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { from: vec![0xa5; bytes], to: vec![0; bytes] }
    }

    /// Copies the buffer: reads each byte and writes it once.
    pub(crate) fn copy(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&self.to);
    }
}
