//! What the tests of whole runs stand on: an engine over a store on disk, with real processes.

use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use jobwright::adapters::{LocalProcessExecutor, StaticSecrets};
use jobwright::core::{DeploymentId, Verdict};
use jobwright::store::SqliteStore;
use jobwright::{Engine, JobView, Notice, RunHandle, Subscription};
use tempfile::TempDir;

/// The most bytes that are kept of each stream of an attempt.
pub(crate) const LOG_CAP: usize = 64 * 1024;

/// An engine with a package that is ready to run.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) deployment: DeploymentId,
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) async fn start(package: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path()).await;
        let deployment = engine.create_deployment("test").await.unwrap().id;
        let bundle = jobwright::package::read(package.as_bytes()).unwrap();
        engine.import(deployment, &bundle, Default::default()).await.unwrap();
        Self { engine, deployment, dir }
    }

    /// Runs a package of one step and returns how its job ended.
    pub(crate) async fn step(step: &str) -> (Self, JobView) {
        let bench = Self::start(&package(step)).await;
        let run = bench.engine.run(bench.deployment).await.unwrap();
        let (verdict, job) = bench.end(&run).await;
        assert_eq!(verdict, Verdict::Failed);
        (bench, job)
    }

    /// Returns why a package is not imported.
    pub(crate) async fn refused(package: &str) -> String {
        let bundle = match jobwright::package::read(package.as_bytes()) {
            Ok(bundle) => bundle,
            Err(error) => return chain(&error),
        };
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path()).await;
        let deployment = engine.create_deployment("test").await.unwrap().id;
        let imported = engine.import(deployment, &bundle, Default::default()).await;
        chain(&imported.unwrap_err())
    }

    /// Waits for the end of a run, and returns the first job of its first group.
    pub(crate) async fn end(&self, run: &RunHandle) -> (Verdict, JobView) {
        let verdict = soon(run.wait()).await.unwrap().verdict;
        let group = run.groups().next().unwrap();
        (verdict, self.engine.group(group).await.unwrap().jobs.remove(0))
    }
}

/// Starts an engine over the store and the attempts in a folder.
pub(crate) async fn engine(dir: &Path) -> Engine {
    let executor = LocalProcessExecutor::new(dir.join("attempts")).log_cap(LOG_CAP);
    let secrets = StaticSecrets::new().with("warehouse", SECRET);
    let store = SqliteStore::open(dir.join("store.db")).unwrap();
    let builder = Engine::builder().store(store).executor("local", executor).secrets(secrets);
    builder.start().await.unwrap()
}

/// What nobody may read anywhere.
pub(crate) const SECRET: &str = "correct-horse-battery-staple";

/// A package of one step.
pub(crate) fn package(step: &str) -> String {
    format!(
        "
jobwright: 1
name: test
flows:
  main:
    executor: local
    steps: {{ work: {step} }}
    outputs: {{ all: {{ steps: [work] }} }}
"
    )
}

/// Bounds what should end soon, so that a fault in the engine is a failure of the test.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let bound = Duration::from_secs(60);
    tokio::time::timeout(bound, future).await.expect("it should have ended long ago")
}

/// Listens until something is told.
pub(crate) async fn until(notices: &mut Subscription, wanted: impl Fn(&Notice) -> bool) {
    let listen = async { while !wanted(&notices.next().await.expect("the engine lives")) {} };
    soon(listen).await;
}

pub(crate) fn said(notice: &Notice, words: &str) -> bool {
    matches!(notice, Notice::Log { line, .. } if **line == *words)
}

/// An error as a person sees it, with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The live processes of the attempts below a folder.
pub(crate) fn processes(dir: &Path) -> Vec<i32> {
    let mark = format!("JOBWRIGHT_OUTPUT={}/", dir.display());
    let pids = std::fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let bears = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|it| it.starts_with(mark.as_bytes()))
    };
    pids.filter(bears).collect()
}
