//! Our engine is killed at random moments, with as many jobs under way as there are slots.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobwright_core::{Bundle, Package, Verdict};
use jobwright_scheduler::Engine;
use jobwright_store::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::stage::{CORES, Place, Stage};

/// Each job tells when it begins and when it has done its work, in one line each.
const SCRIPT: &str = "echo \"begin $JOBWRIGHT_ATTEMPT\" >> \"$1\"; sleep 1; \
                      echo \"end $JOBWRIGHT_ATTEMPT\" >> \"$1\"";

#[derive(Serialize, Deserialize)]
struct Setting {
    place: Place,
    folder: PathBuf,
    jobs: u32,
}

/// Kills engines so many times while they have jobs, then lets one finish, and judges.
pub(crate) async fn kill9(stage: &Stage, kills: u32) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("once.sh"), SCRIPT).unwrap();
    // As many as there are slots are under way until the last ones.
    let jobs = 2 * (CORES - 1) + 2 * kills;
    let place = stage.place();
    let setting = Setting { place, folder: folder.path().to_owned(), jobs };
    let setting = serde_json::to_string(&setting).unwrap();
    let mut dice = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let mut moments = Vec::new();
    for _ in 0..kills {
        // Numbers of Lehmer's: good enough to spread moments.
        dice = u32::try_from(u64::from(dice) * 48_271 % 2_147_483_647).unwrap();
        let moment = Duration::from_millis(u64::from(dice % 6000));
        moments.push(moment.as_millis());
        let (mut engine, _) = start(&setting);
        tokio::time::sleep(moment).await;
        engine.kill().unwrap();
        engine.wait().unwrap();
    }
    let (mut engine, lines) = start(&setting);
    let last = tokio::task::spawn_blocking(move || lines.map_while(Result::ok).last());
    let last = last.await.unwrap();
    assert!(engine.wait().unwrap().success());
    println!("  killed after {moments:?} ms, {}", last.expect("it says how it ended"));

    let evidence = fs::read_to_string(folder.path().join("evidence")).unwrap();
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
    assert_eq!(ends.len(), jobs as usize, "jobs are lost");
    assert_eq!(begins, ends);
    stage.cleared().await;
}

type Lines = std::io::Lines<BufReader<std::process::ChildStdout>>;

/// Starts an engine, and waits until it drives its run.
fn start(setting: &str) -> (Child, Lines) {
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["engine", setting])
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
    let Setting { place, folder, jobs } = serde_json::from_str(setting).unwrap();
    let store = SqliteStore::open(folder.join("store.db")).unwrap();
    let executor = place.executor("kill9");
    let engine = Engine::builder().store(store).executor("spark", executor).start().await.unwrap();
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
