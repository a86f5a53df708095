//! What all requests share. The engine in it is private to what guards it.

use std::sync::Arc;

use dashmap::DashMap;
use jobwright_core::{Digest, Timestamp, Token};
use jobwright_scheduler::Engine;
use tokio::sync::watch;

use crate::edge::RequestIds;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::quota::Quotas;
use crate::refusals::Refusals;

/// The state of the router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    /// For [`View`](crate::view::View) and [`Permit`](crate::effect::Permit) alone.
    pub(crate) engine: Engine,
    pub(crate) options: Options,
    /// Tokens that were found a moment ago, and when.
    pub(crate) known: DashMap<Digest, (Arc<Token>, Timestamp)>,
    pub(crate) quotas: Quotas,
    pub(crate) refusals: Refusals,
    /// Counts the tokens that were revoked here, for streams that rest on them.
    pub(crate) revoked: watch::Sender<u64>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) request_ids: RequestIds,
    pub(crate) document: String,
}

impl App {
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.engine.now()
    }
}
