//! The fault rig: three engines on one PostgreSQL under load, with faults drawn from a seed, and a
//! judge at the end. Usage: `chaos [MINUTES]`; without them it is brief
//!
//! ```text
//! load ──HTTP──▶ engine 1..3 ──▶ proxy 1..3 ──▶ PostgreSQL
//!                  ▲    │ processes ──▶ evidence ──▶ oracle ◀──HTTP── engines
//! faults ──────────┴────┴───────────┴────────────┘
//! ```
//!
//! `JOBWRIGHT_CHAOS_SEED` draws the faults of an earlier call, though not their moments to the
//! millisecond; `JOBWRIGHT_CHAOS_REPORT` names the file for the report; with
//! `JOBWRIGHT_CHAOS_KEEP` naming a folder, the logs and the evidence go there in the end.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of the tests: it may fail, and it speaks"
)]

mod cleaner;
#[path = "../../crates/postgres/tests/support/cluster.rs"]
#[allow(dead_code, reason = "the tests of the store use all of it")]
mod cluster;
mod dice;
mod disk;
mod evidence;
mod faults;
mod load;
mod node;
mod oracle;
mod proxy;
mod report;
mod rig;
mod store;
mod takeover;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use faults::{Book, Ledger};
use rig::Rig;

const ENGINES: usize = 3;

/// Clients of each deployment: so many groups are under way at a time.
const CLIENTS: [usize; 3] = [16, 12, 3];

/// How long there is load without an argument.
const BRIEF: Duration = Duration::from_secs(45);

/// How long after the last fault the last group may end.
const SETTLE: Duration = Duration::from_secs(90);

fn main() -> anyhow::Result<()> {
    let load = match std::env::args().nth(1) {
        Some(minutes) => {
            let minutes: u32 = minutes.parse().context("usage: chaos [MINUTES]")?;
            Duration::from_secs(60) * minutes
        }
        None => BRIEF,
    };
    let seed = match std::env::var("JOBWRIGHT_CHAOS_SEED") {
        Ok(text) => text.parse().context("JOBWRIGHT_CHAOS_SEED is no number")?,
        Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos()) % 100_000,
    };
    println!("seed {seed}: {}", command(seed, load));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let breaches = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            breaches = play(seed, load) => breaches,
            _ = terminated.recv() => anyhow::bail!("terminated"),
            _ = interrupted.recv() => anyhow::bail!("interrupted"),
        }
    });
    // Clients that still wait hold the rig.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let breaches = breaches?;
    anyhow::ensure!(breaches == 0, "{breaches} breaches");
    Ok(())
}

/// What repeats a run.
fn command(seed: u64, load: Duration) -> String {
    let minutes = match load {
        BRIEF => String::new(),
        _ => format!(" {}", load.as_secs() / 60),
    };
    format!("JOBWRIGHT_CHAOS_SEED={seed} ./check chaos{minutes}")
}

async fn play(seed: u64, load: Duration) -> anyhow::Result<usize> {
    let rig =
        Arc::new(Rig::start(seed, ENGINES, load, SETTLE).await.context("the rig does not start")?);
    let book: Book = Arc::new(Mutex::new(Ledger::default()));
    let until = Instant::now() + load;
    let mut clients = JoinSet::new();
    let deployments = rig.deployments.iter().zip(CLIENTS);
    let deployments = deployments.flat_map(|(id, clients)| std::iter::repeat_n(*id, clients));
    for (number, deployment) in (0..).zip(deployments) {
        clients.spawn(load::client(Arc::clone(&rig), number, deployment, until));
    }
    let mut troubles = JoinSet::new();
    troubles.spawn(faults::large(Arc::clone(&rig), Arc::clone(&book), until));
    troubles.spawn(faults::small(Arc::clone(&rig), Arc::clone(&book), until));
    troubles.join_all().await;
    println!("the faults are over; what was begun ends");
    clients.join_all().await;
    println!("everything is read once more");
    let verdict = oracle::judge(&rig).await;
    let takeovers = book.lock().unwrap().takeovers.clone();
    let parts = takeover::parts(&rig, &takeovers).await;
    let ledger = book.lock().unwrap();
    let text = report::write(&rig, &ledger, &parts, &verdict, load);
    println!("\n{text}");
    if let Some(path) = std::env::var_os("JOBWRIGHT_CHAOS_REPORT") {
        std::fs::write(path, &text)?;
    }
    let breaches = report::breaches(&rig, &ledger, &verdict);
    for breach in breaches.iter().take(50) {
        println!("{breach}");
    }
    keep(&rig)?;
    Ok(breaches.len())
}

/// Keeps the logs and the evidence where that is wanted.
fn keep(rig: &Rig) -> anyhow::Result<()> {
    let Some(to) = std::env::var_os("JOBWRIGHT_CHAOS_KEEP") else { return Ok(()) };
    std::fs::create_dir_all(&to)?;
    std::fs::remove_file(rig.folder.join("jobwright"))?;
    let status = std::process::Command::new("cp").arg("-r").arg(&rig.folder).arg(&to).status()?;
    anyhow::ensure!(status.success(), "the folder cannot be kept");
    let log = rig.cluster.folder().join("log");
    std::fs::copy(log, std::path::Path::new(&to).join("postgresql.log"))?;
    Ok(())
}
