//! Backfills: the firings of a range that lies behind, as one set of runs that is looked after.

use std::time::Duration;

use jobwright_core::schedule::{
    Backfill, BackfillRun, BackfillState, MAX_BACKFILL, MAX_PARALLEL, Schedule,
};
use jobwright_core::{
    BackfillId, Change, Deployment, Document, GroupSummary, Kind, Query, Revision, Run, RunPolicy,
    ScheduleId, Status, StoreError, Timestamp, Verdict,
};
use thiserror::Error;

use super::catalog::WriteError;
use super::deployments::TRIES;
use super::firing::{Firing, Source, Tried, later};
use super::{Engine, Page};

/// How soon a backfill whose runs go on is looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// Why a backfill cannot begin or be cancelled. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackfillError {
    /// There is no such schedule.
    #[error("schedule {0} does not exist")]
    NoSchedule(ScheduleId),
    /// There is no such backfill.
    #[error("backfill {0} does not exist")]
    NotFound(BackfillId),
    /// It is over.
    #[error("backfill {backfill} is {} already", .state.as_str())]
    Over {
        /// The backfill.
        backfill: BackfillId,
        /// How it is.
        state: BackfillState,
    },
    /// The range holds no firing.
    #[error("the schedule fires nowhere from {from} on and before {to}")]
    Nothing {
        /// Where the range begins.
        from: Timestamp,
        /// Where it ends.
        to: Timestamp,
    },
    /// The range holds too many firings.
    #[error("the schedule fires more than {MAX_BACKFILL} times in this range: take a shorter one")]
    TooMany,
    /// The range does not lie behind.
    #[error("the range ends at {to}, which is still to come: a backfill is for what lies behind")]
    Ahead {
        /// Where the range ends.
        to: Timestamp,
    },
    /// So many runs cannot go on at a time.
    #[error("1 to {MAX_PARALLEL} runs of a backfill go on at a time, not {0}")]
    Parallel(u32),
    /// Others change the backfill all the time.
    #[error("backfill {0} is being changed by others: try again")]
    Changed(BackfillId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Which firings are made up for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillRequest {
    /// The first nominal time that is meant.
    pub from: Timestamp,
    /// The first nominal time that is not meant any more.
    pub to: Timestamp,
    /// How many runs go on at a time; one where nothing is said.
    pub parallel: u32,
    /// Whether what ran already runs again.
    pub again: bool,
}

impl BackfillRequest {
    /// The firings of a range, one after the other, but for those that began a run already.
    #[must_use]
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, parallel: 1, again: false }
    }

    /// Lets so many runs go on at a time.
    #[must_use]
    pub fn parallel(self, parallel: u32) -> Self {
        Self { parallel, ..self }
    }

    /// Runs again what ran already.
    #[must_use]
    pub fn again(self) -> Self {
        Self { again: true, ..self }
    }
}

impl Engine {
    /// Begins the runs of a range of firings that lies behind, in order, with the schedule's values
    /// as they are when each begins. Goes on after a restart.
    ///
    /// # Errors
    /// There is no such schedule, or it fires nowhere or too often in the range; the range does not
    /// lie behind; the store fails.
    pub async fn backfill(
        &self,
        id: ScheduleId,
        request: BackfillRequest,
    ) -> Result<Backfill, BackfillError> {
        let BackfillRequest { from, to, parallel, again } = request;
        let found = self.find::<Schedule>(id).await?;
        let (schedule, _) = found.ok_or(BackfillError::NoSchedule(id))?;
        if !(1..=MAX_PARALLEL).contains(&parallel) {
            return Err(BackfillError::Parallel(parallel));
        }
        if to > self.now() {
            return Err(BackfillError::Ahead { to });
        }
        let before = Timestamp::from_millis(from.as_millis().saturating_sub(1));
        let times = schedule.upcoming(before, MAX_BACKFILL + 1);
        let total = times.iter().take_while(|time| **time < to).count();
        match total {
            0 => return Err(BackfillError::Nothing { from, to }),
            1..=MAX_BACKFILL => {}
            _ => return Err(BackfillError::TooMany),
        }
        let backfill = self.0.ids.take(Kind::Backfill, 1).await?;
        let backfill = Backfill {
            id: super::submit::id(BackfillId::new(backfill))?,
            schedule: id,
            deployment: schedule.deployment,
            from,
            to,
            parallel,
            again,
            total: u32::try_from(total).unwrap_or(u32::MAX),
            cursor: None,
            state: BackfillState::Running,
            runs: Vec::new(),
            created_by: self.actor(),
            created_at: self.now(),
            updated_at: self.now(),
        };
        let change = Change::insert(Document::Backfill(Box::new(backfill.clone())));
        match self.write(vec![change], Vec::new()).await {
            Ok(()) => {
                self.ring();
                Ok(backfill)
            }
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(WriteError::Changed | WriteError::Taken(_)) => {
                Err(BackfillError::Changed(backfill.id))
            }
        }
    }

    /// Finds a backfill with its revision.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_backfill(
        &self,
        id: BackfillId,
    ) -> Result<Option<(Backfill, Revision)>, StoreError> {
        self.find(id).await
    }

    /// Lists a page of backfills, of one schedule or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn backfills_page(
        &self,
        of: Option<ScheduleId>,
        page: Page,
    ) -> Result<Vec<Backfill>, StoreError> {
        let parent = of.map(ScheduleId::get);
        self.list(Query { parent, ..page.of(Kind::Backfill) }).await
    }

    /// Ends a backfill: no firing of it comes any more. Runs that it began go on.
    ///
    /// # Errors
    /// There is no such backfill, it is over, or the store fails.
    pub async fn cancel_backfill(&self, id: BackfillId) -> Result<Backfill, BackfillError> {
        for _ in 0..TRIES {
            let found = self.find::<Backfill>(id).await?;
            let (mut backfill, revision) = found.ok_or(BackfillError::NotFound(id))?;
            if backfill.state != BackfillState::Running {
                return Err(BackfillError::Over { backfill: id, state: backfill.state });
            }
            backfill.state = BackfillState::Cancelled;
            backfill.updated_at = self.now();
            let change = Change::update(Document::Backfill(Box::new(backfill.clone())), revision);
            match self.write(vec![change], Vec::new()).await {
                Ok(()) => return Ok(backfill),
                Err(WriteError::Changed | WriteError::Taken(_)) => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(BackfillError::Changed(id))
    }

    /// What removes the backfills of a schedule.
    pub(super) async fn without_backfills(
        &self,
        of: ScheduleId,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        let query = Query::all(Kind::Backfill).parent(of.get());
        for backfill in self.list_all::<Backfill>(query).await? {
            if let Some((_, revision)) = self.find::<Backfill>(backfill.id).await? {
                changes.push(Change::remove(backfill.id.into(), revision));
            }
        }
        Ok(changes)
    }

    /// Begins what a backfill has room for, notes what has ended, and says when to look again.
    /// None when the engine ends.
    pub(super) async fn attend_backfill(&self, id: BackfillId) -> Option<Timestamp> {
        let soon = self.now() + LOOK;
        for _ in 0..=MAX_PARALLEL {
            match self.advance_backfill(id).await {
                Ok(Some(Tried::Decided | Tried::Changed)) => {}
                Ok(Some(Tried::Later)) => return Some(soon),
                Ok(Some(Tried::Over)) => return None,
                Ok(None) => return Some(Timestamp::NEVER),
                Err(error) => match later(&error) {
                    Tried::Over => return None,
                    Tried::Decided | Tried::Changed | Tried::Later => return Some(soon),
                },
            }
        }
        Some(soon)
    }

    /// Does the next thing that a backfill needs; none where there is nothing any more.
    async fn advance_backfill(&self, id: BackfillId) -> Result<Option<Tried>, StoreError> {
        let Some((backfill, revision)) = self.find::<Backfill>(id).await? else { return Ok(None) };
        if backfill.state != BackfillState::Running {
            return Ok(None);
        }
        let Some((schedule, _)) = self.find::<Schedule>(backfill.schedule).await? else {
            return self
                .keep_backfill(Backfill { state: BackfillState::Cancelled, ..backfill }, revision)
                .await;
        };
        let mut seen = backfill.clone();
        for run in seen.runs.iter_mut().filter(|run| run.is_open()) {
            self.look_after(run).await?;
        }
        let next = seen.next(&schedule);
        if next.is_none() && seen.open() == 0 {
            seen.state = BackfillState::Done;
        }
        if seen != backfill {
            return self.keep_backfill(seen, revision).await;
        }
        let Some(nominal) = next else { return Ok(Some(Tried::Later)) };
        if seen.open() >= seen.parallel as usize {
            return Ok(Some(Tried::Later));
        }
        let key = backfill.key(&schedule, nominal);
        let deployment = self.find::<Deployment>(schedule.deployment).await?;
        let run_policy = deployment.map(|(deployment, _)| run_policy(&deployment));
        let firing = || Firing {
            values: schedule.values.clone(),
            run_policy,
            nominal,
            at: self.now(),
            of: Source::Backfill(backfill.clone(), revision),
        };
        let request = self.run(schedule.deployment).reference_date(nominal).idempotency_key(&key);
        let request = request.fired_by(firing());
        Ok(Some(self.begin_firing(request, &firing()).await))
    }

    async fn keep_backfill(
        &self,
        mut backfill: Backfill,
        revision: Revision,
    ) -> Result<Option<Tried>, StoreError> {
        backfill.updated_at = self.now();
        let change = Change::update(Document::Backfill(Box::new(backfill)), revision);
        match self.commit(vec![change], Vec::new()).await {
            Ok(()) => Ok(Some(Tried::Decided)),
            Err(WriteError::Changed | WriteError::Taken(_)) => Ok(Some(Tried::Changed)),
            Err(WriteError::Store(error)) => Err(error),
        }
    }

    /// Notes how a run ended, if it has.
    async fn look_after(&self, run: &mut BackfillRun) -> Result<(), StoreError> {
        let Some(id) = run.run else { return Ok(()) };
        if self.find::<Run>(id).await?.is_none() {
            run.run = None;
            run.refused = Some(format!("run {id} has ended, and is not kept any more"));
            return Ok(());
        }
        let groups = self.groups(id).await?;
        if groups.iter().all(|group| group.status.is_terminal()) {
            run.verdict = Some(verdict(&groups));
        }
        Ok(())
    }
}

/// How groups that have ended did so together.
fn verdict(groups: &[GroupSummary]) -> Verdict {
    let any = |status| groups.iter().any(|group| group.status == status);
    match (any(Status::Failed), any(Status::Canceled)) {
        (true, _) => Verdict::Failed,
        (false, true) => Verdict::Cancelled,
        (false, false) => Verdict::Succeeded,
    }
}

/// What a run of a backfill does when its deployment is already running: it neither cancels what
/// runs nor is left out.
fn run_policy(deployment: &Deployment) -> RunPolicy {
    match deployment.run_policy {
        RunPolicy::Allow => RunPolicy::Allow,
        RunPolicy::Queue | RunPolicy::Skip | RunPolicy::CancelPrevious => RunPolicy::Queue,
    }
}
