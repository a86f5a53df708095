//! Engines that are killed at random moments with fifty jobs in flight, alone or beside another one
//! on the same store: each job runs once, none is lost, and nothing is left.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jobwright_adapters::remote::{Options, Prefix};
use jobwright_core::{Bundle, Package, Store, Verdict};
use jobwright_kubernetes::Connection;
use jobwright_postgres::PostgresStore;
use jobwright_scheduler::Engine;
use jobwright_store::SqliteStore;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::postgres;
use crate::stage::{Stage, executor, settings, stage, until};

const KILLS: usize = 20;
const JOBS: usize = 100;
const IN_FLIGHT: u32 = 50;

/// Jobs of the run that several engines go through together, and how many of them are killed.
const LONG: usize = 300;
const HEIRS: usize = 3;

/// How long an engine that is silent is thought to be alive, on a shared store.
const LEASE: Duration = Duration::from_secs(3);

/// Tells a process of the tests that it is an engine, and which one.
const ENGINE: &str = "JOBWRIGHT_TEST_ENGINE";

/// What an engine of these tests is told.
#[derive(Serialize, Deserialize)]
struct Setting {
    folder: PathBuf,
    kubeconfig: PathBuf,
    prefix: String,
    /// A PostgreSQL that it shares with others; absent: a SQLite of its own.
    shared: Option<String>,
    jobs: usize,
}

impl Setting {
    fn new(stage: &Stage, prefix: &str, shared: Option<String>, jobs: usize) -> Self {
        let folder = stage.cluster.folder().join(prefix);
        std::fs::create_dir_all(&folder).unwrap();
        let kubeconfig = stage.cluster.connection().kubeconfig.unwrap();
        Self { folder, kubeconfig, prefix: prefix.to_owned(), shared, jobs }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_killed_again_and_again() {
    if let Ok(setting) = std::env::var(ENGINE) {
        return be_an_engine(serde_json::from_str(&setting).unwrap()).await;
    }
    let stage = stage();
    let setting = Setting::new(stage, "crashes", None, JOBS);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS || runs == 0 {
        let mut engine = Process::start(&setting).await;
        let moment = Duration::from_millis(300 + chance() % 1700);
        let moment = if kills < KILLS { moment } else { Duration::from_secs(300) };
        match timeout(moment, engine.ends()).await {
            Err(_) => kills += 1,
            Ok(()) => runs += 1,
        }
        engine.kill().await;
    }
    println!("killed {kills} times in {runs} runs of {JOBS} jobs");
    judge(stage, &setting, runs * JOBS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_engines_is_killed_and_the_other_goes_on() {
    let stage = stage();
    let database = postgres::Cluster::start(&[]);
    let setting = Setting::new(stage, "heirs", Some(database.database()), LONG);
    let begun = || {
        let started = stage.node.started();
        started.iter().filter(|key| key.starts_with("heirs-")).count()
    };
    // The first one drives the run, and the one after it waits for its end.
    let mut driver = Process::start(&setting).await;
    for kill in 1..=HEIRS {
        let heir = Process::start(&setting).await;
        sleep(Duration::from_millis(500 + chance() % 1500)).await;
        driver.kill().await;
        // The heir takes the group up when the lease is over, and only then begins something.
        let (before, running) = (begun(), stage.node.running());
        until("the other engine goes on", || begun() > before).await;
        println!("kill {kill}: {running} of {before} jobs ran, the other engine went on");
        driver = heir;
    }
    timeout(Duration::from_secs(300), driver.ends()).await.expect("the last engine ends the run");
    driver.kill().await;
    judge(stage, &setting, LONG).await;
}

/// An engine in a process of its own.
struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts an engine, and waits until it is up.
    async fn start(setting: &Setting) -> Self {
        let mut engine = Command::new(std::env::current_exe().unwrap());
        engine.args(["--exact", "crashes::an_engine_is_killed_again_and_again", "--nocapture"]);
        engine.env(ENGINE, serde_json::to_string(setting).unwrap());
        engine.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = engine.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, said };
        let up = timeout(Duration::from_secs(60), process.line("engine is up")).await;
        up.expect("the engine comes up");
        process
    }

    /// Waits until its run has ended, which must be well.
    async fn ends(&mut self) {
        let line = self.line("it ended").await;
        assert!(line.contains("Succeeded"), "{line}");
    }

    /// Waits for a line that it says. Cancel safe.
    async fn line(&mut self, part: &str) -> String {
        loop {
            match self.said.next_line().await.unwrap() {
                Some(line) if line.contains(part) => return line,
                Some(line) => println!("engine: {line}"),
                None => panic!("the engine ended before it said `{part}`"),
            }
        }
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Every job ran once, so many at least, and nothing is left.
async fn judge(stage: &Stage, setting: &Setting, jobs: usize) {
    let prefix = &setting.prefix;
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let started = stage.node.started();
    for key in started.iter().filter(|key| key.starts_with(&format!("{prefix}-"))) {
        let job = key.rsplit_once('-').unwrap().0;
        *times.entry(job.to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "ran twice: {twice:?}");
    assert!(times.len() >= jobs, "{} of {jobs} jobs ran", times.len());
    until("nothing runs", || stage.node.running() == 0).await;
    let jobs: Api<Job> = Api::namespaced(stage.cluster.client().await, "default");
    let ours = ListParams::default().labels(&format!("jobwright/engine={prefix}"));
    let active = |job: &Job| job.status.as_ref().and_then(|it| it.active).unwrap_or(0) > 0;
    let gone = async {
        while jobs.list(&ours).await.unwrap().items.iter().any(active) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), gone).await.expect("no Job is active");
}

/// Takes up what there is, or begins a run; says when it is up and when its run has ended.
async fn be_an_engine(setting: Setting) {
    let connection = Connection { kubeconfig: Some(setting.kubeconfig), context: None };
    let prefix = Prefix::new(&setting.prefix).unwrap();
    let options = Options { prefix, slots: IN_FLIGHT, ..Options::default() };
    let config = connection.config().await.unwrap();
    let attempts = setting.folder.join("attempts");
    let executor = executor(config, settings("played"), attempts, options);
    let store: Arc<dyn Store> = match setting.shared {
        Some(address) => Arc::new(PostgresStore::connect(&address).await.unwrap()),
        None => Arc::new(open(&setting.folder).await),
    };
    let engine = Engine::builder().shared_store(store).lease(LEASE).executor("k8s", executor);
    let engine = engine.start().await.unwrap();
    let deployment = match engine.deployments().await.unwrap().first() {
        Some(deployment) => deployment.id,
        None => engine.create_deployment("crashes").await.unwrap().id,
    };
    // Killed between the two, it has no release; the same one again changes nothing.
    engine.import(deployment, &package(setting.jobs), Default::default()).await.unwrap();
    let runs = engine.runs(deployment, 1).await.unwrap();
    let mut group = None;
    if let Some(known) = runs.first().and_then(|run| run.groups.first()) {
        let view = engine.group(known.id).await.unwrap();
        group = view.verdict.is_none().then_some(known.id);
    }
    let group = match group {
        Some(group) => group,
        None => engine.run(deployment).await.unwrap().groups().next().unwrap(),
    };
    println!("\nengine is up");
    let verdict: Verdict = engine.wait(group).await.unwrap();
    println!("\nit ended: {verdict:?}");
    std::future::pending::<()>().await;
}

/// A store that the engine before may not have let go of yet.
async fn open(folder: &Path) -> SqliteStore {
    loop {
        match SqliteStore::open(folder.join("store.db")) {
            Ok(store) => return store,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

fn package(jobs: usize) -> Bundle {
    let step = |number: usize| {
        let work = "sleep 3; printf 1 > \"$$JOBWRIGHT_OUTPUT\"";
        json!({ "name": format!("s{number}"), "kind": "wrangle", "executor": "k8s",
            "payload": { "command": ["/bin/sh", "-c", work] } })
    };
    let steps: Vec<_> = (1..=jobs).map(step).collect();
    let names: Vec<_> = (1..=jobs).map(|number| format!("s{number}")).collect();
    let last = json!({ "name": "last", "kind": "publish", "executor": "k8s",
        "payload": { "command": ["/bin/true"] },
        "needs": names.iter().map(|it| json!({ "step": it })).collect::<Vec<_>>() });
    let steps: Vec<_> = steps.into_iter().chain([last]).collect();
    let outputs = json!([{ "name": "all", "steps": ["last"] }]);
    let flow = json!({ "name": "main", "steps": steps, "outputs": outputs });
    let package = json!({ "name": "crashes", "primary": ["main"], "flows": [flow] });
    Bundle::from(serde_json::from_value::<Package>(package).unwrap())
}

/// A number that nobody foresees.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}
