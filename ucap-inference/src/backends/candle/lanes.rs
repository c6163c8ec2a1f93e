//! Two bounded queues before the worker threads: queries, and ingest, which only gets what queries leave.
//!
//! Work is handed out in pieces of about [`PIECE`] tokens, each lane taking turns among its requests. So a query waits
//! for one piece of ingest at most, and a small request is not stuck behind a big one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use ucap_core::{EmbeddingLane, Error, ErrorKind, RequestContext, Result};

use super::tokenizer::MAX_TOKENS;
use crate::embedding::EmbeddingInputs;

/// Estimated tokens of a piece: one longest text. Smaller pieces would let a query in earlier.
const PIECE: usize = MAX_TOKENS;

/// The vectors of a request, in the order of its inputs, and the tokens that were read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Embedded {
    pub(super) vectors: Vec<Vec<f32>>,
    pub(super) tokens: u64,
}

/// The queues. Shared by those who ask and the threads that work.
#[derive(Debug)]
pub(super) struct Lanes {
    queues: Mutex<Queues>,
    wakes: Condvar,
    bound: usize,
}

#[derive(Debug, Default)]
struct Queues {
    query: Lane,
    ingest: Lane,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lane {
    requests: VecDeque<Waiting>,
    /// Estimated tokens of what waits.
    tokens: usize,
}

/// A request of which some inputs have not been handed out.
#[derive(Debug)]
struct Waiting {
    request: Arc<Request>,
    next: usize,
}

/// A request that was admitted.
#[derive(Debug)]
struct Request {
    context: RequestContext,
    inputs: EmbeddingInputs,
    answer: Mutex<Answer>,
}

#[derive(Debug)]
struct Answer {
    embedded: Embedded,
    missing: usize,
    /// Gone once the request is answered.
    sender: Option<oneshot::Sender<Result<Embedded>>>,
}

/// Some neighbouring inputs of one request. Every piece is finished, one way or the other; a piece that is dropped
/// fails its request.
#[derive(Debug)]
pub(super) struct Piece {
    request: Arc<Request>,
    range: Range<usize>,
    finished: bool,
}

impl Lanes {
    /// Empty queues that hold about `bound` tokens each.
    pub(super) fn new(bound: usize) -> Self {
        Self { queues: Mutex::default(), wakes: Condvar::new(), bound }
    }

    /// Queues a request. One that is larger than the bound is admitted to an empty queue.
    ///
    /// # Errors
    /// `Overloaded` when the lane is full, `Unavailable` when the lanes are closed.
    pub(super) fn submit(
        &self,
        lane: EmbeddingLane,
        context: &RequestContext,
        inputs: EmbeddingInputs,
    ) -> Result<oneshot::Receiver<Result<Embedded>>> {
        let (sender, receiver) = oneshot::channel();
        let missing = inputs.len();
        if missing == 0 {
            let _ = sender.send(Ok(Embedded::default())); // the receiver is right here
            return Ok(receiver);
        }
        let tokens = estimate(&inputs, 0..missing);
        let embedded = Embedded { vectors: vec![Vec::new(); missing], tokens: 0 };
        let answer = Mutex::new(Answer { embedded, missing, sender: Some(sender) });
        let request = Arc::new(Request { context: context.clone(), inputs, answer });

        let mut queues = self.queues.lock();
        if queues.closed {
            return Err(Error::new(ErrorKind::Unavailable, "the embedding model is being shut down"));
        }
        let lane = queues.lane(lane);
        if !lane.has_room(tokens, self.bound) {
            lane.drop_abandoned();
        }
        if !lane.has_room(tokens, self.bound) {
            let message = "the queue of the embedding model is full: try again in a moment";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        lane.tokens += tokens;
        lane.requests.push_back(Waiting { request, next: 0 });
        drop(queues);
        self.wakes.notify_all();
        Ok(receiver)
    }

    /// The next piece of work, queries first; waits for one. `None` once the lanes are closed.
    pub(super) fn next(&self) -> Option<Piece> {
        let mut queues = self.queues.lock();
        loop {
            if queues.closed {
                return None;
            }
            if let Some(piece) = queues.query.next().or_else(|| queues.ingest.next()) {
                return Some(piece);
            }
            self.wakes.wait(&mut queues);
        }
    }

    /// Ends the workers and fails what waits.
    pub(super) fn close(&self) {
        let mut queues = self.queues.lock();
        queues.closed = true;
        queues.query = Lane::default();
        queues.ingest = Lane::default();
        drop(queues);
        self.wakes.notify_all();
    }
}

impl Queues {
    fn lane(&mut self, lane: EmbeddingLane) -> &mut Lane {
        match lane {
            EmbeddingLane::Query => &mut self.query,
            EmbeddingLane::Ingest => &mut self.ingest,
        }
    }
}

impl Lane {
    fn has_room(&self, tokens: usize, bound: usize) -> bool {
        self.requests.is_empty() || self.tokens.saturating_add(tokens) <= bound
    }

    fn drop_abandoned(&mut self) {
        self.requests.retain(|waiting| !waiting.request.is_over());
        let rest = |waiting: &Waiting| estimate(&waiting.request.inputs, waiting.next..waiting.request.inputs.len());
        self.tokens = self.requests.iter().map(rest).sum();
    }

    /// Cuts a piece from the first request that somebody still waits for; what is left of it queues up again.
    fn next(&mut self) -> Option<Piece> {
        while let Some(Waiting { request, next }) = self.requests.pop_front() {
            let count = request.inputs.len();
            if request.is_over() {
                self.tokens -= estimate(&request.inputs, next..count);
                continue;
            }
            let (mut end, mut tokens) = (next, 0);
            while end < count {
                let more = estimate(&request.inputs, end..end + 1);
                if end > next && tokens + more > PIECE {
                    break;
                }
                tokens += more;
                end += 1;
            }
            self.tokens -= tokens;
            if end < count {
                self.requests.push_back(Waiting { request: Arc::clone(&request), next: end });
            }
            return Some(Piece { request, range: next..end, finished: false });
        }
        None
    }
}

/// Tokens of some inputs, guessed without tokenising: a word piece has some three bytes.
fn estimate(inputs: &EmbeddingInputs, range: Range<usize>) -> usize {
    let framed = |inner: usize| (inner + 2).min(MAX_TOKENS);
    match inputs {
        EmbeddingInputs::Texts(texts) => texts[range].iter().map(|text| framed(text.len() / 3)).sum(),
        EmbeddingInputs::Tokens(all) => all[range].iter().map(|ids| framed(ids.len())).sum(),
    }
}

impl Request {
    /// Whether nobody waits for the answer: it was given, or the caller left.
    fn is_over(&self) -> bool {
        self.answer.lock().sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn fail(&self, error: Error) {
        if let Some(sender) = self.answer.lock().sender.take() {
            let _ = sender.send(Err(error)); // the caller may have left
        }
    }
}

impl Piece {
    /// Whether the work is still wanted; fails the request when its deadline has passed.
    pub(super) fn is_wanted(&mut self) -> bool {
        if let Err(error) = self.request.context.check() {
            self.request.fail(error);
        }
        let wanted = !self.request.is_over();
        self.finished |= !wanted;
        wanted
    }

    /// All inputs of the request, and which of them are this piece.
    pub(super) fn inputs(&self) -> (&EmbeddingInputs, Range<usize>) {
        (&self.request.inputs, self.range.clone())
    }

    /// Fills in the vectors of the piece; the last piece of a request sends its answer.
    pub(super) fn finish(mut self, result: Result<Embedded>) {
        self.finished = true;
        let embedded = match result {
            Ok(embedded) if embedded.vectors.len() == self.range.len() => embedded,
            Ok(_) => return self.request.fail(Error::internal("the embedding model lost a vector")),
            Err(error) => return self.request.fail(error),
        };
        let mut answer = self.request.answer.lock();
        for (slot, vector) in answer.embedded.vectors[self.range.clone()].iter_mut().zip(embedded.vectors) {
            *slot = vector;
        }
        answer.embedded.tokens += embedded.tokens;
        answer.missing -= self.range.len();
        if answer.missing == 0
            && let Some(sender) = answer.sender.take()
        {
            let _ = sender.send(Ok(std::mem::take(&mut answer.embedded))); // the caller may have left
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if !self.finished {
            self.request.fail(Error::internal("a thread of the embedding model failed"));
        }
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
