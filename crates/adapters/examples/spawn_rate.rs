//! Prints how many processes per second the executor runs, beside a bare `tokio::process::Command`
//! loop in the same run: `cargo run --release --example spawn_rate -- [PROCESSES] [AT A TIME]`.
//!
//! Set `TMPDIR` to a memory file system to measure the executor alone: an attempt makes two
//! folders and a file, and ext4 searches long for free inodes for half a minute after many were
//! deleted, for instance by the last run.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::conformance::attempt;
use jobwright_core::Executor;
use serde_json::json;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let processes = numbers.next().transpose()?.unwrap_or(2000);
    let at_a_time = numbers.next().transpose()?.unwrap_or(8);
    let root = tempfile::tempdir()?;
    let executor = LocalProcessExecutor::new(root.path());
    let (mut bare, mut captured, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that neither has the quieter machine.
    for round in 0..ROUNDS {
        bare.push(timed(processes, at_a_time, |_| bare_process()).await);
        captured.push(timed(processes, at_a_time, |_| captured_process()).await);
        let first = round * processes + 1;
        let run = |n| {
            let executor = executor.clone();
            let job = i64::try_from(first + n).unwrap_or(i64::MAX);
            async move {
                let attempt = attempt(json!({"command": [PROGRAM]})).job(job).build();
                executor.execute(attempt).await.is_ok()
            }
        };
        ours.push(timed(processes, at_a_time, run).await);
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        processes as f64 / times[ROUNDS / 2].as_secs_f64()
    };
    let [bare, captured, ours] = [bare, captured, ours].map(|mut times| rate(&mut times));
    #[expect(clippy::print_stdout, reason = "this is what the example is for")]
    {
        println!("bare command loop      {bare:7.0} processes/s");
        println!("with output captured   {captured:7.0} processes/s  ({:.2} x)", captured / bare);
        println!("local executor         {ours:7.0} processes/s  ({:.2} x)", ours / bare);
    }
    Ok(())
}

async fn bare_process() -> bool {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

async fn captured_process() -> bool {
    let output = Command::new(PROGRAM).stdin(Stdio::null()).output().await;
    output.is_ok_and(|output| output.status.success())
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
async fn timed<Run>(processes: usize, at_a_time: usize, run: impl Fn(usize) -> Run) -> Duration
where
    Run: Future<Output = bool> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(at_a_time));
    let begin = Instant::now();
    let mut all = JoinSet::new();
    for n in 0..processes {
        let slot = slots.clone().acquire_owned().await;
        let run = run(n);
        all.spawn(async move {
            let _slot = slot;
            run.await
        });
    }
    while let Some(good) = all.join_next().await {
        assert!(good.is_ok_and(|good| good), "every process succeeds");
    }
    begin.elapsed()
}
