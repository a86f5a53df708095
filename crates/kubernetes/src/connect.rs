//! The way to the API server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;
use tower::util::MapResponseLayer;

use crate::trouble::chain;

/// Which cluster, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    /// The file that says how to reach the cluster. Absent: what `KUBECONFIG` names, then the
    /// user's own file, then what a pod of the cluster is given.
    pub kubeconfig: Option<PathBuf>,
    /// Which context of the file. Absent: the one that it calls current.
    pub context: Option<String>,
}

/// Why there is no way to the API server.
#[derive(Debug, Error)]
#[error("Kubernetes cannot be reached {place}: {why}")]
pub struct ConnectError {
    place: String,
    why: String,
}

impl Connection {
    /// Reads how the cluster is reached. Sends nothing.
    ///
    /// # Errors
    /// The file is not there or cannot be used, or there is none, and this is no pod.
    pub async fn config(&self) -> Result<Config, ConnectError> {
        let refused =
            |why: &dyn std::error::Error| ConnectError { place: self.spelled(), why: chain(why) };
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Config::infer().await.map_err(|error| refused(&error));
        }
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let file = read.map_err(|error| refused(&error))?;
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let config = Config::from_custom_kubeconfig(file, &options).await;
        config.map_err(|error| refused(&error))
    }
}

impl Connection {
    fn spelled(&self) -> String {
        let context = self.context.as_ref().map(|it| format!(" in its context `{it}`"));
        let file = match &self.kubeconfig {
            Some(path) => format!("as `{}` says", path.display()),
            None => "as `KUBECONFIG`, `~/.kube/config` or the pod says".to_owned(),
        };
        file + &context.unwrap_or_default()
    }
}

/// A client that repeats nothing by itself, and takes note of what the server says about its load.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: Client,
    notes: Arc<Notes>,
}

#[derive(Default)]
struct Notes {
    requests: AtomicU64,
    /// The pause in milliseconds that the server last asked for; nothing where it never did.
    pause: AtomicU64,
}

impl Line {
    pub(crate) fn new(mut config: Config) -> Result<Self, ConnectError> {
        // Who repeats decides about all attempts at once.
        config.default_retry = false;
        let place = format!("at {}", config.cluster_url);
        let builder = ClientBuilder::try_from(config)
            .map_err(|error| ConnectError { place, why: chain(&error) })?;
        let notes = Arc::new(Notes::default());
        let noting = Arc::clone(&notes);
        let layer = MapResponseLayer::new(move |response| {
            noting.take(&response);
            response
        });
        Ok(Self { client: builder.with_layer(&layer).build(), notes })
    }

    /// Returns how many requests were answered; a watch is one.
    pub(crate) fn requests(&self) -> u64 {
        self.notes.requests.load(Ordering::Relaxed)
    }

    /// Returns how long the server wants to be left alone.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let pause = self.notes.pause.load(Ordering::Relaxed);
        (pause > 0).then(|| Duration::from_millis(pause))
    }
}

impl Notes {
    fn take<B>(&self, response: &http::Response<B>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let after = response.headers().get(http::header::RETRY_AFTER);
        let seconds = after.and_then(|it| it.to_str().ok()?.trim().parse::<u64>().ok());
        if response.status() == http::StatusCode::TOO_MANY_REQUESTS {
            let pause = seconds.unwrap_or(1).clamp(1, 300) * 1_000;
            self.pause.store(pause, Ordering::Relaxed);
        }
    }
}
