//! How a server ends: step by step after the first signal, at once after the second.

use std::future::IntoFuture;
use std::time::Duration;

use anyhow::Context;
use jobwright_core::{GroupId, ID_LIMIT};
use jobwright_http::axum;
use jobwright_scheduler::Engine;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::compose::Composed;
use crate::config::{Config, OnShutdown};

/// While processes are left to go on, the engine must begin nothing new, and stop nothing either.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The signals that end a server.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from the system.
    pub(super) fn new() -> anyhow::Result<Self> {
        let signals = || -> std::io::Result<Self> {
            let interrupt = signal(SignalKind::interrupt())?;
            Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
        };
        signals().context("the system gives no signals")
    }

    /// Waits for the next one; returns its name, and the exit code of a process that it ends.
    pub(super) async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", 130),
            _ = self.terminate.recv() => ("SIGTERM", 143),
        }
    }
}

/// Answers requests until a signal comes or the engine breaks, then ends everything in order.
pub(super) async fn serve(
    composed: Composed,
    listener: TcpListener,
    mut signals: Signals,
    config: &Config,
) -> anyhow::Result<Ended> {
    let stop = CancellationToken::new();
    let router = composed.router.clone();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let server = axum::serve(listener, service);
    let server = server.with_graceful_shutdown(stop.clone().cancelled_owned());
    // It goes on accepting while the rest ends: who asks must be told that the server is not ready.
    let mut serving = JoinSet::new();
    serving.spawn(server.into_future());
    let (engine, drain) = (composed.engine.clone(), composed.drain.clone());
    let broken = tokio::select! {
        (name, _) = signals.next() => {
            tracing::info!(signal = name, "the server ends; a second signal ends it at once");
            false
        }
        () = ended(&engine) => true,
        served = serving.join_next() => {
            served.transpose().context("serving panicked, which is a bug")?;
            true
        }
    };
    let orderly = async {
        // From here on `/readyz` says 503, streams say `bye`, and the engine refuses runs. What
        // only reads is answered as long as jobs end.
        drain.cancel();
        let left = jobs_end(&engine, config).await;
        stop.cancel();
        if tokio::time::timeout(config.server.drain.0, serving.join_next()).await.is_err() {
            tracing::warn!("some requests were not answered in time");
        }
        drop(serving);
        if left {
            return Ok(Ended::Left(composed));
        }
        composed.close(Duration::ZERO).await.map(|()| Ended::Closed)
    };
    tokio::select! {
        done = orderly => if broken {
            done.and(Err(anyhow::anyhow!("the server broke: the log has the reason")))
        } else {
            done
        },
        (name, code) = signals.next() => {
            tracing::warn!(signal = name, "the server ends at once");
            std::process::exit(code);
        }
    }
}

/// Ends the engine by the policy; returns whether processes are left that go on.
async fn jobs_end(engine: &Engine, config: &Config) -> bool {
    let grace = config.engine.grace.0;
    // How it ended is told when it is closed, which asks for the same end once more.
    match config.engine.on_shutdown {
        OnShutdown::Stop => {
            let _ = engine.shutdown(grace).await;
            false
        }
        OnShutdown::Leave => {
            let by_themselves = tokio::time::timeout(grace, engine.shutdown(NEVER)).await;
            if by_themselves.is_err() {
                tracing::info!("processes go on, the next start takes them up");
            }
            by_themselves.is_err()
        }
    }
}

/// Waits until the engine has ended by itself, which it does only when its store breaks.
async fn ended(engine: &Engine) {
    // Of a group that cannot be there nothing is told but the end.
    let Ok(nobody) = GroupId::new(ID_LIMIT - 1) else {
        return std::future::pending().await;
    };
    let mut subscription = engine.subscribe(Some(nobody));
    while subscription.next().await.is_some() {}
}
