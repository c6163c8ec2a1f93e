//! Why a command did not do what it was asked: one sentence, and the exit code.

use bytes::Bytes;
use serde_json::Value as Json;
use ucap_core::Error;

use super::connection::Reply;

/// What the API advises, and how the same is done here.
const ADVICE: [(&str, &str); 7] = [
    ("send one as `Authorization: Bearer <key>`", "name one with --key or UCAP_KEY"),
    ("send a live one as `Authorization: Bearer <key>`", "name a live one with --key or UCAP_KEY"),
    ("or all with ?cascade=true", "or all of it with --cascade"),
    ("change it with PATCH", "`show` tells how; the command line does not change it"),
    ("the body ended before its end, or is no ", "it is cut off, or is no "),
    ("the body ended before its end;", "it broke off;"),
    ("send the rest again", "ingest it again"),
];

/// The result of a command's step.
pub(super) type Outcome<T> = Result<T, Complaint>;

/// A sentence for stderr.
#[derive(Debug)]
pub(super) struct Complaint {
    sentence: String,
    code: u8,
    /// The error answer, for `--json`.
    answer: Option<Bytes>,
}

impl Complaint {
    /// Exit code 1.
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 1, answer: None }
    }

    /// Exit code 2.
    pub(super) fn usage(sentence: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(sentence) }
    }

    /// What an error answer says.
    pub(super) fn of_reply(reply: &Reply) -> Self {
        let body: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
        let message = body["error"]["message"].as_str().map(str::to_owned);
        let mut sentence = message.unwrap_or_else(|| format!("the answer is HTTP {} and says no more", reply.status));
        for (there, here) in ADVICE {
            sentence = sentence.replace(there, here);
        }
        Self { answer: Some(reply.body.clone()), ..Self::new(sentence) }
    }

    /// Says first where it happened.
    #[must_use]
    pub(super) fn at(mut self, place: impl std::fmt::Display) -> Self {
        self.sentence = format!("{place}: {}", self.sentence);
        self
    }

    /// Says at the end how many records had been accepted by then.
    #[must_use]
    pub(super) fn after(mut self, accepted: u64) -> Self {
        self.sentence.push_str(&format!("; {accepted} records were accepted before that"));
        self
    }

    /// The sentence.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// The error answer.
    pub(super) fn answer(&self) -> Option<&Bytes> {
        self.answer.as_ref()
    }
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        Self::new(format!("{error}{cause}"))
    }
}
