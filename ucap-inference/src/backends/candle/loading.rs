//! Loading the model in the background, and what those who wait for it are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use ucap_core::{Error, ErrorKind, Result};

use super::LocalOptions;
use super::lanes::Lanes;
use super::pull::{PullEvent, pull};
use super::worker::{self, LoadedModel};

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How far loading has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadStatus {
    /// The model is being looked for, downloaded or read.
    Loading {
        /// Why the last attempt failed, if there was one.
        failure: Option<Arc<str>>,
    },
    /// It answers.
    Ready,
    /// It could not be loaded.
    Failed {
        /// Why: what was tried.
        failure: Arc<str>,
        /// When it is tried again.
        retry_at: Instant,
    },
}

/// Tells how far loading has come.
#[derive(Debug, Clone)]
pub(super) struct Loading(watch::Receiver<LoadStatus>);

pub(super) fn channel() -> (Loading, watch::Sender<LoadStatus>) {
    let (sender, receiver) = watch::channel(LoadStatus::Loading { failure: None });
    (Loading(receiver), sender)
}

impl Loading {
    pub(super) fn status(&self) -> LoadStatus {
        self.0.borrow().clone()
    }

    /// Fails when the model will not be there by `deadline`.
    pub(super) fn check(&self, deadline: Instant) -> Result<()> {
        hopeless(&self.0.borrow(), deadline).map_or(Ok(()), Err)
    }

    /// Waits until it is certain that the model will not be there by `deadline`: for ever, where it will.
    pub(super) async fn hopeless(&self, deadline: Instant) -> Error {
        let mut status = self.0.clone();
        let found = status.wait_for(|status| hopeless(status, deadline).is_some()).await;
        let error = found.ok().and_then(|status| hopeless(&status, deadline));
        match error {
            Some(error) => error,
            None => std::future::pending().await, // the loader is done
        }
    }

    /// `error`, or `ModelUnavailable` while the model is not loaded.
    pub(super) fn unless_ready(&self, error: Error) -> Error {
        match self.status() {
            LoadStatus::Ready => error,
            LoadStatus::Loading { failure: None } => {
                let message = "the embedding model is still being loaded: try again in a moment";
                Error::new(ErrorKind::ModelUnavailable, message)
            }
            LoadStatus::Loading { failure: Some(failure) } | LoadStatus::Failed { failure, .. } => {
                unavailable(&failure)
            }
        }
    }
}

fn hopeless(status: &LoadStatus, deadline: Instant) -> Option<Error> {
    match status {
        LoadStatus::Failed { failure, retry_at } if *retry_at >= deadline => Some(unavailable(failure)),
        _ => None,
    }
}

fn unavailable(failure: &str) -> Error {
    Error::new(ErrorKind::ModelUnavailable, failure)
}

/// Loads the model, however many attempts it takes, and starts the threads.
pub(super) async fn load(options: LocalOptions, lanes: Arc<Lanes>, status: watch::Sender<LoadStatus>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match attempt(&options, &lanes).await {
            Ok(()) => {
                tracing::info!(threads = options.threads.get(), "the embedding model is loaded");
                status.send_replace(LoadStatus::Ready);
                return;
            }
            Err(error) => error,
        };
        tracing::warn!(%error, source = ?std::error::Error::source(&error), pause = ?pause, "no embedding model");
        let failure: Arc<str> = error.message().into();
        status.send_replace(LoadStatus::Failed { failure: Arc::clone(&failure), retry_at: Instant::now() + pause });
        tokio::time::sleep(pause).await;
        status.send_replace(LoadStatus::Loading { failure: Some(failure) });
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(options: &LocalOptions, lanes: &Arc<Lanes>) -> Result<()> {
    let report = |event: PullEvent| match event {
        PullEvent::Progress { .. } => tracing::debug!("{event}"),
        _ => tracing::info!("embedding model: {event}"),
    };
    let files = pull(&options.pull, &report).await?;
    let loaded = tokio::task::spawn_blocking(move || LoadedModel::load(files)).await;
    let model = loaded.map_err(|error| Error::internal("loading the embedding model failed").with_source(error))??;
    worker::start(options.threads.get(), lanes, &Arc::new(model))
        .map_err(|error| Error::internal("the threads of the embedding model could not be started").with_source(error))
}
