//! What fires by itself: the task that waits for schedules and looks after backfills.
//!
//! ```text
//! look ─► decide (core) ─► begin the run, and move the cursor, in one commit ─► look again
//! ```
//!
//! The schedule moves on in the commit of its run, at the revision at which it was read. So a crash
//! between the two is not possible, and of several engines that look at the same time one fires,
//! and the others are refused and look again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use jobwright_core::parameter::Values;
use jobwright_core::schedule::{
    Backfill, BackfillRun, Decision, Firing as Fired, FiringOutcome, Schedule,
};
use jobwright_core::{
    Change, Document, Kind, Query, Revision, RunId, RunPolicy, StoreError, Timestamp,
};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::catalog::WriteError;
use super::prepare::PrepareError;
use super::run::{RunError, RunRequest};
use super::{Engine, Inner};

/// How soon a store that several engines share is looked at again: others change schedules too.
const LOOK: Duration = Duration::from_secs(15);

/// How soon a schedule or backfill that could not be dealt with is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The most firings of one schedule before the others have their turn.
const TURN: usize = 16;

/// What fires a run, and what becomes durable with it.
pub(super) struct Firing {
    pub(super) values: Values,
    pub(super) run_policy: Option<RunPolicy>,
    pub(super) nominal: Timestamp,
    pub(super) at: Timestamp,
    pub(super) of: Source,
}

/// Whose cursor moves on, with its revision.
pub(super) enum Source {
    Schedule(Schedule, Revision),
    Backfill(Backfill, Revision),
}

impl Firing {
    /// What moves on in the commit of the run.
    pub(super) fn begun(&self, run: RunId) -> Change {
        self.moved(FiringOutcome::Run(run))
    }

    fn moved(&self, outcome: FiringOutcome) -> Change {
        let (nominal, at) = (self.nominal, self.at);
        match &self.of {
            Source::Schedule(schedule, revision) => {
                let schedule = schedule.after(Fired { nominal, at, outcome });
                Change::update(Document::Schedule(Box::new(schedule)), *revision)
            }
            Source::Backfill(backfill, revision) => {
                let (run, refused) = match outcome {
                    FiringOutcome::Run(run) => (Some(run), None),
                    FiringOutcome::Skipped(run) => {
                        (None, Some(format!("run {run} goes on, and the run policy is `skip`")))
                    }
                    FiringOutcome::Missed => (None, Some("it was missed".to_owned())),
                    FiringOutcome::Refused(reason) => (None, Some(reason)),
                };
                let run = BackfillRun { nominal, run, refused, verdict: None };
                Change::update(Document::Backfill(Box::new(backfill.after(run, at))), *revision)
            }
        }
    }
}

/// What became of trying to fire.
pub(super) enum Tried {
    /// It was decided; there may be more to do at once.
    Decided,
    /// Somebody else changed it meanwhile: it must be read again.
    Changed,
    /// It cannot be done now.
    Later,
    /// The engine ends.
    Over,
}

/// Looks after schedules and backfills until the engine ends. Holds the engine only while it looks,
/// so that an engine that everybody dropped ends.
pub(super) fn keep(inner: &Arc<Inner>) {
    let (weak, bell) = (Arc::downgrade(inner), Arc::clone(&inner.bell));
    TaskTracker::new().spawn(attend(weak, bell));
}

async fn attend(inner: Weak<Inner>, bell: Arc<Notify>) {
    loop {
        let Some(engine) = inner.upgrade().map(|inner| Engine(inner, None)) else { return };
        let looked = std::panic::AssertUnwindSafe(engine.look()).catch_unwind().await;
        let wake = match looked {
            Ok(Some(wake)) => wake,
            Ok(None) => return,
            Err(_) => {
                tracing::error!("looking after schedules panicked, which is a bug");
                engine.now() + AGAIN
            }
        };
        let wake = engine.0.clock.instant(wake);
        drop(engine);
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            () = bell.notified() => {}
        }
    }
}

impl Engine {
    /// Tells the task that there is something new to look at.
    pub(super) fn ring(&self) {
        self.0.bell.notify_one();
    }

    /// Does what is due, and says when to look again; none when the engine ends.
    async fn look(&self) -> Option<Timestamp> {
        if self.0.end.get().is_some() {
            return None;
        }
        let again = self.now() + AGAIN;
        let looks = match self.0.store.is_shared() {
            true => self.now() + LOOK,
            false => Timestamp::NEVER,
        };
        let live = |kind| Query { live: true, ..Query::all(kind) };
        let schedules = self.list_all::<Schedule>(live(Kind::Schedule)).await;
        let backfills = self.list_all::<Backfill>(live(Kind::Backfill)).await;
        let (Ok(schedules), Ok(backfills)) = (schedules, backfills) else { return Some(again) };
        let mut wake = looks;
        for schedule in schedules {
            wake = wake.min(self.attend_schedule(schedule).await?);
        }
        for backfill in backfills {
            wake = wake.min(self.attend_backfill(backfill.id).await?);
        }
        Some(wake)
    }

    /// Does what a schedule has due, and says when it has more.
    async fn attend_schedule(&self, schedule: Schedule) -> Option<Timestamp> {
        // Most have nothing due: those need not be read again.
        if let Decision::Wait(until) = schedule.decide(self.now()) {
            return Some(until);
        }
        let again = self.now() + AGAIN;
        for _ in 0..TURN {
            let found = match self.find::<Schedule>(schedule.id).await {
                Ok(Some(found)) => found,
                Ok(None) => return Some(Timestamp::NEVER),
                Err(_) => return Some(again),
            };
            let (schedule, revision) = found;
            let tried = match schedule.decide(self.now()) {
                Decision::Wait(until) => return Some(until),
                Decision::Fire(nominal) => self.fire_schedule(schedule, revision, nominal).await,
                Decision::Miss(nominal) => {
                    let firing = self.firing(schedule, revision, nominal);
                    self.settle(&firing, FiringOutcome::Missed).await
                }
            };
            match tried {
                Tried::Decided | Tried::Changed => {}
                Tried::Later => return Some(again),
                Tried::Over => return None,
            }
        }
        Some(self.now())
    }

    fn firing(&self, schedule: Schedule, revision: Revision, nominal: Timestamp) -> Firing {
        let (values, run_policy) = (schedule.values.clone(), schedule.run_policy);
        let of = Source::Schedule(schedule, revision);
        Firing { values, run_policy, nominal, at: self.now(), of }
    }

    async fn fire_schedule(
        &self,
        schedule: Schedule,
        revision: Revision,
        nominal: Timestamp,
    ) -> Tried {
        let (key, deployment) = (schedule.key(nominal), schedule.deployment);
        tracing::debug!(schedule.id = schedule.id.get(), %nominal, "a schedule fires");
        let request = self.run(deployment).reference_date(nominal).idempotency_key(&key);
        let request = request.fired_by(self.firing(schedule.clone(), revision, nominal));
        let firing = self.firing(schedule, revision, nominal);
        self.begin_firing(request, &firing).await
    }

    /// Begins the run of a firing; where that is refused for good, says so in its source.
    pub(super) async fn begin_firing(&self, request: RunRequest, firing: &Firing) -> Tried {
        let outcome = match request.await {
            Ok(run) if !run.replayed() => return Tried::Decided,
            Ok(run) => FiringOutcome::Run(run.id()),
            Err(RunError::Running(run)) => FiringOutcome::Skipped(run),
            Err(RunError::Changed) => return Tried::Changed,
            Err(RunError::ShuttingDown | RunError::Ended(_)) => return Tried::Over,
            Err(error) if is_passing(&error) => return Tried::Later,
            Err(error) => {
                let reason = told(&error);
                tracing::warn!(nominal = %firing.nominal, %reason, "a firing begins no run");
                FiringOutcome::refused(&reason)
            }
        };
        self.settle(firing, outcome).await
    }

    /// Moves the source of a firing on without a run.
    pub(super) async fn settle(&self, firing: &Firing, outcome: FiringOutcome) -> Tried {
        match self.commit(vec![firing.moved(outcome)], Vec::new()).await {
            Ok(()) => Tried::Decided,
            Err(WriteError::Changed | WriteError::Taken(_)) => Tried::Changed,
            Err(WriteError::Store(error)) => later(&error),
        }
    }
}

/// Says that a store failed, and that it is asked again.
pub(super) fn later(error: &StoreError) -> Tried {
    tracing::warn!(%error, "a schedule cannot move on now");
    if error.is_retryable() { Tried::Later } else { Tried::Over }
}

/// Tells whether the same run may be accepted later.
fn is_passing(error: &RunError) -> bool {
    match error {
        RunError::Overloaded | RunError::Store(_) => true,
        RunError::Prepare(error) => {
            matches!(error, PrepareError::Paused(_) | PrepareError::Store(_))
        }
        _ => false,
    }
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
