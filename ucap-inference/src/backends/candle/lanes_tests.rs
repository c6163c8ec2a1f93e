//! The queues, without a model: a piece is finished with vectors that carry the input.

use proptest::prelude::*;
use std::time::Duration;

use super::*;

fn context() -> RequestContext {
    RequestContext::new("test")
}

/// `count` sequences of `length` tokens; each of a piece's estimate is `length + 2`.
fn tokens(count: usize, length: usize) -> EmbeddingInputs {
    EmbeddingInputs::Tokens((0..count).map(|index| vec![index as u32; length]).collect())
}

fn answer(piece: Piece) {
    let (inputs, range) = piece.inputs();
    let EmbeddingInputs::Tokens(all) = inputs else { panic!("tokens were sent") };
    let vectors = all[range].iter().map(|ids| vec![ids[0] as f32]).collect::<Vec<_>>();
    let tokens = vectors.len() as u64;
    piece.finish(Ok(Embedded { vectors, tokens }));
}

fn submit(lanes: &Lanes, lane: EmbeddingLane, inputs: EmbeddingInputs) -> oneshot::Receiver<Result<Embedded>> {
    lanes.submit(lane, &context(), inputs).unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn queries_come_first_and_ingest_is_cut() {
    let lanes = Lanes::new(100_000);
    let _bulk = submit(&lanes, EmbeddingLane::Ingest, tokens(10, 98));
    assert_eq!(lanes.next().unwrap().range, 0..2, "two sequences of 100 fit into 256");
    let _query = submit(&lanes, EmbeddingLane::Query, tokens(1, 5));
    assert_eq!(lanes.next().unwrap().range, 0..1, "the query");
}

#[test]
fn requests_of_a_lane_take_turns() {
    let lanes = Lanes::new(100_000);
    let mut big = submit(&lanes, EmbeddingLane::Ingest, tokens(3, 254));
    let mut small = submit(&lanes, EmbeddingLane::Ingest, tokens(1, 254));
    answer(lanes.next().unwrap());
    answer(lanes.next().unwrap());
    assert!(small.try_recv().unwrap().is_ok());
    assert!(big.try_recv().is_err(), "two pieces are missing");
}

#[test]
fn a_full_lane_refuses_until_there_is_room_and_forgets_those_who_left() {
    let lanes = Lanes::new(300);
    let first = submit(&lanes, EmbeddingLane::Query, tokens(5, 98));
    assert_eq!(kind(lanes.submit(EmbeddingLane::Query, &context(), tokens(1, 1))), ErrorKind::Overloaded);
    let _other_lane = submit(&lanes, EmbeddingLane::Ingest, tokens(1, 1));
    drop(first);
    let _second = submit(&lanes, EmbeddingLane::Query, tokens(2, 98));
    assert_eq!(lanes.next().unwrap().request.inputs.len(), 2, "the first request was skipped");
}

#[test]
fn nobody_works_for_a_caller_who_left_or_is_late() {
    let lanes = Lanes::new(1_000);
    drop(submit(&lanes, EmbeddingLane::Query, tokens(1, 7)));
    let late = context();
    let mut receiver = lanes.submit(EmbeddingLane::Query, &late, tokens(2, 254)).unwrap();
    answer(lanes.next().unwrap());
    late.cancel();
    let mut piece = lanes.next().unwrap();
    assert!(!piece.is_wanted());
    drop(piece);
    assert_eq!(kind(receiver.try_recv().unwrap()), ErrorKind::DeadlineExceeded);

    let past = context().with_timeout(Duration::ZERO);
    let mut receiver = lanes.submit(EmbeddingLane::Query, &past, tokens(1, 1)).unwrap();
    assert!(!lanes.next().unwrap().is_wanted());
    assert_eq!(kind(receiver.try_recv().unwrap()), ErrorKind::DeadlineExceeded);
}

#[test]
fn an_error_or_a_lost_piece_fails_the_request_at_once() {
    let lanes = Lanes::new(1_000);
    let mut wrong = submit(&lanes, EmbeddingLane::Query, tokens(2, 254));
    lanes.next().unwrap().finish(Err(Error::invalid("input", "wrong")));
    assert_eq!(kind(wrong.try_recv().unwrap()), ErrorKind::InvalidInput);
    let mut lost = submit(&lanes, EmbeddingLane::Query, tokens(1, 1));
    drop(lanes.next().unwrap());
    assert_eq!(kind(lost.try_recv().unwrap()), ErrorKind::Internal);
    let mut short = submit(&lanes, EmbeddingLane::Query, tokens(2, 1));
    lanes.next().unwrap().finish(Ok(Embedded { vectors: vec![vec![1.0]], tokens: 1 }));
    assert_eq!(kind(short.try_recv().unwrap()), ErrorKind::Internal);
}

#[test]
fn closing_ends_the_workers_and_those_who_wait() {
    let lanes = Arc::new(Lanes::new(1_000));
    let worker = std::thread::spawn({
        let lanes = Arc::clone(&lanes);
        move || lanes.next().is_none()
    });
    lanes.close();
    assert!(worker.join().unwrap());
    assert_eq!(kind(lanes.submit(EmbeddingLane::Query, &context(), tokens(1, 1))), ErrorKind::Unavailable);
}

#[test]
fn nothing_asked_is_nothing_answered() {
    let mut receiver = submit(&Lanes::new(1), EmbeddingLane::Query, tokens(0, 0));
    assert_eq!(receiver.try_recv().unwrap().unwrap(), Embedded::default());
}

proptest! {
    /// Whatever is asked, each answer has its own vectors in order, and no estimated token stays behind.
    #[test]
    fn every_input_is_answered_once_and_in_order(
        requests in prop::collection::vec((any::<bool>(), prop::collection::vec(1_usize..300, 1..20)), 1..12)
    ) {
        let lanes = Lanes::new(1_000_000);
        let mut waiting = Vec::new();
        for (query, lengths) in &requests {
            let lane = if *query { EmbeddingLane::Query } else { EmbeddingLane::Ingest };
            let ids = lengths.iter().enumerate().map(|(index, length)| vec![index as u32; *length]).collect();
            waiting.push((submit(&lanes, lane, EmbeddingInputs::Tokens(ids)), lengths.len()));
        }
        while !lanes.queues.lock().query.requests.is_empty() || !lanes.queues.lock().ingest.requests.is_empty() {
            answer(lanes.next().unwrap());
        }
        for (mut receiver, count) in waiting {
            let embedded = receiver.try_recv().unwrap().unwrap();
            prop_assert_eq!(embedded.vectors, (0..count).map(|index| vec![index as f32]).collect::<Vec<_>>());
            prop_assert_eq!(embedded.tokens, count as u64);
        }
        let queues = lanes.queues.lock();
        prop_assert_eq!((queues.query.tokens, queues.ingest.tokens), (0, 0));
    }
}
