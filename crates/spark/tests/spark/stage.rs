//! What the scenarios stand on: a cluster, executors over it, and attempts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jobwright_adapters::conformance::{AttemptBuilder, attempt};
use jobwright_adapters::remote::{Options, Prefix};
use jobwright_core::{Attempt, CancelReason, Handle, Reporter, Stop, StopReason};
use jobwright_spark::{Properties, SparkExecutor, StandaloneOptions, standalone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::Cluster;

/// How long anything may take here: a driver is a JVM, and the machine may be busy.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// How many drivers there may be at a time: `JOBWRIGHT_SPARK_SLOTS`, or 7, which all machines bear.
/// The cluster's worker has a core for each and one to spare; the machine may have fewer.
pub(crate) fn slots() -> u32 {
    let given = std::env::var("JOBWRIGHT_SPARK_SLOTS");
    given.map_or(7, |slots| slots.parse().expect("`JOBWRIGHT_SPARK_SLOTS` is a number"))
}

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    prefixes: AtomicU32,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let cores = slots() + 1;
        Self { cluster: Cluster::start(&[(cores, 1024 * cores)]), prefixes: AtomicU32::new(0) }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.cluster.shared()
    }

    pub(crate) fn place(&self) -> Place {
        Place::of(&self.cluster)
    }

    /// Makes an executor whose keys no other one has.
    pub(crate) fn executor(&self) -> SparkExecutor {
        let number = self.prefixes.fetch_add(1, Ordering::Relaxed);
        self.place().executor(&format!("t{number}"))
    }

    /// Counts the drivers that are there.
    pub(crate) fn drivers(&self) -> usize {
        let state: Value = serde_json::from_str(&self.cluster.state()).unwrap_or_default();
        state["activedrivers"].as_array().map_or(0, Vec::len)
    }

    /// Waits until there is no driver and no program.
    pub(crate) async fn cleared(&self) {
        until("all drivers and programs are gone", || {
            self.drivers() == 0 && self.cluster.programs() == 0
        })
        .await;
    }
}

/// Where a cluster is, also for engines of other processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) rest: String,
    pub(crate) ui: String,
    pub(crate) python: String,
    pub(crate) shared: PathBuf,
}

impl Place {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let python = cluster.python().to_str().unwrap().to_owned();
        Self { rest: cluster.rest(), ui: cluster.ui(), python, shared: cluster.shared() }
    }

    pub(crate) fn executor(&self, prefix: &str) -> SparkExecutor {
        self.executor_with(prefix, slots())
    }

    pub(crate) fn executor_with(&self, prefix: &str, slots: u32) -> SparkExecutor {
        let prefix = Prefix::new(prefix).unwrap();
        // The test's own patience is shorter than that of a machine which is this busy.
        let call_time = Duration::from_secs(60);
        let remote = Options { prefix, slots, call_time, ..Options::default() };
        standalone(self.options(), &self.shared, remote).unwrap()
    }

    pub(crate) fn options(&self) -> StandaloneOptions {
        StandaloneOptions {
            rest: self.rest.clone(),
            ui: self.ui.clone(),
            python: Some(self.python.clone()),
            driver_memory: 512,
            executor_memory: 512,
            properties: properties(),
            poll: Duration::from_millis(250),
            ..StandaloneOptions::default()
        }
    }
}

/// What lets a JVM of little work start soon.
pub(crate) fn properties() -> Properties {
    let quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";
    let properties = [
        ("spark.driver.extraJavaOptions", quick),
        ("spark.executor.extraJavaOptions", quick),
        ("spark.driver.host", "127.0.0.1"),
        ("spark.ui.enabled", "false"),
        ("spark.sql.shuffle.partitions", "2"),
    ];
    properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A step that runs a script of the shell. It needs no session, so it is the least that a driver
/// can do.
pub(crate) fn shell(script: &str) -> AttemptBuilder {
    attempt(json!({ "command": ["sh", "-c", script] }))
}

pub(crate) fn stop(attempt: &Attempt, grace: Duration) {
    let reason = StopReason::Cancelled { reason: CancelReason::Requested("a test".into()) };
    attempt.cancellation().stop(Stop { reason, grace });
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "{what} within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Hears what an attempt reports.
pub(crate) struct Ear {
    handle: watch::Sender<Option<Handle>>,
    words: watch::Sender<String>,
}

impl Ear {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { handle: watch::Sender::new(None), words: watch::Sender::default() })
    }

    /// Waits until the attempt is handed over, and returns its driver.
    pub(crate) async fn started(&self) -> String {
        let mut handle = self.handle.subscribe();
        let handle = tokio::time::timeout(LONG, handle.wait_for(Option::is_some)).await;
        handle.expect("an attempt is handed over").unwrap().as_ref().unwrap().as_str().to_owned()
    }

    /// Waits until it is said how far it is, in these words.
    pub(crate) async fn says(&self, part: &str) {
        let mut words = self.words.subscribe();
        let heard = tokio::time::timeout(LONG, words.wait_for(|it| it.contains(part))).await;
        assert!(heard.is_ok(), "nothing says `{part}`, but `{}`", *self.words.borrow());
    }
}

#[async_trait]
impl Reporter for Ear {
    async fn started(&self, _: &Attempt, handle: Handle) {
        self.handle.send_replace(Some(handle));
    }
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, _: u8, words: &str) {
        self.words.send_replace(words.to_owned());
    }
    fn log(&self, _: &Attempt, _: &str) {}
}
