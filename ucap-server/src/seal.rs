//! Sealed tokens: what callers carry for the platform (cursors, ETags) and can neither read nor make.
//!
//! A tag over purpose, binding and content proves that a token is ours, for this use and for whom it was made; the
//! content is hidden under a key stream that follows from the tag (a synthetic initialisation vector, as in RFC 5297), so
//! that the same content always gives the same token and its length tells nothing but the content's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ucap_core::Redacted;

const TAG_BYTES: usize = 16;
/// No token of ours is longer, in characters.
const MAX_TOKEN: usize = 2048;

/// Makes and opens sealed tokens.
#[derive(Debug)]
pub(crate) struct Sealer {
    tag: Redacted<[u8; 32]>,
    stream: Redacted<[u8; 32]>,
}

impl Sealer {
    /// With keys of its own, derived from `key`.
    pub(crate) fn new(key: &Redacted<[u8; 32]>) -> Self {
        let derived = |context: &str| Redacted::new(blake3::derive_key(context, key.expose()));
        Self { tag: derived("ucap 1 sealed token: tag"), stream: derived("ucap 1 sealed token: key stream") }
    }

    /// A token for `purpose` that opens with the same `binding` only.
    pub(crate) fn close(&self, purpose: &str, binding: &[u8], content: &[u8]) -> String {
        let tag = self.tag(purpose, binding, content);
        let mut token = tag.to_vec();
        token.extend(self.masked(&tag, content));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The content of a token; `None` for one that is not ours, or was made for another purpose or binding.
    pub(crate) fn open(&self, purpose: &str, binding: &[u8], token: &str) -> Option<Vec<u8>> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (tag, hidden) = bytes.split_at_checked(TAG_BYTES)?;
        let content = self.masked(tag, hidden);
        let ours = self.tag(purpose, binding, &content);
        bool::from(subtle::ConstantTimeEq::ct_eq(&ours[..], tag)).then_some(content)
    }

    fn tag(&self, purpose: &str, binding: &[u8], content: &[u8]) -> [u8; TAG_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(self.tag.expose());
        for part in [purpose.as_bytes(), binding, content] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let mut tag = [0; TAG_BYTES];
        hasher.finalize_xof().fill(&mut tag);
        tag
    }

    fn masked(&self, tag: &[u8], content: &[u8]) -> Vec<u8> {
        let mut stream = vec![0; content.len()];
        blake3::Hasher::new_keyed(self.stream.expose()).update(tag).finalize_xof().fill(&mut stream);
        content.iter().zip(stream).map(|(a, b)| a ^ b).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(&Redacted::new([key; 32]))
    }

    #[test]
    fn a_token_opens_for_what_it_was_made_for() {
        let ours = sealer(7);
        for content in [&b""[..], b"x", b"some id", &[0; 600]] {
            let token = ours.close("list", b"ana", content);
            assert_eq!(ours.open("list", b"ana", &token).as_deref(), Some(content));
            assert_eq!(token, ours.close("list", b"ana", content), "the same each time");
            assert_eq!(ours.open("list", b"bea", &token), None, "somebody else's");
            assert_eq!(ours.open("audit", b"ana", &token), None, "another purpose");
            assert_eq!(ours.open("lista", b"na", &token), None, "parts keep apart");
            assert_eq!(sealer(8).open("list", b"ana", &token), None, "another installation's");
        }
    }

    #[test]
    fn a_changed_token_does_not_open() {
        let ours = sealer(7);
        let token = ours.close("list", b"ana", b"some id");
        for end in 0..token.len() {
            assert_eq!(ours.open("list", b"ana", &token[..end]), None, "cut at {end}");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(ours.open("list", b"ana", &URL_SAFE_NO_PAD.encode(changed)), None, "bit at {at}");
        }
        assert_eq!(ours.open("list", b"ana", &"A".repeat(1 << 20)), None, "too long");
    }

    #[test]
    fn tokens_hide_their_content() {
        let ours = sealer(7);
        let tokens: Vec<String> = (0..64u64).map(|n| ours.close("audit", b"ana", &n.to_le_bytes())).collect();
        assert!(!tokens.is_sorted());
        assert!(tokens.iter().all(|token| token.len() == tokens[0].len()));
    }
}
