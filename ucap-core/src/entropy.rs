//! Randomness as a port, so that a test can seed it.

use std::fmt::Debug;

/// Fills buffers with random bytes; the system's source is fit for keys.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator, through a thread-local CSPRNG.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

/// A reproducible stream from a seed (BLAKE3 in extendable-output mode). For tests only: never for keys.
#[derive(Debug)]
pub struct SeededEntropy(parking_lot::Mutex<blake3::OutputReader>);

impl SeededEntropy {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        Self(parking_lot::Mutex::new(hasher.finalize_xof()))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill(bytes);
    }
}

/// A fresh identifier: `prefix` and 16 random characters of the Crockford alphabet (80 bits).
pub fn mint_id(entropy: &dyn Entropy, prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0u8; 16];
    entropy.fill(&mut bytes);
    let mut id = String::with_capacity(prefix.len() + bytes.len());
    id.push_str(prefix);
    id.extend(bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])));
    id
}
