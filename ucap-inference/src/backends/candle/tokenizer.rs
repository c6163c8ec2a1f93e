//! Text to token ids, as sentence-transformers makes them: `[CLS]`, at most 254 word pieces, `[SEP]`.

use tokenizers::Tokenizer;

/// Tokens of a sequence at most, `[CLS]` and `[SEP]` included: `max_seq_length` of the model's
/// `sentence_bert_config.json`. (`tokenizer.json` says 128 and pads to it: neither is used.)
pub(super) const MAX_TOKENS: usize = 256;
/// What is tokenised of a long text at first. Grows when it gives fewer tokens than fit.
const FIRST_PREFIX: usize = 4 * 1024;

/// The model's word pieces and special tokens.
#[derive(Debug)]
pub(super) struct WordPieces {
    tokenizer: Tokenizer,
    start: u32,
    end: u32,
}

impl WordPieces {
    /// Reads the bytes of `tokenizer.json`.
    pub(super) fn load(json: &[u8]) -> Result<Self, tokenizers::Error> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        tokenizer.with_truncation(None)?.with_padding(None);
        let special = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("no {token} in the vocabulary"));
        let (start, end) = (special("[CLS]")?, special("[SEP]")?);
        Ok(Self { tokenizer, start, end })
    }

    /// The ids of `text`; what does not fit into [`MAX_TOKENS`] is cut off.
    ///
    /// A text may be megabytes long and only its start counts. So a prefix that ends before a blank is tokenised, and
    /// a longer one while it gives too few tokens: words are separated at blanks first of all, hence its tokens are
    /// the text's first tokens.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        let mut prefix = FIRST_PREFIX;
        loop {
            let part = before_blank(text, prefix);
            let encoding = self.tokenizer.encode_fast(part, false)?;
            if part.len() == text.len() || encoding.len() >= MAX_TOKENS - 2 {
                return Ok(self.frame(encoding.get_ids()));
            }
            prefix = prefix.saturating_mul(8);
        }
    }

    /// Ids that a caller tokenised: those that stand between `[CLS]` and `[SEP]` already are framed anew.
    pub(super) fn framed(&self, ids: &[u32]) -> Vec<u32> {
        match ids {
            [first, inner @ .., last] if *first == self.start && *last == self.end => self.frame(inner),
            inner => self.frame(inner),
        }
    }

    /// `[CLS]`, as many of the ids as fit, `[SEP]`.
    fn frame(&self, ids: &[u32]) -> Vec<u32> {
        let ids = &ids[..ids.len().min(MAX_TOKENS - 2)];
        [&[self.start], ids, &[self.end]].concat()
    }
}

/// The part of `text` before the last ASCII blank that lies in its first `bytes`, or before the first one after them.
fn before_blank(text: &str, bytes: usize) -> &str {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t');
    let all = text.as_bytes();
    if all.len() <= bytes {
        return text;
    }
    let cut = all[..bytes].iter().rposition(blank).filter(|cut| *cut > 0);
    let cut = cut.or_else(|| all[bytes..].iter().position(blank).map(|after| bytes + after));
    cut.and_then(|cut| text.get(..cut)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::before_blank;

    #[test]
    fn a_prefix_ends_before_a_blank_or_not_at_all() {
        assert_eq!(before_blank("short", 100), "short");
        assert_eq!(before_blank("one two three", 9), "one two");
        assert_eq!(before_blank("unbroken text", 3), "unbroken");
        assert_eq!(before_blank("ñandúñandú", 3), "ñandúñandú");
        assert_eq!(before_blank(" leading", 3), " leading");
    }
}
