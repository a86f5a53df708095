//! What an embedder may choose.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::Role;
use jobwright_core::webhook::WebhookSender;
use jobwright_package::Limits;
use tokio_util::sync::CancellationToken;

use crate::logs::LogSource;

/// How the API behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The most bytes of a JSON body. Default 1 MiB.
    pub body_bytes: usize,
    /// The most bytes of an uploaded package. Default 64 MiB.
    pub upload_bytes: usize,
    /// Bounds on what a package may hold.
    pub package: Limits,
    /// A request that has not been answered by then is given up. Default 90 seconds; streams are
    /// not bounded by it.
    pub request_time: Duration,
    /// The longest that `?wait=` waits. Default 60 seconds; below `request_time`.
    pub wait_time: Duration,
    /// How many requests a token may make per minute. Default 6,000; none is no limit.
    pub requests_per_minute: Option<u32>,
    /// How many event streams a token may have open. Default 16.
    pub streams: u32,
    /// How often a silent stream says that it is alive. Default 15 seconds.
    pub keep_alive: Duration,
    /// What a request without a token may do. Default nothing: every request needs one.
    pub anonymous: Option<Role>,
    /// Where the logs of attempts are. Default nowhere: then there are none to read.
    pub logs: Option<Arc<dyn LogSource>>,
    /// Who sends webhooks. Default nobody: then none can be made.
    pub webhooks: Option<Arc<dyn WebhookSender>>,
    /// When cancelled, streams and waits end and `/readyz` says so; cancel it before the listener.
    pub drain: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            upload_bytes: 64 << 20,
            package: Limits::default(),
            request_time: Duration::from_secs(90),
            wait_time: Duration::from_secs(60),
            requests_per_minute: Some(6_000),
            streams: 16,
            keep_alive: Duration::from_secs(15),
            anonymous: None,
            logs: None,
            webhooks: None,
            drain: CancellationToken::new(),
        }
    }
}

impl Options {
    /// Sets how many requests a token may make per minute; none is no limit.
    #[must_use]
    pub fn requests_per_minute(mut self, limit: Option<u32>) -> Self {
        self.requests_per_minute = limit;
        self
    }

    /// Sets the most bytes of a JSON body.
    #[must_use]
    pub fn body_bytes(mut self, limit: usize) -> Self {
        self.body_bytes = limit;
        self
    }

    /// Sets the most bytes of an uploaded package.
    #[must_use]
    pub fn upload_bytes(mut self, limit: usize) -> Self {
        self.upload_bytes = limit;
        self
    }

    /// Sets what a request without a token may do.
    #[must_use]
    pub fn anonymous(mut self, role: Option<Role>) -> Self {
        self.anonymous = role;
        self
    }

    /// Sets where the logs of attempts are.
    #[must_use]
    pub fn logs(mut self, source: impl LogSource) -> Self {
        self.logs = Some(Arc::new(source));
        self
    }

    /// Sets who sends webhooks.
    #[must_use]
    pub fn webhooks(mut self, sender: Arc<dyn WebhookSender>) -> Self {
        self.webhooks = Some(sender);
        self
    }

    /// Sets the token whose cancellation ends streams and waits.
    #[must_use]
    pub fn drain(mut self, token: CancellationToken) -> Self {
        self.drain = token;
        self
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("body_bytes", &self.body_bytes)
            .field("upload_bytes", &self.upload_bytes)
            .field("request_time", &self.request_time)
            .field("requests_per_minute", &self.requests_per_minute)
            .field("anonymous", &self.anonymous)
            .field("logs", &self.logs.is_some())
            .field("webhooks", &self.webhooks.is_some())
            .finish_non_exhaustive()
    }
}
