//! The HTTP API: a translation of requests into calls of [`Session`] and of their results into answers.

mod admit;
mod answer;
mod audit;
mod body;
mod datasources;
mod documentation;
mod domains;
mod elements;
mod embeddings;
mod error_response;
mod etag;
mod grants;
mod incoming;
mod json_body;
mod keys;
mod lines;
mod metrics;
mod models;
mod openapi;
mod operation;
mod permissions;
mod places;
mod record_stream;
mod records;
mod route;
mod search;
mod serve;
mod shapes;
mod users;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::middleware::from_fn_with_state;
use http::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ucap_core::{Entropy, Result};

pub use error_response::Failure;
pub use serve::{Listeners, serve};

use crate::config::ServerConfig;
use crate::platform::Platform;
use crate::session::Session;
use metrics::Metrics;
use places::{Place, Places};
use route::Route;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

struct Shared {
    platform: Platform,
    server: ServerConfig,
    facts: HashMap<&'static str, Vec<(Method, Facts)>>,
    metrics: Metrics,
    running: Arc<Semaphore>,
    ingests: Arc<Places>,
    openapi: bytes::Bytes,
    draining: AtomicBool,
}

/// What admission must know about a route.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// Its path as it is documented.
    template: &'static str,
    open: bool,
    untimed: bool,
    /// Whether it is for administrators of the platform alone.
    administrators: bool,
}

impl Facts {
    /// Of what is no route.
    const NONE: Self = Self { template: "none", open: false, untimed: false, administrators: false };
}

impl App {
    fn new(platform: Platform, server: ServerConfig, routes: &[Route]) -> Self {
        let mut facts: HashMap<&'static str, Vec<(Method, Facts)>> = HashMap::new();
        for route in routes {
            let of_route = Facts {
                template: route.path,
                open: route.open,
                untimed: route.untimed,
                administrators: route.administrators,
            };
            facts.entry(route.path).or_default().push((route.method.clone(), of_route));
        }
        Self(Arc::new(Shared {
            platform,
            facts,
            metrics: Metrics::default(),
            running: Arc::new(Semaphore::new(server.max_requests.get())),
            ingests: Arc::new(Places::new(server.max_ingests.get(), server.ingests_of_one())),
            openapi: openapi::document(routes).to_string().into(),
            draining: AtomicBool::new(false),
            server,
        }))
    }

    fn facts(&self, method: &Method, template: Option<&str>) -> Facts {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let of_path = template.and_then(|template| self.0.facts.get(template)).map_or(&[][..], Vec::as_slice);
        // Which methods a path has is told to those only whom it is for.
        let administrators = !of_path.is_empty() && of_path.iter().all(|(_, facts)| facts.administrators);
        let none = Facts { administrators, ..Facts::NONE };
        of_path.iter().find(|(held, _)| held == method).map_or(none, |(_, facts)| *facts)
    }

    fn platform(&self) -> &Platform {
        &self.0.platform
    }

    fn server(&self) -> &ServerConfig {
        &self.0.server
    }

    fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.0.platform.parts().entropy
    }

    fn openapi(&self) -> bytes::Bytes {
        self.0.openapi.clone()
    }

    /// The server was told to stop.
    fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    fn running(&self) -> usize {
        self.0.server.max_requests.get() - self.0.running.available_permits()
    }

    fn try_run(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.running).try_acquire_owned().ok()
    }

    /// A place among the ingests that run.
    fn ingest_place(&self, session: &Session) -> Result<Place> {
        self.0.ingests.take(&session.principal().to_string())
    }
}

fn routes() -> Vec<Route> {
    [
        operation::routes(),
        search::routes(),
        records::routes(),
        domains::routes(),
        datasources::routes(),
        users::routes(),
        grants::routes(),
        keys::routes(),
        permissions::routes(),
        models::routes(),
        embeddings::routes(),
        audit::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The API over `platform`, with a handle on what its handlers share.
pub(crate) fn api(platform: Platform, server: ServerConfig) -> (Router, App) {
    let routes = routes();
    let app = App::new(platform, server, &routes);
    let router = routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    let router = router
        .fallback(admit::no_route)
        .method_not_allowed_fallback(admit::no_method)
        .layer(from_fn_with_state(app.clone(), admit::admit))
        .with_state(app.clone());
    (router, app)
}

/// The API over `platform`, for programs that serve it themselves.
pub fn router(platform: Platform, server: ServerConfig) -> Router {
    api(platform, server).0
}
