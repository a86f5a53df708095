//! The handle of a composition root.

use std::sync::Arc;

use jobwright_core::webhook::WebhookSender;
use jobwright_scheduler::Engine;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::courier::Courier;
use crate::options::Options;
use crate::send::{ClientError, Sender};

/// Webhooks that are being sent. When it is dropped, sending ends as after a crash: what was not
/// taken is sent by the next one.
#[derive(Debug)]
pub struct Webhooks {
    sender: SenderHandle,
    running: JoinSet<()>,
    drain: CancellationToken,
}

#[derive(Clone)]
struct SenderHandle(Sender);

impl std::fmt::Debug for SenderHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sender").field(&self.0.options).finish()
    }
}

impl Webhooks {
    /// Begins to send, on the current tokio runtime, what the engine's store holds and what will
    /// be announced. It holds the engine: end it before the engine.
    ///
    /// # Errors
    /// The http client cannot be made: the machine has no certificates.
    pub fn start(engine: Engine, options: Options) -> Result<Self, ClientError> {
        let sender = Sender::new(engine, options)?;
        let drain = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(Courier::new(sender.clone(), drain.clone()).run());
        Ok(Self { sender: SenderHandle(sender), running, drain })
    }

    /// Returns what checks addresses and sends tests, for the HTTP API.
    #[must_use]
    pub fn sender(&self) -> Arc<dyn WebhookSender> {
        Arc::new(self.sender.0.clone())
    }

    /// Ends: nothing new is sent, and what is being sent is waited for, at most as long as a try
    /// may take. Cancel safe: then it ends as if it were dropped.
    pub async fn shutdown(mut self) {
        self.drain.cancel();
        while self.running.join_next().await.is_some() {}
    }
}
