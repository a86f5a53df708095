//! The same trivial jobs through the engine and through Slurm's own client, in turn.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use jobwright_adapters::StaticSecrets;
use jobwright_core::{Executor, Verdict};
use jobwright_scheduler::Engine;
use jobwright_slurm::{Site, SlurmExecutor, executor};
use jobwright_store::SqliteStore;
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// How often each way is taken.
const ROUNDS: usize = 5;

/// How many submissions of the client are under way at a time, as many as the executor's.
const SUBMISSIONS: usize = 8;

/// How often the client looks whether jobs are left.
const LOOK: Duration = Duration::from_millis(200);

/// Measures, and prints a table.
pub(crate) async fn measure(jobs: usize) -> anyhow::Result<()> {
    let cluster = Arc::new(Cluster::start(4));
    let secrets = Arc::new(StaticSecrets::new().with("token", &cluster.token()));
    let site = Site::new(&cluster.url(), &cluster.user(), "token");
    let slurm: Arc<SlurmExecutor> =
        Arc::new(executor(site, cluster.shared().join("attempts"), secrets, Default::default())?);
    let shared: Arc<dyn Executor> = slurm.clone();
    let store = SqliteStore::open(cluster.shared().join("store.db"))?;
    let engine = Engine::builder().store(store).shared_executor("slurm", shared);
    let engine = engine.start().await?;
    let deployment = engine.create_deployment("measure").await?.id;
    let package = jobwright_package::read(package(jobs).as_bytes())?;
    engine.import(deployment, &package, Default::default()).await?;
    // Whoever is first warms up what both need.
    client(&cluster, SUBMISSIONS).await?;
    let (mut ours, mut theirs, mut latencies, mut requests) = (vec![], vec![], vec![], vec![]);
    for round in 0..2 * ROUNDS {
        if round % 2 == 1 {
            theirs.push(client(&cluster, jobs).await?);
            continue;
        }
        let (began, asked) = (Instant::now(), slurm.cluster().requests());
        let run = engine.run(deployment).await?;
        for group in run.groups() {
            ensure!(engine.wait(group).await? == Verdict::Succeeded, "the jobs failed");
            ours.push(began.elapsed());
            requests.push(slurm.cluster().requests() - asked);
            for job in engine.group(group).await?.jobs {
                let attempt = &job.attempts[0];
                let started = attempt.started_at.unwrap_or(attempt.requested_at);
                latencies.push(started.since(attempt.requested_at));
            }
        }
    }
    engine.shutdown(Duration::from_secs(5)).await?;
    latencies.sort();
    let share = |of: usize| latencies[(latencies.len() - 1) * of / 100];
    let median = |times: &[Duration]| {
        let mut sorted = times.to_vec();
        sorted.sort();
        sorted[sorted.len() / 2]
    };
    let (our, their) = (median(&ours), median(&theirs));
    println!("{jobs} trivial jobs, {ROUNDS} rounds each in turn, medians of the rounds:");
    println!("through the engine    {our:?} of {ours:?}");
    println!("through sbatch        {their:?} of {theirs:?}");
    println!("ratio                 {:.3}", our.as_secs_f64() / their.as_secs_f64());
    println!("hand-over, p50 p99    {:?} {:?}", share(50), share(99));
    let most = requests.iter().max().copied().unwrap_or(0);
    println!("requests per job      {:.2}", most as f64 / jobs as f64);
    Ok(())
}

/// Submits jobs with `sbatch` and looks with `squeue` until none is left, as a careful script does.
async fn client(cluster: &Arc<Cluster>, jobs: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut submitting = JoinSet::new();
    for part in 0..SUBMISSIONS {
        let cluster = Arc::clone(cluster);
        submitting.spawn_blocking(move || {
            let shared = cluster.shared();
            for job in (part..jobs).step_by(SUBMISSIONS) {
                let (name, out) = (format!("c-{job}"), shared.join(format!("c-{job}.txt")));
                let arguments = [
                    "--parsable",
                    "--no-requeue",
                    "-J",
                    &name,
                    "-o",
                    &out.to_string_lossy(),
                    "--wrap",
                    "true",
                ];
                cluster.said("sbatch", &arguments);
            }
        });
    }
    while let Some(submitted) = submitting.join_next().await {
        submitted?;
    }
    while !cluster.live().is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    Ok(began.elapsed())
}

fn package(jobs: usize) -> String {
    let mut text =
        "jobwright: 1\nname: measure\nflows:\n  load:\n    executor: slurm\n    steps:\n"
            .to_owned();
    for job in 1..=jobs {
        let _ = writeln!(text, "      s{job}: {{ payload: {{ command: ['true'] }} }}");
    }
    let steps: Vec<_> = (1..=jobs).map(|job| format!("s{job}")).collect();
    let _ = writeln!(text, "    outputs: {{ all: {{ steps: [{}] }} }}", steps.join(", "));
    text
}
