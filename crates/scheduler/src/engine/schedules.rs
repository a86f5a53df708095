//! Schedules: when the scheduled outputs of deployments are produced by themselves.

use std::time::Duration;

use jobwright_core::parameter::Values;
use jobwright_core::schedule::{CatchUp, Cron, LengthError, Schedule, Zone};
use jobwright_core::{
    Change, Deployment, DeploymentId, Document, Kind, Query, Revision, RunPolicy, ScheduleId,
    ScheduleName, StoreError, Timestamp,
};
use thiserror::Error;

use super::catalog::WriteError;
use super::deployments::TRIES;
use super::{Engine, Page};

/// The most schedules of a deployment.
pub(super) const MAX_SCHEDULES: usize = 100;

/// Why a schedule cannot be made, changed or deleted. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// There is no such deployment.
    #[error("deployment {0} does not exist")]
    NoDeployment(DeploymentId),
    /// There is no such schedule.
    #[error("schedule {0} does not exist")]
    NotFound(ScheduleId),
    /// Another schedule of the deployment has the name.
    #[error("schedule {existing} of the deployment is already named `{name}`")]
    Taken {
        /// The name.
        name: ScheduleName,
        /// The schedule that has it.
        existing: i64,
    },
    /// A length of time is too long.
    #[error(transparent)]
    Length(#[from] LengthError),
    /// The deployment has as many as it may have.
    #[error("deployment {0} has {MAX_SCHEDULES} schedules already: delete one first")]
    TooMany(DeploymentId),
    /// It has another revision than the change is meant for.
    #[error("schedule {schedule} is at revision {}, not {}: read it again", .found.0, .expected.0)]
    Stale {
        /// The schedule.
        schedule: ScheduleId,
        /// The revision expected.
        expected: Revision,
        /// The one it has.
        found: Revision,
    },
    /// Others change the schedule all the time.
    #[error("schedule {0} is being changed by others: try again")]
    Changed(ScheduleId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// What a schedule is to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewSchedule {
    /// Its name, unique in the deployment.
    pub name: ScheduleName,
    /// When it fires.
    pub cron: Cron,
    /// On whose clocks; `UTC` where nothing is said.
    pub zone: Zone,
    /// Everything else.
    pub rest: ScheduleChange,
}

impl NewSchedule {
    /// A schedule that fires on the clocks of a zone, with the defaults for everything else: the
    /// last missed firing of an hour is made up for, and the deployment's run policy holds.
    #[must_use]
    pub fn new(name: ScheduleName, cron: Cron, zone: Zone) -> Self {
        Self { name, cron, zone, rest: ScheduleChange::default() }
    }

    /// Says everything else.
    #[must_use]
    pub fn with(self, rest: ScheduleChange) -> Self {
        Self { rest, ..self }
    }
}

/// What is to change of a schedule; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ScheduleChange {
    /// Its name.
    pub name: Option<ScheduleName>,
    /// When it fires.
    pub cron: Option<Cron>,
    /// On whose clocks.
    pub zone: Option<Zone>,
    /// Its parameter values, all of them.
    pub values: Option<Values>,
    /// What a run of it does when the deployment is already running; `Some(None)` for what the
    /// deployment says.
    pub run_policy: Option<Option<RunPolicy>>,
    /// What is done about missed firings.
    pub catch_up: Option<CatchUp>,
    /// How late a missed firing may be made up for.
    pub window: Option<Duration>,
    /// By how much firings may come later than their nominal time.
    pub jitter: Option<Duration>,
    /// Whether it is paused.
    pub paused: Option<bool>,
}

impl ScheduleChange {
    /// Changes a schedule at a time. One that fires at other times, or that is resumed, begins
    /// anew: it has missed nothing.
    fn apply(&self, schedule: &mut Schedule, now: Timestamp) {
        let Self { name, cron, zone, values, run_policy, catch_up, window, jitter, paused } =
            self.clone();
        let resumes = paused == Some(false) && schedule.paused;
        let moves = cron.as_ref().is_some_and(|cron| *cron != schedule.cron)
            || zone.as_ref().is_some_and(|zone| *zone != schedule.zone);
        fn set<T>(place: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *place = given;
            }
        }
        set(&mut schedule.name, name);
        set(&mut schedule.cron, cron);
        set(&mut schedule.zone, zone);
        set(&mut schedule.values, values);
        set(&mut schedule.run_policy, run_policy);
        set(&mut schedule.catch_up, catch_up);
        set(&mut schedule.window, window);
        set(&mut schedule.jitter, jitter);
        set(&mut schedule.paused, paused);
        if resumes || moves {
            schedule.cursor = schedule.cursor.max(now);
        }
    }
}

impl Engine {
    /// Makes a schedule of a deployment. It fires from now on; what it starts are the scheduled
    /// outputs of the release that is active then.
    ///
    /// # Errors
    /// There is no such deployment, it has too many schedules, the name is taken, a length is too
    /// long, or the store fails.
    pub async fn create_schedule(
        &self,
        deployment: DeploymentId,
        new: NewSchedule,
    ) -> Result<Schedule, ScheduleError> {
        let _alone = self.0.gates.change().await;
        let found = self.find::<Deployment>(deployment).await?;
        found.ok_or(ScheduleError::NoDeployment(deployment))?;
        if self.schedules(deployment).await?.len() >= MAX_SCHEDULES {
            return Err(ScheduleError::TooMany(deployment));
        }
        let id = self.0.ids.take(Kind::Schedule, 1).await?;
        let now = self.now();
        let mut schedule = Schedule {
            id: super::submit::id(ScheduleId::new(id))?,
            deployment,
            name: new.name,
            cron: new.cron,
            zone: new.zone,
            values: Values::new(),
            run_policy: None,
            catch_up: CatchUp::default(),
            window: Duration::from_secs(60 * 60),
            jitter: Duration::ZERO,
            paused: false,
            cursor: now,
            last: None,
            created_by: self.actor(),
            updated_by: self.actor(),
            created_at: now,
            updated_at: now,
        };
        new.rest.apply(&mut schedule, now);
        schedule.check()?;
        let change = Change::insert(Document::Schedule(Box::new(schedule.clone())));
        self.write(vec![change], Vec::new()).await.map_err(|error| refused(error, &schedule))?;
        self.ring();
        Ok(schedule)
    }

    /// Lists the schedules of a deployment, in the order of their ids.
    ///
    /// # Errors
    /// The store failed.
    pub async fn schedules(&self, of: DeploymentId) -> Result<Vec<Schedule>, StoreError> {
        self.list_all(Query::all(Kind::Schedule).parent(of.get())).await
    }

    /// Lists a page of schedules, of one deployment or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn schedules_page(
        &self,
        of: Option<DeploymentId>,
        page: Page,
    ) -> Result<Vec<Schedule>, StoreError> {
        let parent = of.map(DeploymentId::get);
        self.list(Query { parent, ..page.of(Kind::Schedule) }).await
    }

    /// Finds a schedule with its revision, which grows with each firing too.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_schedule(
        &self,
        id: ScheduleId,
    ) -> Result<Option<(Schedule, Revision)>, StoreError> {
        self.find(id).await
    }

    /// Changes a schedule, if it still has this revision where one is given. One that is resumed,
    /// or that fires at other times from now on, makes up for nothing.
    ///
    /// # Errors
    /// There is no such schedule, it has another revision, the name is taken, a length is too long,
    /// or the store fails.
    pub async fn change_schedule(
        &self,
        id: ScheduleId,
        expected: Option<Revision>,
        change: &ScheduleChange,
    ) -> Result<Schedule, ScheduleError> {
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let found = self.find::<Schedule>(id).await?;
            let (mut schedule, revision) = found.ok_or(ScheduleError::NotFound(id))?;
            stale(id, expected, revision)?;
            change.apply(&mut schedule, self.now());
            schedule.check()?;
            schedule.updated_at = self.now();
            schedule.updated_by = self.actor();
            let update = Change::update(Document::Schedule(Box::new(schedule.clone())), revision);
            match self.write(vec![update], Vec::new()).await {
                Ok(()) => {
                    self.ring();
                    return Ok(schedule);
                }
                // It fired meanwhile, or somebody else changed it.
                Err(WriteError::Changed) => {}
                Err(error) => return Err(refused(error, &schedule)),
            }
        }
        Err(ScheduleError::Changed(id))
    }

    /// Deletes a schedule with its backfills, if it still has this revision where one is given.
    /// Runs that it began go on.
    ///
    /// # Errors
    /// There is no such schedule, it has another revision, or the store fails.
    pub async fn delete_schedule(
        &self,
        id: ScheduleId,
        expected: Option<Revision>,
    ) -> Result<(), ScheduleError> {
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let found = self.find::<Schedule>(id).await?;
            let (schedule, revision) = found.ok_or(ScheduleError::NotFound(id))?;
            stale(id, expected, revision)?;
            let mut changes = self.without_backfills(id).await?;
            changes.push(Change::remove(id.into(), revision));
            match self.write(changes, Vec::new()).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Changed) => {}
                Err(error) => return Err(refused(error, &schedule)),
            }
        }
        Err(ScheduleError::Changed(id))
    }

    /// What removes the schedules of a deployment, with their backfills.
    pub(super) async fn without_schedules(
        &self,
        of: DeploymentId,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        for schedule in self.schedules(of).await? {
            changes.extend(self.without_backfills(schedule.id).await?);
            if let Some((_, revision)) = self.find::<Schedule>(schedule.id).await? {
                changes.push(Change::remove(schedule.id.into(), revision));
            }
        }
        Ok(changes)
    }
}

fn stale(
    schedule: ScheduleId,
    expected: Option<Revision>,
    found: Revision,
) -> Result<(), ScheduleError> {
    match expected {
        Some(expected) if expected != found => {
            Err(ScheduleError::Stale { schedule, expected, found })
        }
        Some(_) | None => Ok(()),
    }
}

fn refused(error: WriteError, schedule: &Schedule) -> ScheduleError {
    match error {
        WriteError::Changed => ScheduleError::Changed(schedule.id),
        WriteError::Taken(existing) => {
            ScheduleError::Taken { name: schedule.name.clone(), existing }
        }
        WriteError::Store(error) => error.into(),
    }
}
