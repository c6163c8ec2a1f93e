//! API keys: `ucap_live_<id>_<secret><checksum>`.
//!
//! The secret is 256 random bits, stored only as its HMAC-SHA-256 (RFC 2104) under a versioned pepper that lies outside
//! the catalog. The checksum (CRC-32, ISO-HDLC) lets a mistyped or cut-off key be refused without a look-up.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use ucap_core::catalog::KeySecret;
use ucap_core::{Entropy, Error, Redacted, Result};

const PREFIX: &str = "ucap_live_";
const SECRET_BYTES: usize = 32;

/// The text of a key, to be shown once.
#[derive(Debug, Clone)]
pub struct KeyText(Redacted<String>);

impl KeyText {
    /// A new text for the key `id`.
    pub fn mint(entropy: &dyn Entropy, id: &str) -> Self {
        let mut secret = [0u8; SECRET_BYTES];
        entropy.fill(&mut secret);
        let body = format!("{id}_{}", hex(&secret));
        Self(Redacted::new(format!("{PREFIX}{body}{:08x}", crc32(body.as_bytes()))))
    }

    /// The text, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The id in a key's text, if the text has the form of a key and its checksum holds.
pub fn id_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(PREFIX)?;
    let (body, checksum) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let (id, secret) = body.split_once('_')?;
    let whole = secret.len() == 2 * SECRET_BYTES && checksum == format!("{:08x}", crc32(body.as_bytes()));
    whole.then_some(id)
}

/// The keys that secrets are hashed with, by version. Old versions stay until no secret uses them.
#[derive(Debug, Clone)]
pub struct Peppers {
    current: u32,
    by_version: BTreeMap<u32, Redacted<[u8; 32]>>,
}

impl Peppers {
    /// One fresh pepper, version 1.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut pepper = [0u8; 32];
        entropy.fill(&mut pepper);
        Self { current: 1, by_version: BTreeMap::from([(1, Redacted::new(pepper))]) }
    }

    /// The file form: one `VERSION HEX` a line; the last is the current one.
    pub fn to_file(&self) -> Redacted<String> {
        let mut lines = String::new();
        for (version, pepper) in &self.by_version {
            let _ = writeln!(lines, "{version} {}", hex(pepper.expose()));
        }
        Redacted::new(lines)
    }

    /// Reads the file form.
    ///
    /// # Errors
    /// `Internal` when a line is not of that form; its content is not shown.
    pub fn from_file(text: &str) -> Result<Self> {
        let mut by_version = BTreeMap::new();
        for line in text.lines() {
            let parsed =
                line.split_once(' ').and_then(|(version, pepper)| Some((version.parse().ok()?, unhex(pepper)?)));
            let (version, pepper) =
                parsed.ok_or_else(|| Error::internal("the pepper file holds a line that cannot be read"))?;
            by_version.insert(version, Redacted::new(pepper));
        }
        let current = *by_version.keys().last().ok_or_else(|| Error::internal("the pepper file is empty"))?;
        Ok(Self { current, by_version })
    }

    /// What the catalog keeps of a key's text.
    pub fn seal(&self, text: &str) -> Option<KeySecret> {
        let hash = self.hash(self.current, text)?;
        Some(KeySecret { hash: hex(&hash), pepper: self.current, expires_at: None })
    }

    /// Whether `text` is what `secret` was made from, in time that does not depend on where they differ.
    pub fn opens(&self, secret: &KeySecret, text: &str) -> bool {
        self.hash(secret.pepper, text).is_some_and(|hash| hex(&hash).as_bytes().ct_eq(secret.hash.as_bytes()).into())
    }

    fn hash(&self, version: u32, text: &str) -> Option<[u8; 32]> {
        let pepper = self.by_version.get(&version)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(pepper.expose()).ok()?;
        mac.update(text.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ucap_core::SeededEntropy;

    #[test]
    fn crc32_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926); // the catalogue's check value of CRC-32/ISO-HDLC
    }

    #[test]
    fn a_key_is_recognised_and_only_whole() {
        let key = KeyText::mint(&SeededEntropy::new(1), "k0");
        assert_eq!(id_of(key.expose()), Some("k0"));
        for end in 0..key.expose().len() {
            assert_eq!(id_of(&key.expose()[..end]), None);
        }
        let mut typo = key.expose().to_owned();
        let last = typo.pop().unwrap();
        typo.push(if last == '0' { '1' } else { '0' });
        assert_eq!(id_of(&typo), None);
        assert_eq!(id_of("ucap_live_ñ"), None);
    }

    #[test]
    fn a_secret_opens_only_with_its_text_and_its_pepper() {
        let entropy = SeededEntropy::new(2);
        let peppers = Peppers::generate(&entropy);
        let (key, other) = (KeyText::mint(&entropy, "a"), KeyText::mint(&entropy, "a"));
        let sealed = peppers.seal(key.expose()).unwrap();
        assert!(peppers.opens(&sealed, key.expose()));
        assert!(!peppers.opens(&sealed, other.expose()));
        assert!(!Peppers::generate(&entropy).opens(&sealed, key.expose()));
        let again = Peppers::from_file(peppers.to_file().expose()).unwrap();
        assert!(again.opens(&sealed, key.expose()));
    }
}
