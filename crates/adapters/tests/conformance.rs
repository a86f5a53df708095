//! Every executor of this crate keeps the contract.

use jobwright_adapters::conformance::{AttemptBuilder, Table, attempt, exercise};
use jobwright_adapters::mock::Act;
use jobwright_adapters::{FnExecutor, MockExecutor};
use jobwright_core::{Attempt, Failure, Success};
use serde_json::json;

fn step(name: &str) -> AttemptBuilder {
    attempt(json!(null)).step(name)
}

fn table() -> Table {
    Table::new(step("leaves"), json!({"rows": 3}), step("fails"), step("hangs"))
}

fn failure() -> Failure {
    Failure::permanent("broken", "it is broken")
}

#[tokio::test(start_paused = true)]
async fn the_mock_keeps_the_contract() {
    let make = || {
        MockExecutor::new()
            .on("leaves", [Act::succeeds_with(json!({"rows": 3}))])
            .on("fails", [Act::fails(failure())])
            .on("hangs", [Act::hangs()])
    };
    exercise(make, table()).await;
}

#[tokio::test(start_paused = true)]
async fn a_function_keeps_the_contract() {
    let make = || {
        FnExecutor::new(|attempt: Attempt| async move {
            match attempt.job().step.as_str() {
                "leaves" => Ok(Success::with(json!({"rows": 3}))),
                "fails" => Err(failure()),
                _ => std::future::pending().await,
            }
        })
    };
    exercise(make, table()).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "an attempt ends within")]
async fn what_does_not_stop_breaks_the_contract() {
    let make = || {
        MockExecutor::new()
            .on("leaves", [Act::succeeds_with(json!({"rows": 3}))])
            .on("fails", [Act::fails(failure())])
            .on("hangs", [Act::hangs().ignoring_cancellation()])
    };
    exercise(make, table()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn local_processes_keep_the_contract() {
    use jobwright_adapters::LocalProcessExecutor;

    let script = |text: &str| attempt(json!({"command": ["sh", "-c", text]}));
    for hangs in ["sleep 1000", "trap '' TERM; sleep 1000 & while :; do sleep 1000; done"] {
        let root = tempfile::tempdir().expect("there is room for a folder");
        let mark = format!("JOBWRIGHT_OUTPUT={}/", root.path().display());
        let leaves = script("echo '{\"rows\": 3}' > \"$JOBWRIGHT_OUTPUT\"");
        let table = Table::new(leaves, json!({"rows": 3}), script("exit 3"), script(hangs));
        let table = table.remains(move || processes(&mark));
        exercise(|| LocalProcessExecutor::new(root.path()), table).await;
    }
}

/// Counts the processes whose environment has a variable that begins so.
#[cfg(target_os = "linux")]
fn processes(mark: &str) -> usize {
    let environments = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        std::fs::read(path.join("environ")).ok().filter(|_| !stat.contains(") Z "))
    });
    let marked = |environment: &Vec<u8>| {
        environment.split(|byte| *byte == 0).any(|it| it.starts_with(mark.as_bytes()))
    };
    environments.filter(marked).count()
}
