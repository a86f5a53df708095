//! One control plane with one played node for all tests of a program, and executors on it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use jobwright_adapters::remote::{Options, Prefix};
use jobwright_core::{Attempt, CancelReason, Stop, StopReason};
use jobwright_kubernetes::{Kubernetes, KubernetesExecutor, Settings};
use kube::Config;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::node::Node;

/// What the tests share.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) node: Node,
    executors: AtomicU32,
}

/// Returns the stage; the first one who asks starts it. It ends with the process.
pub(crate) fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        // A runtime of its own: those of tests end with them.
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let runtime = RUNTIME.get_or_init(|| Runtime::new().unwrap());
        let made = thread::spawn(|| {
            runtime.block_on(async {
                let cluster = Cluster::start(&[]).await;
                let folder = cluster.folder().join("nodes");
                let node = Node::start(cluster.client().await, "played", &folder).await;
                Stage { cluster, node, executors: AtomicU32::new(0) }
            })
        });
        made.join().unwrap()
    })
}

impl Stage {
    /// Returns the folder of attempts.
    pub(crate) fn root(&self) -> PathBuf {
        self.cluster.folder().join("attempts")
    }

    /// Returns options whose names nobody else has.
    pub(crate) fn options(&self) -> Options {
        let number = self.executors.fetch_add(1, Ordering::Relaxed);
        Options { prefix: Prefix::new(&format!("test{number}")).unwrap(), ..Options::default() }
    }

    /// Makes an executor whose names nobody else has, with the pods on the played node.
    pub(crate) async fn executor(&self) -> KubernetesExecutor {
        executor(self.cluster.config().await, settings("played"), self.root(), self.options())
    }
}

/// Makes an executor.
pub(crate) fn executor(
    config: Config,
    settings: Settings,
    root: PathBuf,
    options: Options,
) -> KubernetesExecutor {
    Kubernetes::executor(config, settings, root, options).unwrap()
}

/// What is said about pods that run on a played node.
pub(crate) fn settings(node: &str) -> Settings {
    let template = json!({ "spec": { "nodeName": node, "containers": [] } });
    Settings {
        image: Some("played/any".to_owned()),
        template: serde_json::from_value(template).unwrap(),
        ..Settings::default()
    }
}

impl Stage {
    /// Asks an attempt to stop, with a second of grace.
    pub(crate) fn stop(&self, attempt: &Attempt) {
        let reason = StopReason::Cancelled { reason: CancelReason::Requested("a test".into()) };
        attempt.cancellation().stop(Stop { reason, grace: Duration::from_secs(1) });
    }
}

impl Stage {
    /// As an engine that is dead: its future is gone, and the work goes on.
    pub(crate) fn abandon(&self, attempt: &Attempt) {
        let (reason, grace) = (StopReason::GivenUp, Duration::ZERO);
        attempt.cancellation().stop(Stop { reason, grace });
    }
}

/// Waits for something that must come.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let came = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), came).await.unwrap_or_else(|_| panic!("in time {what}"));
}
