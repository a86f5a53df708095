//! Our engine is killed at random moments, with as many jobs under way as there are slots; alone,
//! or beside another one on the same store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobwright_core::{Bundle, Package, Store, Verdict};
use jobwright_postgres::PostgresStore;
use jobwright_scheduler::Engine;
use jobwright_store::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::postgres;
use crate::stage::{Place, Stage, slots, until};

/// Each job tells when it begins and when it has done its work, in one line each.
const SCRIPT: &str = "echo \"begin $JOBWRIGHT_ATTEMPT\" >> \"$1\"; sleep 1; \
                      echo \"end $JOBWRIGHT_ATTEMPT\" >> \"$1\"";

/// How long an engine that is silent is thought to be alive, on a shared store.
const LEASE: Duration = Duration::from_secs(3);

#[derive(Serialize, Deserialize)]
struct Setting {
    place: Place,
    prefix: String,
    folder: PathBuf,
    /// A PostgreSQL that it shares with others; absent: a SQLite of its own.
    shared: Option<String>,
    jobs: u32,
}

impl Setting {
    fn new(stage: &Stage, prefix: &str, folder: &Path, shared: Option<String>, jobs: u32) -> Self {
        fs::write(folder.join("once.sh"), SCRIPT).unwrap();
        let prefix = prefix.to_owned();
        Self { place: stage.place(), prefix, folder: folder.to_owned(), shared, jobs }
    }
}

/// Kills engines so many times while they have jobs, then lets one finish, and judges.
pub(crate) async fn kill9(stage: &Stage, kills: u32) {
    let folder = tempfile::tempdir().unwrap();
    // As many as there are slots are under way until the last ones.
    let jobs = 2 * slots() + 2 * kills;
    let setting = Setting::new(stage, "kill9", folder.path(), None, jobs);
    let mut dice = Dice::new();
    let mut moments = Vec::new();
    for _ in 0..kills {
        let moment = dice.moment();
        moments.push(moment.as_millis());
        let (engine, _) = start(&setting);
        tokio::time::sleep(moment).await;
        kill(engine);
    }
    let last = start(&setting);
    println!("  killed after {moments:?} ms, {}", end(last).await);
    judge(stage, &setting).await;
}

/// Kills the engine that drives the run so many times; each time the one beside it goes on.
pub(crate) async fn nodes(stage: &Stage, kills: u32) {
    let (folder, database) = (tempfile::tempdir().unwrap(), postgres::Cluster::start(&[]));
    let jobs = slots() * (kills + 2);
    let shared = Some(database.database());
    let setting = Setting::new(stage, "nodes", folder.path(), shared, jobs);
    let begun = || evidence(&setting).lines().filter(|it| it.starts_with("begin ")).count();
    let mut dice = Dice::new();
    let mut driver = start(&setting);
    for _ in 0..kills {
        let heir = start(&setting);
        until("jobs of the run are under way", || stage.drivers() > 0).await;
        tokio::time::sleep(dice.moment()).await;
        kill(driver.0);
        // What was under way goes on without an engine: only more than that shows an heir.
        let (before, drivers) = (begun(), stage.drivers());
        until("the other engine goes on", || begun() > before + drivers || is_over(&setting)).await;
        println!("  one killed with {drivers} drivers under way, the other went on");
        driver = heir;
    }
    println!("  {}", end(driver).await);
    judge(stage, &setting).await;
}

fn is_over(setting: &Setting) -> bool {
    let ends = evidence(setting).lines().filter(|it| it.starts_with("end ")).count();
    ends == setting.jobs as usize
}

fn evidence(setting: &Setting) -> String {
    fs::read_to_string(setting.folder.join("evidence")).unwrap_or_default()
}

/// Draws moments by Lehmer's numbers: good enough to spread them.
struct Dice(u32);

impl Dice {
    fn new() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos())
    }

    fn moment(&mut self) -> Duration {
        self.0 = u32::try_from(u64::from(self.0) * 48_271 % 2_147_483_647).unwrap();
        Duration::from_millis(u64::from(self.0 % 6000))
    }
}

fn kill(mut engine: Child) {
    engine.kill().unwrap();
    engine.wait().unwrap();
}

/// Lets an engine come to its end, and returns what it said last.
async fn end((mut engine, lines): (Child, Lines)) -> String {
    let last = tokio::task::spawn_blocking(move || lines.map_while(Result::ok).last());
    let last = last.await.unwrap();
    assert!(engine.wait().unwrap().success());
    last.expect("it says how it ended")
}

/// Every job ran once, none is lost, and nothing is left.
async fn judge(stage: &Stage, setting: &Setting) {
    let evidence = evidence(setting);
    let mut begins: BTreeMap<&str, u32> = BTreeMap::new();
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for line in evidence.lines() {
        let (what, attempt) = line.split_once(' ').unwrap();
        let job = attempt.split_once('-').unwrap().0;
        let book = if what == "begin" { &mut begins } else { &mut ends };
        *book.entry(job).or_default() += 1;
    }
    let twice: Vec<_> = begins.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "jobs ran twice: {twice:?}");
    assert_eq!(ends.len(), setting.jobs as usize, "jobs are lost");
    assert_eq!(begins, ends);
    stage.cleared().await;
}

type Lines = std::io::Lines<BufReader<std::process::ChildStdout>>;

/// Starts an engine, and waits until it drives its run.
fn start(setting: &Setting) -> (Child, Lines) {
    let setting = serde_json::to_string(setting).unwrap();
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["engine", &setting])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(engine.stdout.take().unwrap()).lines();
    let first = lines.next().expect("the engine starts").unwrap();
    assert_eq!(first, "running");
    (engine, lines)
}

/// One life of the engine: begins the run if no earlier one has, and waits for its end.
pub(crate) async fn engine(setting: &str) {
    let setting: Setting = serde_json::from_str(setting).unwrap();
    let Setting { place, prefix, folder, shared, jobs } = setting;
    let store: Arc<dyn Store> = match shared {
        Some(address) => Arc::new(PostgresStore::connect(&address).await.unwrap()),
        None => Arc::new(SqliteStore::open(folder.join("store.db")).unwrap()),
    };
    let executor = place.executor(&prefix);
    let engine = Engine::builder().shared_store(store).lease(LEASE).executor("spark", executor);
    let engine = engine.start().await.unwrap();
    let deployment = match engine.deployment_named("test").await.unwrap() {
        Some(deployment) => deployment.id,
        None => engine.create_deployment("test").await.unwrap().id,
    };
    let bundle = Bundle::from(package(jobs, &folder));
    engine.import(deployment, &bundle, Default::default()).await.unwrap();
    let run = engine.run(deployment).idempotency_key("once").await.unwrap();
    println!("running");
    let verdict = run.wait().await.unwrap().verdict;
    let mut attempts = 0;
    for group in run.groups() {
        for job in engine.group(group).await.unwrap().jobs {
            attempts += job.attempts.len();
        }
    }
    println!("{jobs} jobs in {attempts} attempts: {verdict:?}");
    assert_eq!(verdict, Verdict::Succeeded);
    engine.shutdown(Duration::ZERO).await.unwrap();
}

fn package(jobs: u32, folder: &Path) -> Package {
    let step = |at: u32| {
        let command = json!(["sh", folder.join("once.sh"), folder.join("evidence")]);
        let payload = json!({ "command": command });
        let policy = json!({ "crash_limit": 100 });
        json!({
            "name": format!("s{at}"), "kind": "wrangle", "executor": "spark",
            "payload": payload, "policy": policy,
        })
    };
    let steps: Vec<_> = (0..jobs).map(step).collect();
    let all: Vec<_> = (0..jobs).map(|at| format!("s{at}")).collect();
    let flow = json!({
        "name": "main", "steps": steps, "outputs": [{ "name": "o", "steps": all }],
    });
    let package = json!({ "name": "test", "primary": ["main"], "flows": [flow] });
    serde_json::from_value(package).unwrap()
}
