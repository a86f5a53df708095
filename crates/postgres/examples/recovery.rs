//! How long an engine that was killed needs until it hands attempts over again. A process writes
//! unfinished groups of ten jobs each and begins with them, and is killed by SIGKILL; another one
//! takes them up, and is watched from its start. On SQLite, and on a PostgreSQL of its own.
//!
//! ```sh
//! cargo run --release -p jobwright-postgres --example recovery -- 100000 [sqlite|postgres]
//! ```

#![expect(clippy::disallowed_methods, reason = "a measurement reads clocks and arguments")]
#![expect(clippy::print_stdout, reason = "what it measured is read by a person")]

#[path = "../tests/support/cluster.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "tests use the rest")]
mod cluster;

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jobwright_adapters::FnExecutor;
use jobwright_core::{Attempt, Bundle, Failure, NodeId, Package, Store, Success};
use jobwright_postgres::PostgresStore;
use jobwright_scheduler::{Engine, EngineBuilder};
use jobwright_store::SqliteStore;
use serde_json::json;

use cluster::Cluster;

/// How many groups a run has.
const WIDTH: usize = 1000;

/// How many jobs a group has.
const DEPTH: usize = 10;

/// How many attempts live at a time.
const SLOTS: u32 = 64;

const LAST: &str = "10,000 attempts are handed over";

/// A package of chains, each of which is a group.
fn package() -> anyhow::Result<Bundle> {
    let mut steps = Vec::new();
    let mut outputs = Vec::new();
    for group in 0..WIDTH {
        for at in 0..DEPTH {
            let needs: Vec<_> = at
                .checked_sub(1)
                .map(|before| json!({ "step": format!("s{group}-{before}") }))
                .into_iter()
                .collect();
            steps.push(json!({ "name": format!("s{group}-{at}"), "kind": "wrangle", "executor": "f", "needs": needs }));
        }
        let last = format!("s{group}-{}", DEPTH - 1);
        outputs.push(json!({ "name": format!("o{group}"), "steps": [last] }));
    }
    let flow = json!({ "name": "main", "steps": steps, "outputs": outputs });
    let package = json!({ "name": "recovery", "primary": ["main"], "flows": [flow] });
    Ok(Bundle::from(serde_json::from_value::<Package>(package)?))
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["leave", place, groups] => run(leave(place, groups.parse()?)),
        ["resume", place, last] => run(resume(place, NodeId(last.parse()?))),
        [] => measure("10000", &["sqlite", "postgres"]),
        [groups] => measure(groups, &["sqlite", "postgres"]),
        [groups, kind] => measure(groups, &[kind]),
        _ => bail!("usage: recovery [GROUPS [sqlite|postgres]]"),
    }
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn measure(groups: &str, kinds: &[&str]) -> anyhow::Result<()> {
    for kind in kinds {
        let folder = tempfile::tempdir()?;
        let settings = ["shared_buffers=512MB", "max_wal_size=4GB"];
        let cluster = (*kind == "postgres").then(|| Cluster::start(&settings));
        let place = match &cluster {
            Some(cluster) => cluster.database(),
            None => folder.path().join("store.db").display().to_string(),
        };
        println!("{kind}:");
        let begun = Instant::now();
        let (mut child, mut lines) = start(&["leave", &place, groups])?;
        let last = said(&mut lines, "node ")?;
        said(&mut lines, "ready")?;
        println!("  {groups} groups of {DEPTH} jobs are under way after {:.1?}", begun.elapsed());
        // SIGKILL.
        child.kill()?;
        child.wait()?;
        let begun = Instant::now();
        let (mut child, lines) = start(&["resume", &place, &last])?;
        for line in lines {
            let line = line?;
            println!("  {line} after {:.2?}", begun.elapsed());
            if line == LAST {
                break;
            }
        }
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// Starts this program once more.
fn start(arguments: &[&str]) -> anyhow::Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("it has an output")?;
    Ok((child, BufReader::new(output).lines()))
}

/// Waits for a line, and returns what follows on its first word.
fn said(lines: &mut Lines<BufReader<ChildStdout>>, word: &str) -> anyhow::Result<String> {
    for line in lines {
        if let Some(rest) = line?.strip_prefix(word) {
            return Ok(rest.trim().to_owned());
        }
    }
    bail!("it ended before it said `{word}`")
}

async fn builder(place: &str) -> anyhow::Result<EngineBuilder> {
    let store: Arc<dyn Store> = match place.strip_prefix("postgres:") {
        Some(_) => Arc::new(PostgresStore::connect(place).await?),
        None => Arc::new(SqliteStore::open(place)?),
    };
    Ok(Engine::builder().shared_store(store))
}

/// Leaves groups unfinished, some of them with attempts that live, and waits to be killed.
async fn leave(place: &str, groups: usize) -> anyhow::Result<()> {
    let live = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&live);
    let hangs = FnExecutor::new(move |_: Attempt| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Result<Success, Failure>>()
    });
    let builder = builder(place).await?.executor("f", hangs).executor_limit("f", SLOTS);
    let engine = builder.start().await?;
    println!("node {}", engine.node().0);
    let deployment = engine.create_deployment("recovery").await?.id;
    engine.import(deployment, &package()?, Default::default()).await?;
    for _ in 0..groups.div_ceil(WIDTH) {
        engine.run(deployment).await?;
    }
    while live.load(Ordering::Relaxed) < SLOTS as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("ready");
    std::future::pending().await
}

/// Takes up what was left, and says how far it is.
async fn resume(place: &str, last: NodeId) -> anyhow::Result<()> {
    let handed_over = AtomicUsize::new(0);
    let executor = FnExecutor::new(move |_: Attempt| {
        match handed_over.fetch_add(1, Ordering::Relaxed) + 1 {
            1 => println!("the first attempt is handed over"),
            1000 => println!("1,000 attempts are handed over"),
            10_000 => println!("{LAST}"),
            _ => {}
        }
        async { Ok(Success::empty()) }
    });
    let builder = builder(place).await?;
    println!("the store is open");
    let builder = builder.executor("f", executor).executor_limit("f", SLOTS).succeeds(last);
    let _engine = builder.start().await?;
    println!("the engine has started");
    std::future::pending().await
}
