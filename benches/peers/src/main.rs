//! Other libraries of jobs over PostgreSQL, each in a process of its own, on the database that it
//! is told: `jobwright-peers graphile|apalis|apalis-loose URL JOBS` adds so many empty jobs, works
//! them off, and prints how many seconds both took, one after the other.
//!
//! Each gets its quickest way to add, 64 jobs at a time, and batches where it has them. The time
//! ends when the last job has been called: what is written after that is not waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::Notify;

const CONCURRENCY: usize = 64;
const BATCH: usize = 1_000;

/// Counts calls, and tells when the last one came.
#[derive(Debug, Clone)]
struct Calls {
    left: Arc<AtomicUsize>,
    over: Arc<Notify>,
}

impl Calls {
    fn new(jobs: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(jobs)), over: Arc::default() }
    }

    fn count(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.over.notify_one();
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [peer, url, jobs] = &arguments[..] else {
        bail!("usage: jobwright-peers graphile|apalis|apalis-loose URL JOBS");
    };
    let jobs: usize = jobs.parse().context("JOBS is a number")?;
    let (added, ran) = match &**peer {
        "graphile" => graphile::measure(url, jobs).await?,
        "apalis" => apalis_postgres_peer::measure(url, jobs, true).await?,
        "apalis-loose" => apalis_postgres_peer::measure(url, jobs, false).await?,
        other => bail!("no peer `{other}`"),
    };
    println!("{} {}", added.as_secs_f64(), ran.as_secs_f64());
    // Workers that still look for more work are not waited for.
    std::process::exit(0)
}

mod graphile {
    use graphile_worker::{
        IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions,
    };
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Deserialize, Serialize)]
    struct Empty {
        number: usize,
    }

    impl TaskHandler for Empty {
        const IDENTIFIER: &'static str = "empty";

        async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
            if let Some(calls) = context.get_ext::<Calls>() {
                calls.count();
            }
            Ok::<(), String>(())
        }
    }

    pub(super) async fn measure(url: &str, jobs: usize) -> Result<(Duration, Duration)> {
        let calls = Calls::new(jobs);
        let queue = LocalQueueConfig::default().with_size(500);
        let worker = WorkerOptions::default()
            .database_url(url)
            .schema("graphile_worker")
            .concurrency(CONCURRENCY)
            .local_queue(queue)
            .complete_job_batch_delay(Duration::from_millis(1))
            .listen_os_shutdown_signals(false)
            .add_extension(calls.clone())
            .define_job::<Empty>()
            .init()
            .await?;
        let begin = Instant::now();
        let (utils, spec) = (worker.create_utils(), JobSpec::default());
        let numbers: Vec<_> = (0..jobs).collect();
        for part in numbers.chunks(BATCH) {
            let part: Vec<_> =
                part.iter().map(|number| (Empty { number: *number }, &spec)).collect();
            utils.add_jobs(&part).await?;
        }
        let (added, begin) = (begin.elapsed(), Instant::now());
        tokio::select! {
            ended = worker.run() => { ended?; bail!("the worker ended") }
            () = calls.over.notified() => {}
        }
        Ok((added, begin.elapsed()))
    }
}

mod apalis_postgres_peer {
    use apalis::prelude::*;
    use apalis_postgres::{Config, PgPool, PostgresStorage};

    use super::*;

    /// `strict` is how the library is by default: it locks each task and keeps its result.
    pub(super) async fn measure(
        url: &str,
        jobs: usize,
        strict: bool,
    ) -> Result<(Duration, Duration)> {
        let pool = PgPool::connect(url).await?;
        PostgresStorage::setup(&pool).await?;
        let config = Config::default().queue("empty").batch_size(500);
        let config = if strict { config } else { config.lock_tasks(false).persist_results(false) };
        let mut backend = PostgresStorage::<usize>::new(&pool).with_config(config);
        let calls = Calls::new(jobs);
        let begin = Instant::now();
        for first in (0..jobs).step_by(BATCH) {
            let numbers = first..jobs.min(first + BATCH);
            let mut tasks = futures::stream::iter(numbers.map(|it| TaskBuilder::new(it).build()));
            backend.push_all(&mut tasks).await?;
        }
        let (added, begin) = (begin.elapsed(), Instant::now());
        let worker = WorkerBuilder::new("peer")
            .backend(backend)
            .data(calls.clone())
            .concurrency(CONCURRENCY)
            .parallelize(tokio::spawn)
            .build(called);
        tokio::select! {
            ended = worker.run() => { ended?; bail!("the worker ended") }
            () = calls.over.notified() => {}
        }
        Ok((added, begin.elapsed()))
    }

    async fn called(_: usize, calls: Data<Calls>) -> Result<(), BoxDynError> {
        calls.count();
        Ok(())
    }
}
