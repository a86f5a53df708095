//! The series of the engine: an observer that counts. It holds nothing but numbers, and recording
//! is a few additions, so it may be called in the engine's loop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use jobwright_core::{
    DeploymentId, EngineProfile, ExecutorName, Fact, FailureClass, Happened, JobCounts, Next,
    Observer, Outcome, StoreError, TurnReport, Verdict,
};

use super::histogram::{Histogram, LOOP, WORK};

/// How a group can end.
pub(super) const VERDICTS: [&str; 3] = ["succeeded", "failed", "cancelled"];

/// How an attempt can end; all but the first are classes of failures.
pub(super) const RESULTS: [&str; 7] =
    ["succeeded", "retryable", "permanent", "cancelled", "timed_out", "lost", "rejected"];

/// Where a job can be.
pub(super) const STATES: [&str; 5] = ["waiting", "ready", "running", "stopping", "backing_off"];

/// Counts what an engine does, for `/metrics`: give it to the engine as an observer, and to
/// [`Options::meter`](crate::Options::meter). Cheap to clone; all clones count together. One meter
/// is for one engine.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counted>);

/// What was counted.
#[derive(Debug)]
pub(super) struct Counted {
    /// Each executor that the engine began with.
    executors: OnceLock<Vec<OfExecutor>>,
    pub(super) groups: Groups,
    /// The groups of each deployment, where its name is to be a label.
    pub(super) deployments: Option<DashMap<DeploymentId, Arc<Groups>>>,
    pub(super) live: AtomicU64,
    pub(super) jobs: [AtomicU64; STATES.len()],
    pub(super) step: Histogram,
    pub(super) append: Histogram,
    pub(super) lag: Histogram,
    pub(super) events: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) epoch: AtomicU64,
}

/// The groups that ended, by verdict.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) took: [Histogram; VERDICTS.len()],
}

/// What was counted of one executor.
#[derive(Debug)]
pub(super) struct OfExecutor {
    pub(super) name: ExecutorName,
    pub(super) limit: Option<u32>,
    pub(super) busy: AtomicU64,
    pub(super) queued: Histogram,
    /// The attempts that ended, by result.
    pub(super) took: [Histogram; RESULTS.len()],
    /// The attempts that are followed by another, by result.
    pub(super) retries: [AtomicU64; RESULTS.len()],
}

impl Meter {
    /// Makes a meter that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a meter that tells the groups of each deployment apart: the names of deployments
    /// become the values of a label, so let only those name deployments who may make series.
    #[must_use]
    pub fn by_deployment() -> Self {
        Self(Arc::new(Counted { deployments: Some(DashMap::new()), ..Counted::default() }))
    }

    pub(super) fn counted(&self) -> &Counted {
        &self.0
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            executors: OnceLock::new(),
            groups: Groups::default(),
            deployments: None,
            live: AtomicU64::new(0),
            jobs: Default::default(),
            step: Histogram::new(LOOP),
            append: Histogram::new(LOOP),
            lag: Histogram::new(LOOP),
            events: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        }
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self { took: std::array::from_fn(|_| Histogram::new(WORK)) }
    }
}

impl Groups {
    fn ended(&self, verdict: Verdict, took: Duration) {
        let at = match verdict {
            Verdict::Succeeded => 0,
            Verdict::Failed => 1,
            Verdict::Cancelled | Verdict::Skipped => 2,
        };
        self.took[at].record(took);
    }
}

impl OfExecutor {
    fn new(name: ExecutorName, limit: Option<u32>) -> Self {
        Self {
            name,
            limit,
            busy: AtomicU64::new(0),
            queued: Histogram::new(WORK),
            took: std::array::from_fn(|_| Histogram::new(WORK)),
            retries: Default::default(),
        }
    }

    fn attempt_ended(&self, outcome: &Outcome, next: &Next, took: Duration) {
        let at = match outcome {
            Outcome::Succeeded(_) => 0,
            Outcome::Failed(failure) => match failure.class {
                FailureClass::Retryable => 1,
                FailureClass::Permanent => 2,
                FailureClass::Cancelled => 3,
                FailureClass::TimedOut => 4,
                FailureClass::Lost => 5,
                FailureClass::Rejected => 6,
            },
        };
        self.took[at].record(took);
        if let Next::Retry { .. } = next {
            self.retries[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counted {
    pub(super) fn executors(&self) -> &[OfExecutor] {
        self.executors.get().map_or(&[], Vec::as_slice)
    }

    /// An executor that the engine began with; attempts of others can only be lost.
    fn executor(&self, name: &ExecutorName) -> Option<&OfExecutor> {
        self.executors().iter().find(|it| it.name == *name)
    }

    fn count(&self, fact: &Fact<'_>) {
        match fact.what {
            Happened::Accepted | Happened::Adopted { .. } => {
                if let Some(deployments) = &self.deployments {
                    deployments.entry(fact.plan.run.deployment).or_default();
                }
            }
            Happened::Ended { verdict, took } => {
                self.groups.ended(verdict, took);
                if let Some(deployments) = &self.deployments {
                    deployments.entry(fact.plan.run.deployment).or_default().ended(verdict, took);
                }
            }
            Happened::Requested { job, queued, .. } => {
                if let Some(executor) = self.executor(&fact.planned(job).executor) {
                    executor.queued.record(queued);
                }
            }
            Happened::AttemptEnded { job, outcome, next, took, .. } => {
                if let Some(executor) = self.executor(&fact.planned(job).executor) {
                    executor.attempt_ended(outcome, next, took);
                }
            }
            _ => {}
        }
    }
}

impl Observer for Meter {
    fn began(&self, engine: &EngineProfile<'_>) {
        let executors = engine.slots.iter();
        let executors = executors.map(|it| OfExecutor::new(it.executor.clone(), it.limit));
        let _ = self.0.executors.set(executors.collect());
    }

    fn turn(&self, turn: &TurnReport<'_>) {
        let counted = &*self.0;
        for fact in turn.facts {
            counted.count(fact);
        }
        counted.step.record(turn.step);
        if let Some(append) = turn.append {
            counted.append.record(append);
        }
        if let Some(lag) = turn.lag {
            counted.lag.record(lag);
        }
        counted.events.fetch_add(turn.events, Ordering::Relaxed);
        counted.epoch.fetch_max(turn.epoch.0, Ordering::Relaxed);
        counted.live.store(turn.groups, Ordering::Relaxed);
        let JobCounts { waiting, ready, running, stopping, backing_off, .. } = turn.jobs;
        let jobs = [waiting, ready, running, stopping, backing_off];
        for (gauge, count) in counted.jobs.iter().zip(jobs) {
            gauge.store(count, Ordering::Relaxed);
        }
        for slots in turn.slots {
            if let Some(executor) = counted.executor(slots.executor) {
                executor.busy.store(slots.busy, Ordering::Relaxed);
            }
        }
    }

    fn commit_failed(&self, _: &StoreError) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
    }
}
