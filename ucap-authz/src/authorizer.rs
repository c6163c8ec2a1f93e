//! The trait that decides, whatever rules lie behind it.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use ucap_core::catalog::Snapshot;
use ucap_core::{RequestContext, Result};

use crate::access::AccessRequest;
use crate::decision::Decision;
use crate::gate::Caller;
use crate::rights::Rights;

/// Decides who may do what. Batch first: one call gives all that a caller may touch.
///
/// Laws (held by the property tests beside [`crate::backends::grants`]): deny by default; a deny on the path beats every
/// allow; the order of grants does not matter; `decide` and `rights` agree; a key's scopes only narrow; an error is an
/// error and never an allow.
#[async_trait]
pub trait Authorizer: Debug + Send + Sync + 'static {
    /// All that `caller` may touch in `snapshot` at `now`.
    ///
    /// # Errors
    /// `Unavailable` when the rules cannot be read.
    async fn rights(
        &self,
        context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
    ) -> Result<Rights>;

    /// One decision for each request, in order, with reasons.
    ///
    /// # Errors
    /// `Unavailable` when the rules cannot be read.
    async fn decide(
        &self,
        context: &RequestContext,
        caller: &Caller,
        snapshot: &Arc<Snapshot>,
        now: OffsetDateTime,
        requests: &[AccessRequest],
    ) -> Result<Vec<Decision>>;
}
