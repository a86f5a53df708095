//! The seals over the audit records: set now and then, and at the end. What it must never do: hold
//! a commit up, or end the server.

use std::time::Duration;

use jobwright_scheduler::Engine;
use tokio::task::JoinSet;

/// How long a record may be without a seal while the server runs.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// Seals until it is ended, or dropped.
pub(super) struct Seals {
    engine: Engine,
    timer: JoinSet<()>,
}

impl Seals {
    pub(super) fn start(engine: Engine) -> Self {
        let mut timer = JoinSet::new();
        let every = engine.clone();
        timer.spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                seal(&every).await;
            }
        });
        Self { engine, timer }
    }

    /// Seals what is not sealed yet.
    pub(super) async fn end(mut self) {
        self.timer.shutdown().await;
        seal(&self.engine).await;
    }
}

async fn seal(engine: &Engine) {
    if let Err(error) = engine.seal_audit().await {
        tracing::warn!(%error, "the audit records are not sealed; the next time will do it");
    }
}
