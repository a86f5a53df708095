//! An engine that is killed at random moments with fifty jobs in flight: each job runs once, none
//! is lost, and nothing is left.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jobwright_adapters::remote::{Options, Prefix};
use jobwright_core::{Bundle, Package, Verdict};
use jobwright_kubernetes::Connection;
use jobwright_scheduler::Engine;
use jobwright_store::SqliteStore;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::stage::{executor, settings, stage, until};

const KILLS: usize = 20;
const JOBS: usize = 100;
const IN_FLIGHT: u32 = 50;

/// Tells a process of the tests that it is an engine: the folder of its store, how it reaches the
/// cluster, and the prefix of its names.
const ENGINE: &str = "JOBWRIGHT_TEST_ENGINE";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_killed_again_and_again() {
    if let Ok(place) = std::env::var(ENGINE) {
        return be_an_engine(&place).await;
    }
    let stage = stage();
    let prefix = "crashes";
    let folder = stage.cluster.folder().join(prefix);
    std::fs::create_dir_all(&folder).unwrap();
    let kubeconfig = stage.cluster.connection().kubeconfig.unwrap();
    let place = [folder.to_str().unwrap(), kubeconfig.to_str().unwrap(), prefix].join("|");
    let (mut kills, mut runs) = (0, 0);
    let mut lines = Vec::new();
    while kills < KILLS || runs == 0 {
        let mut engine = start(&place);
        let mut said = BufReader::new(engine.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = said.next_line().await.unwrap() {
                if line.contains("engine is up") {
                    return;
                }
                lines.push(line);
            }
            panic!("the engine ended before it was up: {lines:?}");
        };
        timeout(Duration::from_secs(60), ready).await.expect("the engine comes up");
        let ends = async {
            while let Some(line) = said.next_line().await.unwrap() {
                if line.contains("it ended") {
                    return line;
                }
                lines.push(line);
            }
            panic!("the engine ended before its run: {lines:?}");
        };
        let moment = Duration::from_millis(300 + chance() % 1700);
        let moment = if kills < KILLS { moment } else { Duration::from_secs(300) };
        match timeout(moment, ends).await {
            Err(_) => kills += 1,
            Ok(line) => {
                assert!(line.contains("Succeeded"), "{line}");
                runs += 1;
            }
        }
        engine.kill().await.unwrap();
    }
    println!("killed {kills} times in {runs} runs of {JOBS} jobs");
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for key in stage.node.started().iter().filter(|key| key.starts_with("crashes-")) {
        let job = key.rsplit_once('-').unwrap().0;
        *times.entry(job.to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "ran twice: {twice:?}");
    assert!(times.len() >= runs * JOBS, "{} of {} jobs ran", times.len(), runs * JOBS);
    until("nothing runs", || stage.node.running() == 0).await;
    let jobs: Api<Job> = Api::namespaced(stage.cluster.client().await, "default");
    let ours = ListParams::default().labels("jobwright/engine=crashes");
    let active = |job: &Job| job.status.as_ref().and_then(|it| it.active).unwrap_or(0) > 0;
    let gone = async {
        while jobs.list(&ours).await.unwrap().items.iter().any(active) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), gone).await.expect("no Job is active");
}

fn start(place: &str) -> Child {
    let mut engine = Command::new(std::env::current_exe().unwrap());
    engine.args(["--exact", "crashes::an_engine_is_killed_again_and_again", "--nocapture"]);
    engine.env(ENGINE, place).stdin(Stdio::null()).stdout(Stdio::piped());
    engine.kill_on_drop(true).spawn().unwrap()
}

/// Takes up what there is, or begins a run; says when it is up and when its run has ended.
async fn be_an_engine(place: &str) {
    let mut words = place.split('|');
    let (folder, kubeconfig) = (PathBuf::from(words.next().unwrap()), words.next().unwrap());
    let prefix = Prefix::new(words.next().unwrap()).unwrap();
    let connection = Connection { kubeconfig: Some(kubeconfig.into()), context: None };
    let options = Options { prefix, slots: IN_FLIGHT, ..Options::default() };
    let config = connection.config().await.unwrap();
    let executor = executor(config, settings("played"), folder.join("attempts"), options);
    let store = open(&folder).await;
    let engine = Engine::builder().store(store).executor("k8s", executor).start().await.unwrap();
    let deployment = match engine.deployments().await.unwrap().first() {
        Some(deployment) => deployment.id,
        None => engine.create_deployment("crashes").await.unwrap().id,
    };
    // Killed between the two, it has no release; the same one again changes nothing.
    engine.import(deployment, &package(), Default::default()).await.unwrap();
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

fn package() -> Bundle {
    let step = |number: usize| {
        let work = "sleep 3; printf 1 > \"$$JOBWRIGHT_OUTPUT\"";
        json!({ "name": format!("s{number}"), "kind": "wrangle", "executor": "k8s",
            "payload": { "command": ["/bin/sh", "-c", work] } })
    };
    let steps: Vec<_> = (1..=JOBS).map(step).collect();
    let names: Vec<_> = (1..=JOBS).map(|number| format!("s{number}")).collect();
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
