//! The engine on PostgreSQL with every commit on the disk, beside bare batches of the same server:
//! `cargo bench --bench postgres` starts a server of its own and prints a table.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it reads the clock, spawns what it measures, and reports"
)]

#[path = "../crates/postgres/tests/support/cluster.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "tests use the rest")]
mod cluster;
#[path = "support/options.rs"]
mod options;
#[path = "support/place.rs"]
mod place;
#[path = "support/rig.rs"]
mod rig;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/shapes.rs"]
mod shapes;
#[path = "support/table.rs"]
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jobwright::adapters::MockExecutor;
use jobwright::core::Bundle;
use jobwright_postgres::PostgresStore;
use serde_json::Value;

use cluster::Cluster;
use options::Options;
use rig::{Kept, Rig};
use shapes::Shape;
use table::{Row, Sample};

const WARM_UPS: usize = 1;
const ROUNDS: usize = 5;

/// How many appends a commit has, and rows a bare batch.
const BATCH: usize = 1_000;

/// What is measured in one row.
enum Work {
    /// Rows of one event, a thousand by one `UNNEST`, each thousand on the disk before the next.
    Bare { batches: u64 },
    /// Commits of a thousand appends of four events.
    Commits { commits: u64 },
    /// Runs of the whole engine.
    Engine { bundle: Box<Bundle> },
    /// The same by several engines on one database, each with a part of the groups.
    Engines { bundle: Box<Bundle>, count: usize },
    /// Another library, in a process of its own.
    Peer { name: &'static str, jobs: usize },
}

fn main() -> Result<()> {
    let options = Options::read("postgres")?;
    rig::runtime()?.block_on(async { tokio::spawn(measure_all(options)).await? })
}

async fn measure_all(options: Options) -> Result<()> {
    let cluster = Cluster::start(&["shared_buffers = 512MB", "wal_buffers = 16MB"]);
    let sized = |size: usize| if options.quick { size.div_ceil(100) } else { size };
    let groups = Shape::diamonds(sized(10_000)).bundle(&Value::Null)?;
    let third = Shape::diamonds(sized(10_000).div_ceil(3)).bundle(&Value::Null)?;
    let count = if options.quick { 1 } else { 100 };
    let row = |name, unit, target| Row { name, unit, target, samples: Vec::new() };
    let mut cases = vec![
        (row("floor: UNNEST of 1000 rows", "rows", None), Work::Bare { batches: count }),
        (row("commits of 1000 × 4 events", "rows", None), Work::Commits { commits: count }),
        // Half of what the batches of four rows a job alone would allow.
        (row("10k × 10, inline", "rows", Some(0.125)), Work::Engine { bundle: Box::new(groups) }),
        (
            row("10k × 10 by three engines", "rows", None),
            Work::Engines { bundle: Box::new(third), count: 3 },
        ),
    ];
    if options.peers {
        build_peers()?;
        let peer = |name, jobs| Work::Peer { name, jobs: sized(jobs) };
        cases.extend([
            (row("graphile_worker 0.14.1, no needs", "rows", None), peer("graphile", 50_000)),
            (row("apalis-postgres 1.0.0, no needs", "rows", None), peer("apalis", 5_000)),
            (
                row("apalis-postgres 1.0.0, no locks or results", "rows", None),
                peer("apalis-loose", 20_000),
            ),
        ]);
    }
    cases.retain(|(row, _)| options.wants(row.name));
    if options.quick {
        cases.iter_mut().for_each(|(row, _)| row.target = None);
    }
    let (warm_ups, rounds) = if options.quick { (0, 1) } else { (WARM_UPS, ROUNDS) };
    let rounds = options.rounds.unwrap_or(rounds);
    for round in 0..warm_ups + rounds {
        eprintln!("round {} of {}", round + 1, warm_ups + rounds);
        for (row, work) in &mut cases {
            let sample = work.measure(&cluster, count).await?;
            if round >= warm_ups {
                row.samples.push(sample);
            }
        }
    }
    println!("## postgres\n");
    for line in place::describe(&options.command, cluster.folder()) {
        println!("- {line}");
    }
    println!("- median of {rounds} round(s) in turns, each row beside the floor just before it");
    if options.peers {
        println!(
            "- peers: in processes of their own, 64 jobs at a time; from the first job that is added to the call of the last; each job alone, without needs, retries, history or a subscriber"
        );
    }
    println!("- three engines: in one process with the benchmark, each with a third of the groups");
    println!("- PostgreSQL with fsync on, on the same machine, by loopback without encryption");
    for (row, _) in cases.iter().filter(|(row, _)| row.missed() > 0) {
        println!("- {}: the subscriber was too slow for {} turns", row.name, row.missed());
    }
    if options.quick {
        println!("- a smoke run: sizes are a hundredth, and the figures mean nothing");
    }
    let rows: Vec<_> = cases.into_iter().map(|(row, _)| row).collect();
    println!("\n{}", table::markdown(&rows));
    Ok(())
}

impl Work {
    /// Measures on a new database, beside the floor on another.
    async fn measure(&self, cluster: &Cluster, batches: u64) -> Result<Sample> {
        let floor = bare(&cluster.database(), batches).await?;
        let address = cluster.database();
        let units = usize::try_from(batches)? * BATCH;
        let sample = |jobs, prepare, run, missed| Sample {
            jobs,
            prepare,
            run,
            units,
            floor,
            limited: None,
            missed,
        };
        Ok(match self {
            Self::Bare { batches } => {
                let run = bare(&address, *batches).await?;
                sample(usize::try_from(*batches)? * BATCH, Duration::ZERO, run, 0)
            }
            Self::Commits { commits } => {
                let store: Arc<dyn jobwright::core::Store> =
                    Arc::new(PostgresStore::connect(&address).await?);
                let made = (0..*commits).map(|n| Ok(Arc::new(rows::commit(n)?)));
                let made = made.collect::<Result<Vec<_>>>()?;
                let begin = Instant::now();
                for commit in made {
                    store.commit(commit).await?;
                }
                let events = usize::try_from(*commits)? * BATCH * 4;
                sample(events, Duration::ZERO, begin.elapsed(), 0)
            }
            Self::Engine { bundle } => {
                let store = PostgresStore::connect(&address).await?;
                let rig = Rig::start(store, MockExecutor::new(), bundle).await?;
                let (prepared, prepare) = rig.prepare().await?;
                let (run, taken) = rig.run(prepared).await?;
                rig.check(&run, Kept::Verdicts).await?;
                let jobs = rig.jobs();
                drop(run);
                sample(jobs, prepare, taken, rig.end().await?)
            }
            Self::Engines { bundle, count } => {
                let (jobs, prepare, taken, missed) = together(&address, bundle, *count).await?;
                sample(jobs, prepare, taken, missed)
            }
            Self::Peer { name, jobs } => {
                let run = peer(name, &address, *jobs).await?;
                sample(*jobs, Duration::ZERO, run, 0)
            }
        })
    }
}

/// Runs on several engines at once: their jobs, how long preparing them took, and the time until
/// the last engine is done.
async fn together(
    address: &str,
    bundle: &Bundle,
    count: usize,
) -> Result<(usize, Duration, Duration, u64)> {
    let mut rigs = Vec::new();
    let mut prepare = Duration::ZERO;
    for at in 0..count {
        let store = PostgresStore::connect(address).await?;
        let name = format!("bench {at}");
        let rig = Rig::start_as(&name, store, MockExecutor::new(), bundle).await?;
        let (prepared, took) = rig.prepare().await?;
        prepare += took;
        rigs.push((rig, prepared));
    }
    let begin = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for (rig, prepared) in rigs {
        running.spawn(async move {
            let (run, _) = rig.run(prepared).await?;
            anyhow::Ok((rig, run))
        });
    }
    let mut done = Vec::new();
    while let Some(ended) = running.join_next().await {
        done.push(ended??);
    }
    let taken = begin.elapsed();
    let (mut jobs, mut missed) = (0, 0);
    for (rig, run) in done {
        rig.check(&run, Kept::Verdicts).await?;
        jobs += rig.jobs();
        drop(run);
        missed = missed.max(rig.end().await?);
    }
    Ok((jobs, prepare, taken, missed))
}

/// The folder of the other libraries, a workspace of its own.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

fn build_peers() -> Result<()> {
    let mut build = std::process::Command::new("cargo");
    let status = build.args(["build", "--release", "--locked"]).current_dir(PEERS).status()?;
    ensure!(status.success(), "the peers cannot be built");
    Ok(())
}

/// Lets another library add jobs and work them off, and tells how long both took together.
async fn peer(name: &str, address: &str, jobs: usize) -> Result<Duration> {
    let program = format!("{PEERS}/target/release/jobwright-peers");
    let mut program = tokio::process::Command::new(program);
    let output = program.args([name, address, &jobs.to_string()]).output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {error}");
    let seconds = text.split_whitespace().map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Writes rows of one event into a plain table with the columns of a journal.
async fn bare(address: &str, batches: u64) -> Result<Duration> {
    let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await?;
    let polled = tokio::spawn(connection);
    let table = "CREATE TABLE bare (group_id bigint, first bigint, count bigint, epoch bigint,
                 at bigint, events bytea, PRIMARY KEY (group_id, first))";
    client.batch_execute(table).await?;
    let sql = "INSERT INTO bare SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[],
               $4::bigint[], $5::bigint[], $6::bytea[])";
    let insert = client.prepare(sql).await?;
    let same = vec![1_i64; BATCH];
    let groups: Vec<i64> = (1..).take(BATCH).collect();
    let event = serde_json::to_vec(&rows::events(jobwright::core::JobIndex(9))[..1])?;
    let events = vec![event; BATCH];
    let begin = Instant::now();
    for first in 0..i64::try_from(batches)? {
        let firsts = vec![first; BATCH];
        client.execute(&insert, &[&groups, &firsts, &same, &same, &same, &events]).await?;
    }
    let taken = begin.elapsed();
    drop(client);
    polled.await??;
    Ok(taken)
}
