//! The accept loop: connections within bounds, ended in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::api;
use crate::config::ServerConfig;
use crate::platform::Platform;

const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_STREAMS: u32 = 256;
/// The system refuses connections now and then (no more descriptors); the loop goes on after a pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the API of `platform` on `listener` until `stop` is done; then no connection is accepted, those that run have
/// [`ServerConfig::drain_timeout`] to end.
pub async fn serve(platform: Platform, config: ServerConfig, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(config.max_connections.get()));
    let (router, app) = api(platform, config.clone());
    let builder = builder(&config);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Closed only with the last reference to it, which this function holds.
            let place = Arc::clone(&connections).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let router = router.clone();
            async move { router.oneshot(request.map(Body::new)).await.map_err(|never: Infallible| never) }
        });
        prepare(&stream);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        let app = app.clone();
        tokio::spawn(async move {
            let _counted = app.metrics().connected();
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(config.drain_timeout(), graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still ran when the time to end them was over");
    }
}

/// Answers leave at once: Nagle's algorithm and the peer's delayed acknowledgement together cost 40 ms.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
}

fn builder(config: &ServerConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.idle_timeout())
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES.max(8192) * 4);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(30));
    builder
}
