//! An engine is killed again and again while its jobs are handed over, wait, run and end. In the
//! end every job has run exactly once, and nothing is left on the cluster.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use jobwright_adapters::EnvSecrets;
use jobwright_core::{GroupId, Store, Verdict};
use jobwright_postgres::PostgresStore;
use jobwright_scheduler::Engine;
use jobwright_slurm::{Site, executor};
use jobwright_store::SqliteStore;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::postgres;

/// Jobs of a run; the next one begins when the last has ended.
const JOBS: usize = 50;

/// The moments of kills after the start of an engine, in milliseconds.
const MOMENTS: std::ops::Range<u64> = 50..4000;

/// How long an engine that is silent is thought to be alive, on a shared store.
const LEASE: Duration = Duration::from_secs(3);

/// What a job does: it says that it begins, works a little, and says that it ends.
const WORK: &str = "echo begin $$JOBWRIGHT_JOB_ID $$JOBWRIGHT_ATTEMPT >>$$BOOK; sleep 1; \
                    echo end $$JOBWRIGHT_JOB_ID $$JOBWRIGHT_ATTEMPT >>$$BOOK";

/// Kills an engine so many times.
pub(crate) async fn kill(kills: usize) -> anyhow::Result<()> {
    let mut dice = Dice::new()?;
    let cluster = Cluster::start(4);
    for kill in 1..=kills {
        let moment = dice.moment();
        let mut engine = engine_process(&cluster, "", 0)?;
        sleep(moment).await;
        engine.kill().await?;
        println!("kill {kill} after {moment:?}: {} jobs on the cluster", cluster.live().len());
    }
    finish(&cluster, "").await
}

/// Kills one of two engines on one PostgreSQL so many times; the other one goes on with its jobs.
pub(crate) async fn nodes(kills: usize) -> anyhow::Result<()> {
    let mut dice = Dice::new()?;
    let (cluster, database) = (Cluster::start(4), postgres::Cluster::start(&[]));
    let store = database.database();
    let mut engines = vec![engine_process(&cluster, &store, 0)?];
    let book = cluster.shared().join("book");
    while !book.exists() {
        sleep(Duration::from_millis(50)).await;
    }
    engines.push(engine_process(&cluster, &store, 0)?);
    for kill in 1..=kills {
        let moment = dice.moment();
        sleep(moment).await;
        let mut engine = engines.remove(0);
        engine.kill().await?;
        let (live, begun) = (cluster.live().len(), lines(&book)?);
        // The other one takes its groups up when its lease is over.
        sleep(LEASE * 2).await;
        ensure!(lines(&book)? > begun, "nothing went on in twice the time of a lease");
        engines.push(engine_process(&cluster, &store, 0)?);
        println!(
            "kill {kill} after {moment:?}: {live} jobs on the cluster, the other engine went on"
        );
    }
    for mut engine in engines {
        engine.kill().await?;
    }
    finish(&cluster, &store).await
}

fn lines(book: &Path) -> anyhow::Result<usize> {
    Ok(std::fs::read_to_string(book)?.lines().count())
}

/// Lets a last engine bring everything to its end, and judges.
async fn finish(cluster: &Cluster, store: &str) -> anyhow::Result<()> {
    let mut last = engine_process(cluster, store, 1)?;
    let ended = timeout(Duration::from_secs(300), last.wait()).await;
    ensure!(ended.context("the last engine does not end")??.success(), "the last engine failed");
    judge(cluster)
}

/// Draws the moments of kills from a seed.
struct Dice(u64);

impl Dice {
    fn new() -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
        let seed = std::env::var("JOBWRIGHT_KILL_SEED").ok().and_then(|it| it.parse().ok());
        let seed = seed.unwrap_or(u64::from(now) % 100_000);
        println!("seed {seed}: JOBWRIGHT_KILL_SEED={seed} repeats it");
        Ok(Self(seed))
    }

    fn moment(&mut self) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(MOMENTS.start + (self.0 >> 33) % (MOMENTS.end - MOMENTS.start))
    }
}

fn engine_process(
    cluster: &Cluster,
    store: &str,
    last: usize,
) -> anyhow::Result<tokio::process::Child> {
    let mut engine = tokio::process::Command::new(std::env::current_exe()?);
    engine.args(["engine", &last.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
    engine.env("SLURM_JWT", cluster.token()).env("SLURMRESTD_URL", cluster.url());
    engine.env("JOBWRIGHT_STORE", store);
    engine.env("SLURM_SHARED", cluster.shared()).env("SLURM_USER", cluster.user());
    Ok(engine.spawn()?)
}

/// The engine that is killed: keeps fifty jobs going. The last one begins nothing.
pub(crate) async fn engine(last: usize) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).context(name.to_owned());
    let (url, shared) = (variable("SLURMRESTD_URL")?, variable("SLURM_SHARED")?);
    let site = Site {
        poll: Duration::from_millis(200),
        ..Site::new(&url, &variable("SLURM_USER")?, "SLURM_JWT")
    };
    let shared = Path::new(&shared);
    let secrets = Arc::new(EnvSecrets::new(""));
    let slurm = executor(site, shared.join("attempts"), secrets, Default::default())?;
    let store: Arc<dyn Store> = match &*variable("JOBWRIGHT_STORE")? {
        "" => Arc::new(SqliteStore::open(shared.join("store.db"))?),
        address => Arc::new(PostgresStore::connect(address).await?),
    };
    let engine = Engine::builder().shared_store(store).lease(LEASE).executor("slurm", slurm);
    let engine = engine.start().await?;
    let deployment = match engine.deployment_named("kill").await? {
        Some(deployment) => deployment,
        None => engine.create_deployment("kill").await?,
    };
    if deployment.active.is_none() {
        let package = jobwright_package::read(package(&shared.join("book")).as_bytes())?;
        engine.import(deployment.id, &package, Default::default()).await?;
    }
    loop {
        for run in engine.runs(deployment.id, 1000).await? {
            for group in run.groups {
                end_of(&engine, group.id).await?;
            }
        }
        if last == 1 {
            break;
        }
        engine.run(deployment.id).await?;
    }
    engine.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

async fn end_of(engine: &Engine, group: GroupId) -> anyhow::Result<()> {
    let verdict = engine.wait(group).await?;
    if verdict != Verdict::Succeeded {
        for job in engine.group(group).await?.jobs {
            eprintln!("{}: {:?} {:?}", job.step, job.verdict, job.attempts.last());
        }
    }
    ensure!(verdict == Verdict::Succeeded, "job group {group}: {verdict:?}");
    Ok(())
}

/// Fifty jobs that need nothing from each other.
fn package(book: &Path) -> String {
    let book = book.display();
    let mut text =
        "jobwright: 1\nname: kill\nflows:\n  load:\n    executor: slurm\n    steps:\n".to_owned();
    for job in 1..=JOBS {
        let _ = writeln!(
            text,
            "      s{job}:\n        crash_limit: 1000\n        payload:\n          command: [sh, -c, '{WORK}']\n          env: {{ BOOK: '{book}' }}"
        );
    }
    let steps: Vec<_> = (1..=JOBS).map(|job| format!("s{job}")).collect();
    let _ = writeln!(text, "    outputs: {{ all: {{ steps: [{}] }} }}", steps.join(", "));
    text
}

/// Reads the book that the jobs have kept.
fn judge(cluster: &Cluster) -> anyhow::Result<()> {
    let book = std::fs::read_to_string(cluster.shared().join("book"))?;
    let mut jobs: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    let mut begun: BTreeMap<&str, u32> = BTreeMap::new();
    for line in book.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [what, job, attempt] = words[..] else { anyhow::bail!("no line of a job: {line}") };
        let (begins, ends) = jobs.entry(job.parse()?).or_default();
        match what {
            "begin" => {
                *begins += 1;
                *begun.entry(attempt).or_default() += 1;
            }
            _ => *ends += 1,
        }
    }
    let twice: Vec<_> = jobs.iter().filter(|(_, counts)| **counts != (1, 1)).collect();
    ensure!(twice.is_empty(), "jobs that did not run exactly once, (begins, ends): {twice:?}");
    ensure!(jobs.len() % JOBS == 0, "{} jobs ran, which is no number of whole runs", jobs.len());
    ensure!(cluster.live().is_empty(), "left on the cluster: {:?}", cluster.live());
    let again = begun.keys().filter(|attempt| !attempt.ends_with("-1")).count();
    let late = cluster.all().iter().filter(|job| job.contains("ExitCode=213:")).count();
    println!(
        "{} jobs ran exactly once, {again} of them as a later attempt since the first was never handed over; {late} came late and did nothing; nothing is left",
        jobs.len()
    );
    Ok(())
}
