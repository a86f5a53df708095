//! What is found after an engine was killed: by a second executor over the same folder.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::conformance::attempt;
use jobwright_adapters::log::ProcessEnd;
use jobwright_core::{Attempt, Executor, FailureClass, Outcome, Reattached, Success};
use serde_json::{Value, json};

use crate::bench::{Bench, LONG, expect, gone, heard, shell, stop};

const ROOT: &str = "JOBWRIGHT_TEST_ROOT";
const PAYLOAD: &str = "JOBWRIGHT_TEST_PAYLOAD";

/// Not a test of its own: the engine that is killed by the others, which run it in a process.
#[tokio::test]
async fn doomed_engine() {
    let (Some(root), Some(payload)) = (std::env::var_os(ROOT), std::env::var_os(PAYLOAD)) else {
        return;
    };
    let payload: Value = serde_json::from_str(payload.to_str().unwrap()).unwrap();
    let (reporter, mut lines) = heard();
    let attempt = attempt(payload).reporter(reporter).build();
    let executor = LocalProcessExecutor::new(root);
    let (end, ()) = tokio::join!(executor.execute(attempt), async {
        println!("\nready {}", expect(&mut lines, "ready ").await);
    });
    panic!("it ended: {end:?}");
}

/// Starts an engine that runs a script, waits until the script says `ready <pid>`, and kills the
/// engine. Returns the pid.
fn crash(root: &Path, script: &str) -> String {
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::doomed_engine", "--nocapture"])
        .env(ROOT, root)
        .env(PAYLOAD, shell(script).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let lines = BufReader::new(engine.stdout.take().unwrap()).lines();
    let pid =
        lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("ready ")?.into()));
    engine.kill().unwrap();
    engine.wait().unwrap();
    pid.expect("the engine's attempt is ready")
}

async fn reattach(bench: &Bench, attempt: &Attempt) -> Reattached {
    let reattached = bench.executor.reattach(attempt.clone());
    tokio::time::timeout(LONG, reattached).await.expect("the reattachment hangs")
}

#[tokio::test]
async fn a_process_that_still_runs_is_waited_for() {
    // It leaves its result when there is a file `go`.
    let script = "echo ready $$; while [ ! -e go ]; do sleep 0.01; done; \
                  echo '[1]' > \"$JOBWRIGHT_OUTPUT\"";
    for record_is_lost in [false, true] {
        let bench = Bench::new();
        let pid = crash(bench.root.path(), script);
        let attempt = attempt(shell(script)).build();
        let folder = bench.folder(&attempt);
        if record_is_lost {
            std::fs::write(folder.join("out.log"), "").unwrap();
        }
        let (answer, ()) = tokio::join!(reattach(&bench, &attempt), async {
            std::fs::write(folder.join("work/go"), "").unwrap();
        });
        let expect = Reattached::Ended(Outcome::Succeeded(Success::with(json!([1]))));
        assert_eq!(answer, expect, "lost: {record_is_lost}");
        assert_eq!(bench.said(&attempt).1.process, ProcessEnd::Unseen);
        gone(&pid).await;
    }
}

#[tokio::test]
async fn a_process_without_a_result_ended_nobody_knows_how() {
    let bench = Bench::new();
    // A child outlives it; writing after the engine's death is what kills many.
    let script = "sleep 1000 & echo ready $!; while [ ! -e go ]; do sleep 0.01; done";
    let child = crash(bench.root.path(), script);
    let attempt = attempt(shell(script)).build();
    std::fs::write(bench.folder(&attempt).join("work/go"), "").unwrap();
    assert_eq!(reattach(&bench, &attempt).await, Reattached::Unknown);
    gone(&child).await;
    // Asked again, it says the same.
    assert_eq!(reattach(&bench, &attempt).await, Reattached::Unknown);
}

#[tokio::test]
async fn a_process_that_is_taken_up_can_be_stopped() {
    let bench = Bench::new();
    let script = "trap '' TERM; echo ready $$; while :; do sleep 1000; done";
    let pid = crash(bench.root.path(), script);
    let attempt = attempt(shell(script)).build();
    stop(&attempt, Duration::from_millis(50));
    let Reattached::Ended(Outcome::Failed(failure)) = reattach(&bench, &attempt).await else {
        panic!("it was stopped");
    };
    assert_eq!(failure.class, FailureClass::Cancelled);
    assert_eq!(failure.details["killed"], true);
    gone(&pid).await;
}

#[tokio::test]
async fn what_another_life_left_under_the_same_ids_is_ended() {
    let bench = Bench::new();
    let pid = crash(bench.root.path(), "echo ready $$; while :; do sleep 1000; done");
    bench.run(&attempt(shell("true")).build()).await.unwrap();
    gone(&pid).await;
}

#[tokio::test]
async fn a_dropped_reattachment_leaves_nothing_behind() {
    let bench = Bench::new();
    let script = "echo ready $$; while :; do sleep 1000; done";
    let pid = crash(bench.root.path(), script);
    let attempt = attempt(shell(script)).build();
    let soon = Duration::from_millis(300);
    let cut = tokio::time::timeout(soon, bench.executor.reattach(attempt)).await;
    assert!(cut.is_err(), "it cannot have ended: {cut:?}");
    gone(&pid).await;
}

#[tokio::test]
async fn an_end_that_was_seen_is_told_again() {
    let bench = Bench::new();
    let attempt = attempt(shell("echo the reason >&2; exit 3")).build();
    let failure = bench.run(&attempt).await.unwrap_err();
    let expect = Reattached::Ended(Outcome::Failed(Box::new(failure)));
    assert_eq!(reattach(&bench, &attempt).await, expect);
}

#[tokio::test]
async fn a_pid_that_was_given_to_another_process_is_left_alone() {
    let bench = Bench::new();
    let attempt = attempt(shell("true")).build();
    bench.run(&attempt).await.unwrap();
    let folder = bench.folder(&attempt);
    let log = std::fs::read_to_string(folder.join("out.log")).unwrap();
    let words: Vec<_> = log.lines().next().unwrap().split(' ').collect();
    let ["+", seq, at, "pid", _, "start", start, "boot", boot] = words[..] else {
        panic!("{log}");
    };
    let mut stranger = stranger();
    let pid = stranger.id();
    // Both may have begun within one tick of the kernel's clock.
    let start = start.parse::<u64>().unwrap() - 1;
    let record = format!("+ {seq} {at} pid {pid} start {start} boot {boot}\n");
    std::fs::write(folder.join("out.log"), record).unwrap();
    assert_eq!(reattach(&bench, &attempt).await, Reattached::Unknown);
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// A process that has nothing to do with any attempt, and leads its group.
fn stranger() -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "echo; exec sleep 1000"]).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}
