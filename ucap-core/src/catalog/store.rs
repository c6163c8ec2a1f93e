//! Where the catalog lasts.

use std::fmt::Debug;

use async_trait::async_trait;

use super::change::{Change, Object};
use crate::error::Result;

/// What a store holds when it is opened.
#[derive(Debug, Default)]
pub struct CatalogImage {
    /// The epoch of the last change; 0 when there was none.
    pub epoch: u64,
    /// Every object.
    pub objects: Vec<Object>,
}

/// Keeps the catalog's objects.
#[async_trait]
pub trait CatalogStore: Debug + Send + Sync + 'static {
    /// Reads everything. Law: what `apply` acknowledged is there, whole changes only.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer, `Internal` when it holds what cannot be read.
    async fn load(&self) -> Result<CatalogImage>;

    /// Makes `changes` last, all or none, and moves the epoch from `epoch - 1` to `epoch`. It answers when they would
    /// survive a power loss.
    ///
    /// # Errors
    /// `Unavailable` when they could not be written, or somebody else moved the epoch.
    async fn apply(&self, epoch: u64, changes: &[Change]) -> Result<()>;

    /// Ends all work; later calls may fail.
    async fn close(&self);
}
