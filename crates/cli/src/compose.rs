//! The composition root: the one place where an engine gets its store and its executors, and a
//! router its engine. What it must never do: decide anything about a job, or hold a secret longer
//! than it takes to write it down.

mod executors;
mod folder;
mod logs;
mod owner;
mod seals;
mod secrets;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jobwright_core::secret::SecretSource;
use jobwright_http::{Meter, Options, axum};
use jobwright_scheduler::{Engine, ShutdownReport};
use jobwright_webhooks::Webhooks;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Server};
use crate::guard::{Guard, Guarded};

pub(crate) use folder::default_data;
pub(crate) use owner::{FirstToken, OwnerError};
pub(crate) use store::ADDRESS;

/// An engine on its store, with the API in front of it. It lives until [`Composed::close`];
/// dropped without that it ends as after a crash.
pub(crate) struct Composed {
    pub(crate) engine: Engine,
    pub(crate) router: axum::Router,
    /// When cancelled, streams and waits end and `/readyz` says so.
    pub(crate) drain: CancellationToken,
    store: store::Opened,
    /// Only of an engine that works: whoever looks announces nothing and seals nothing.
    working: Option<Working>,
    /// Dropped last: what then still runs is ended.
    _guarded: Option<Guarded>,
    /// The folder is this server's own.
    _held: Option<std::fs::File>,
}

/// What goes on beside a working engine.
struct Working {
    webhooks: Webhooks,
    seals: seals::Seals,
}

/// What an engine is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To drive job groups: it takes up what an earlier engine left unfinished.
    Work,
    /// To read, and to change what is no job group.
    Look,
}

/// Opens the store, for which the data folder is made if its parent is there, and starts the engine
/// on it with the executors of the configuration. Not cancel safe.
///
/// # Errors
/// The folder cannot be used, the store cannot be opened (another process may have it), or the
/// engine does not start.
#[tracing::instrument(name = "open", skip_all, err(level = "debug"))]
pub(crate) async fn open(
    config: &Config,
    data: &Path,
    purpose: Purpose,
) -> anyhow::Result<Composed> {
    folder::make(data)?;
    let store = store::Opened::open(&config.store, data).await?;
    let executors::Ready { mut builder, roots, guarded } = executors::build(config, data).await?;
    let meter = Meter::new();
    let secrets: Arc<dyn SecretSource> = Arc::new(secrets::build(&config.secrets, data)?);
    builder = builder.shared_store(store.shared()).observer(meter.clone());
    builder = builder.lease(config.engine.lease.0);
    builder = builder.shared_secrets(Arc::clone(&secrets));
    builder = builder.retention(config.engine.retention.duration());
    if purpose == Purpose::Look {
        builder = builder.leave_unfinished();
    }
    // Before the engine, which may begin attempts at once.
    let (held, guard) = match (purpose, &store) {
        (Purpose::Work, store::Opened::Shared(_)) if !guarded.is_empty() => {
            (Some(folder::hold(data)?), Some(Guard::start(guarded)?))
        }
        _ => (None, None),
    };
    let engine = builder.start().await.context("the engine does not start")?;
    let guarded = guard.map(|guard| guard.of(&engine));
    let drain = CancellationToken::new();
    let logs = logs::LocalLogs::new(engine.clone(), roots);
    let mut options = options(&config.server).drain(drain.clone()).logs(logs).meter(meter);
    let working = match purpose {
        Purpose::Work => Some(Working::start(&engine, config, secrets)?),
        Purpose::Look => None,
    };
    if let Some(working) = &working {
        options = options.webhooks(working.webhooks.sender());
    }
    let router = jobwright_http::router(engine.clone(), options);
    Ok(Composed { engine, router, drain, store, working, _guarded: guarded, _held: held })
}

impl Working {
    fn start(
        engine: &Engine,
        config: &Config,
        keys: Arc<dyn SecretSource>,
    ) -> anyhow::Result<Self> {
        let mut options = jobwright_webhooks::Options::default().secrets(keys);
        for allowed in &config.webhooks.allow {
            options = options.allow(allowed.0.clone());
        }
        if config.webhooks.closed {
            options = options.closed();
        }
        let webhooks = Webhooks::start(engine.clone(), options);
        let webhooks = webhooks.context("webhooks cannot be sent")?;
        Ok(Self { webhooks, seals: seals::Seals::start(engine.clone()) })
    }

    async fn end(self) {
        self.webhooks.shutdown().await;
        self.seals.end().await;
    }
}

fn options(server: &Server) -> Options {
    let per_minute = Some(server.requests_per_minute).filter(|limit| *limit > 0);
    let mut options = Options::default()
        .requests_per_minute(per_minute)
        .body_bytes(server.body_limit.to_usize())
        .upload_bytes(server.upload_limit.to_usize());
    options.request_time = server.request_time.0;
    options.wait_time = server.wait_time.0;
    options.streams = server.streams;
    options.keep_alive = server.keep_alive.0;
    options
}

impl Composed {
    /// Returns the owner's token for requests to the router, for whoever may open the store may do
    /// everything: the one in the file, or a new one that is written there for its owner alone.
    ///
    /// # Errors
    /// The file cannot be read or written, holds no token or one that was revoked; or the store
    /// fails.
    pub(crate) async fn owner_token(&self, file: &Path) -> anyhow::Result<SecretString> {
        Ok(owner::ensure(&self.engine, file).await?)
    }

    /// Sees to it that the instance has a token at its first start, see [`owner::first`].
    pub(crate) async fn first_token(&self, to: FirstToken<'_>) -> Result<(), OwnerError> {
        owner::first(&self.engine, to).await
    }

    /// Ends the engine: what runs may end by itself for as long as `grace`, then it is asked to
    /// stop, with each step's grace, and then killed. Then the store is closed.
    ///
    /// # Errors
    /// The engine had ended already because its store broke, or the store cannot be closed.
    pub(crate) async fn close(self, grace: Duration) -> anyhow::Result<()> {
        self.drain.cancel();
        if let Some(working) = self.working {
            working.end().await;
        }
        let ended = self.engine.shutdown(grace).await;
        let closed = self.store.close().await;
        told(&ended.context("the engine had ended before")?);
        closed.context("the store is closed, but its log stays beside it")
    }
}

fn told(report: &ShutdownReport) {
    let (live, interrupted) = (report.live, report.interrupted);
    let unfinished = report.unfinished.len();
    tracing::info!(live, interrupted, unfinished, "the engine has ended");
}
