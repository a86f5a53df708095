//! An engine with one deployment, whose runs are timed, and then checked outside the timed part.

#![allow(dead_code, reason = "no bench looks at everything")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jobwright::core::{
    Attempt, Bundle, DeploymentId, Event, Executor, ExecutorTraits, Failure, GroupId, Outcome,
    Reattached, Seq, Store, Success, Verdict,
};
use jobwright::{Engine, Notice, PreparedRun, RunHandle, Subscription};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::shapes::EXECUTOR;

/// An engine that has an active release of one package, and a subscriber to all that happens.
pub(crate) struct Rig {
    engine: Engine,
    deployment: DeploymentId,
    jobs: usize,
    calls: Calls,
    subscriber: JoinHandle<Heard>,
}

/// What the subscriber got.
#[derive(Default)]
struct Heard {
    events: u64,
    /// Turns that it was too slow for.
    missed: u64,
}

/// What is left to look at after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The journal of every group.
    Journals,
    /// Nothing but how the groups ended.
    Verdicts,
}

impl Rig {
    /// Starts an engine, imports the package, and makes it ready for runs.
    pub(crate) async fn start(
        store: impl Store,
        executor: impl Executor,
        bundle: &Bundle,
    ) -> Result<Self> {
        Self::start_as("bench", store, executor, bundle).await
    }

    /// The same with another name for the deployment, where engines share a store.
    pub(crate) async fn start_as(
        name: &str,
        store: impl Store,
        executor: impl Executor,
        bundle: &Bundle,
    ) -> Result<Self> {
        let jobs = bundle.package.flows.iter().map(|flow| flow.steps.len()).sum();
        let calls = Calls::new(jobs);
        let counted = Counted { executor, calls: calls.clone() };
        let builder = Engine::builder().store(store).executor(EXECUTOR, counted);
        let engine = builder.start().await?;
        let deployment = engine.create_deployment(name).await?.id;
        engine.import(deployment, bundle, Default::default()).await?;
        let subscriber = tokio::spawn(listen(engine.subscribe(None)));
        let rig = Self { engine, deployment, jobs, calls, subscriber };
        // The first run of a release reads the package from the store; all others share that.
        let _ = rig.prepare().await?;
        Ok(rig)
    }

    /// Resolves and expands a run, and tells how long that took.
    pub(crate) async fn prepare(&self) -> Result<(PreparedRun, Duration)> {
        let begin = Instant::now();
        let prepared = self.engine.run(self.deployment).prepare().await?;
        Ok((prepared, begin.elapsed()))
    }

    /// Starts a prepared run and waits for its end; tells how long both took together.
    pub(crate) async fn run(&self, prepared: PreparedRun) -> Result<(RunHandle, Duration)> {
        let begin = Instant::now();
        let run = prepared.start().await?;
        let outcome = run.wait().await?;
        let taken = begin.elapsed();
        ensure!(outcome.verdict == Verdict::Succeeded, "the run ended {:?}", outcome.verdict);
        Ok((run, taken))
    }

    /// Checks the only run since the last check: every job was handed over exactly once, and, where
    /// journals are kept, after all that it needs, and succeeded.
    pub(crate) async fn check(&self, run: &RunHandle, kept: Kept) -> Result<()> {
        self.calls.check()?;
        let mut jobs = 0;
        for group in &run.run().groups {
            jobs += group.jobs as usize;
            if kept == Kept::Journals {
                let checked = check_journal(&self.engine, group.id).await;
                checked.with_context(|| format!("the journal of job group {}", group.id))?;
            }
        }
        ensure!(jobs == self.jobs, "the run has {jobs} jobs instead of {}", self.jobs);
        Ok(())
    }

    /// Runs so often, each run checked, and tells how long the runs themselves took.
    pub(crate) async fn repeat(self: Arc<Self>, times: u64) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for _ in 0..times {
            let (prepared, _) = self.prepare().await?;
            let (run, taken) = self.run(prepared).await?;
            self.check(&run, Kept::Verdicts).await?;
            total += taken;
        }
        Ok(total)
    }

    /// How many jobs a run has.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Ends the engine, and tells how many turns its subscriber was too slow for.
    pub(crate) async fn end(self) -> Result<u64> {
        self.engine.shutdown(Duration::ZERO).await?;
        drop(self.engine);
        let heard = self.subscriber.await?;
        ensure!(heard.events > 0, "the subscriber got nothing");
        Ok(heard.missed)
    }
}

/// The runtime of all benches: two threads, however many cores there are.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

async fn listen(mut subscription: Subscription) -> Heard {
    let mut heard = Heard::default();
    while let Some(notice) = subscription.next().await {
        match notice {
            Notice::Gap { missed } => heard.missed += missed,
            _ => heard.events += 1,
        }
    }
    heard
}

async fn check_journal(engine: &Engine, group: GroupId) -> Result<()> {
    let view = engine.group(group).await?;
    ensure!(view.verdict == Some(Verdict::Succeeded), "it ended {:?}", view.verdict);
    let mut ended = vec![false; view.jobs.len()];
    let mut requested = ended.clone();
    for entry in engine.history(group, Seq(1)).await? {
        match &entry.event {
            Event::Requested { job, .. } => {
                let needs = &view.plan.jobs[job.at()].needs;
                let is_early = needs.iter().any(|need| !ended[need.job.at()]);
                ensure!(!is_early, "job {} began before what it needs", job.0);
                let before = std::mem::replace(&mut requested[job.at()], true);
                ensure!(!before, "job {} was requested twice", job.0);
            }
            Event::AttemptEnded { job, outcome: Outcome::Succeeded(_), .. } => {
                let before = std::mem::replace(&mut ended[job.at()], true);
                ensure!(!before, "job {} ended twice", job.0);
            }
            _ => {}
        }
    }
    ensure!(ended.iter().all(|ended| *ended), "not every job ended");
    Ok(())
}

/// Lets another executor do the work, and counts how often it is asked for each job.
struct Counted<E> {
    executor: E,
    calls: Calls,
}

/// How often each job of a run was handed over. The jobs of a run have consecutive ids, so that
/// the rest of the division by their number tells them apart in every run.
#[derive(Clone)]
struct Calls(Arc<[AtomicU32]>);

impl Calls {
    fn new(jobs: usize) -> Self {
        Self((0..jobs).map(|_| AtomicU32::new(0)).collect())
    }

    fn count(&self, attempt: &Attempt) {
        let at = attempt.id().job.get().unsigned_abs() as usize % self.0.len();
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        let counts = self.0.iter().map(|count| count.swap(0, Ordering::Relaxed));
        let wrong: Vec<_> = counts.filter(|count| *count != 1).collect();
        ensure!(wrong.is_empty(), "{} jobs did not run exactly once", wrong.len());
        Ok(())
    }
}

/// Written out instead of `#[async_trait]`, which would put a second box around the future.
impl<E: Executor> Executor for Counted<E> {
    fn execute<'me, 'future>(
        &'me self,
        attempt: Attempt,
    ) -> Pin<Box<dyn Future<Output = Result<Success, Failure>> + Send + 'future>>
    where
        'me: 'future,
        Self: 'future,
    {
        self.calls.count(&attempt);
        self.executor.execute(attempt)
    }

    fn reattach<'me, 'future>(
        &'me self,
        attempt: Attempt,
    ) -> Pin<Box<dyn Future<Output = Reattached> + Send + 'future>>
    where
        'me: 'future,
        Self: 'future,
    {
        self.executor.reattach(attempt)
    }

    fn traits(&self) -> ExecutorTraits {
        self.executor.traits()
    }
}
