//! A request's body: read within bounds, with a limit on silence, and drained when a request is refused before its end,
//! so that the client reads the answer instead of a reset connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};
use ucap_core::{Error, ErrorKind, Result};

/// A refused request's body is read so far before the connection is given up.
const DRAIN_BYTES: u64 = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A body that two hold: the handler that reads it, and the admission that drains what the handler left.
#[derive(Clone)]
pub(super) struct SharedBody(Arc<Mutex<Watched>>);

struct Watched {
    body: Body,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
}

impl SharedBody {
    /// `idle`: without a byte for so long the body fails.
    pub(super) fn new(body: Body, idle: Duration) -> Self {
        let silence = Box::pin(tokio::time::sleep(idle));
        Self(Arc::new(Mutex::new(Watched { body, idle, silence })))
    }

    /// Reads what is left, within bounds; whether the end was reached.
    pub(super) async fn drain(mut self) -> bool {
        let reading = async {
            let mut seen = 0;
            while let Some(frame) = self.frame().await {
                let Ok(frame) = frame else { return false };
                seen += frame.data_ref().map_or(0, |data| data.len() as u64);
                if seen > DRAIN_BYTES {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(DRAIN_TIME, reading).await.unwrap_or(false)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut watched = self.0.lock();
        let watched = &mut *watched;
        match Pin::new(&mut watched.body).poll_frame(context) {
            Poll::Ready(frame) => {
                watched.silence.as_mut().reset(Instant::now() + watched.idle);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                watched.silence.as_mut().poll(context).map(|()| Some(Err("the client fell silent".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}

/// The whole body, if it is not longer than `most` bytes.
pub(super) async fn read_whole(mut body: Body, most: usize) -> Result<Vec<u8>> {
    let declared = body.size_hint().lower();
    if declared > most as u64 {
        return Err(too_large(most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(declared).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|cause| Error::invalid("body", "the body ended before its end").with_source(cause))?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > most - bytes.len() {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

fn too_large(most: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the body is larger than {most} bytes; send less at once"))
}
