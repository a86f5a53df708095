//! An executor of jobwright that runs attempts as Kubernetes Jobs, one `batch/v1` Job per attempt.
//!
//! [`Kubernetes`] answers the questions of
//! [`RemoteExecutor`](jobwright_adapters::remote::RemoteExecutor), which does all that every
//! cluster needs:
//!
//! ```no_run
//! use jobwright_adapters::remote::Options;
//! use jobwright_kubernetes::{Connection, Kubernetes, Settings};
//!
//! # async fn make() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings { image: Some("busybox:1".to_owned()), ..Settings::default() };
//! let config = Connection::default().config().await?;
//! let executor = Kubernetes::executor(config, settings, "/var/lib/jobs", Options::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! What it must never do: make a second Job for an attempt, use a name twice, let the cluster try
//! again by itself, put a secret into a manifest, or a text of a step where a shell or the cluster
//! would read more into it.

mod ask;
mod cluster;
mod connect;
mod label;
mod ledger;
mod logs;
mod manifest;
mod pod;
mod settings;
mod trouble;
mod watch;

pub use cluster::Kubernetes;
pub use cluster::KubernetesExecutor;
pub use cluster::SetupError;
pub use connect::ConnectError;
pub use connect::Connection;
pub use manifest::Order;
pub use settings::PodError;
pub use settings::Settings;

pub use k8s_openapi;
pub use kube;
