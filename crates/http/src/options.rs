//! What an embedder may choose.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::Role;
use jobwright_core::webhook::WebhookSender;
use jobwright_package::Limits;
use tokio_util::sync::CancellationToken;

use crate::logs::LogSource;
use crate::metrics::Meter;

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
    /// How many wrong access tokens may be shown per minute from one peer, before the answer is
    /// 429 instead of 401. Default 60; none is no limit. Where the listener does not tell the peer
    /// (as `axum`'s `ConnectInfo`), tokens are told apart by their hashes.
    pub failures_per_minute: Option<u32>,
    /// How many event streams a token may have open. Default 16.
    pub streams: u32,
    /// How many `?wait=` of a token may wait at a time. Default 64.
    pub waits: u32,
    /// How old a stream becomes: then it ends with `bye`, and the reader comes back. Default
    /// none: as old as its token.
    pub stream_time: Option<Duration>,
    /// How often a silent stream says that it is alive. Default 15 seconds.
    pub keep_alive: Duration,
    /// What a request without a token may do. Default nothing: every request needs one.
    pub anonymous: Option<Role>,
    /// Where the logs of attempts are. Default nowhere: then there are none to read.
    pub logs: Option<Arc<dyn LogSource>>,
    /// What counts the engine's work for `/metrics`. Default nothing: then only the series of the
    /// API are there.
    pub meter: Option<Meter>,
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
            failures_per_minute: Some(60),
            streams: 16,
            waits: 64,
            stream_time: None,
            keep_alive: Duration::from_secs(15),
            anonymous: None,
            logs: None,
            meter: None,
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

    /// Sets how many wrong tokens may be shown per minute from one peer; none is no limit.
    #[must_use]
    pub fn failures_per_minute(mut self, limit: Option<u32>) -> Self {
        self.failures_per_minute = limit;
        self
    }

    /// Sets how many event streams a token may have open.
    #[must_use]
    pub fn streams(mut self, limit: u32) -> Self {
        self.streams = limit;
        self
    }

    /// Sets how old a stream becomes; none is as old as its token.
    #[must_use]
    pub fn stream_time(mut self, most: Option<Duration>) -> Self {
        self.stream_time = most;
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

    /// Sets what counts the engine's work: the meter that the engine was given as an observer.
    #[must_use]
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
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
