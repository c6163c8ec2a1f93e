//! The accept loop: connections within bounds, ended in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use super::{App, api};
use crate::config::ServerConfig;
use crate::platform::Platform;

const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_STREAMS: u32 = 256;
/// The system refuses connections now and then (no more descriptors); the loop goes on after a pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a request came in: an extension of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// Whether the administrators' routes are there.
    pub(super) is_for_administrators: bool,
    /// Whether the server was told to stop before the connection was made: it is turned away.
    pub(super) is_late: bool,
}

/// Where a server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody.
    pub public: TcpListener,
    /// For administrators. When there is one, their routes are here and not on the other.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    /// One for all.
    fn from(public: TcpListener) -> Self {
        Self { public, admin: None }
    }
}

impl Listeners {
    /// The next connection; `None` for one that the system did not give.
    async fn accept(&self) -> Option<(TcpStream, bool)> {
        let accepted = match &self.admin {
            None => self.public.accept().await.map(|(stream, _)| (stream, true)),
            Some(admin) => tokio::select! {
                accepted = self.public.accept() => accepted.map(|(stream, _)| (stream, false)),
                accepted = admin.accept() => accepted.map(|(stream, _)| (stream, true)),
            },
        };
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// Serves the API of `platform` on `listeners` until `stop` is done. Then the connections that there are have
/// [`ServerConfig::drain_timeout`] to end, while new ones learn that the server stops: `/readyz` and every route that needs
/// a credential answer them 503.
pub async fn serve(
    platform: Platform,
    config: ServerConfig,
    listeners: impl Into<Listeners>,
    stop: impl Future<Output = ()>,
) {
    let (router, app) = api(platform, config.clone());
    let connections = Arc::new(Semaphore::new(config.max_connections.get()));
    let server = Server { connections, listeners: listeners.into(), router, app };
    let graceful = GracefulShutdown::new();
    let (lasting, once) = (builder(&config, true), builder(&config, false));
    tokio::select! {
        () = server.run(&lasting, &graceful) => {}
        () = stop => {}
    }
    server.app.drain();
    let ended = tokio::time::timeout(config.drain_timeout(), graceful.shutdown());
    tokio::select! {
        ended = ended => if ended.is_err() {
            tracing::warn!("requests still ran when the time to end them was over");
        },
        () = server.turn_away(&once) => {}
    }
}

struct Server {
    connections: Arc<Semaphore>,
    listeners: Listeners,
    router: Router,
    app: App,
}

impl Server {
    /// Accepts for ever.
    async fn run(&self, builder: &Builder<TokioExecutor>, graceful: &GracefulShutdown) {
        loop {
            let Some((stream, is_for_administrators, place)) = self.accept().await else { continue };
            let door = self.door(Arrival { is_for_administrators, is_late: false });
            let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), door).into_owned());
            let app = self.app.clone();
            tokio::spawn(async move {
                let _counted = app.metrics().connected();
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection broke");
                }
                drop(place);
            });
        }
    }

    /// Accepts for ever, for one request each. Dropped, it takes its connections along.
    async fn turn_away(&self, builder: &Builder<TokioExecutor>) {
        let mut late = JoinSet::new();
        loop {
            while late.try_join_next().is_some() {}
            let Some((stream, is_for_administrators, place)) = self.accept().await else { continue };
            let door = self.door(Arrival { is_for_administrators, is_late: true });
            let connection = builder.serve_connection(TokioIo::new(stream), door).into_owned();
            late.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a late connection broke");
                }
                drop(place);
            });
        }
    }

    async fn accept(&self) -> Option<(TcpStream, bool, Option<OwnedSemaphorePermit>)> {
        // Closed only with the last reference to it, which this value holds.
        let place = Arc::clone(&self.connections).acquire_owned().await.ok();
        let (stream, is_for_administrators) = self.listeners.accept().await?;
        prepare(&stream);
        Some((stream, is_for_administrators, place))
    }

    fn door(&self, arrival: Arrival) -> Door {
        Door { router: self.router.clone(), arrival }
    }
}

/// What a connection's requests come in by.
struct Door {
    router: Router,
    arrival: Arrival,
}

impl Service<hyper::Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Oneshot<Router, hyper::Request<Body>>;

    fn call(&self, mut request: hyper::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.arrival);
        self.router.clone().oneshot(request.map(Body::new))
    }
}

/// Answers leave at once: Nagle's algorithm and the peer's delayed acknowledgement together cost 40 ms.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
}

fn builder(config: &ServerConfig, keep_alive: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(keep_alive)
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
