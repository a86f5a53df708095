//! Schedules, their firings, and backfills.

use std::time::Duration;

use jobwright_core::parameter::Values;
use jobwright_core::schedule::{
    Backfill, BackfillRun, CatchUp, Cron, Firing, FiringOutcome, Schedule, Zone,
};
use jobwright_core::{RunPolicy, ScheduleName, Timestamp, Verdict, parse_duration, spelled};
use jobwright_scheduler::{BackfillRequest, NewSchedule, ScheduleChange};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Creator, Reference, Updater};
use crate::problem::Problem;
use crate::version::Version;

/// When the scheduled outputs of a deployment are produced.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Schedule)]
pub(crate) struct ScheduleBody {
    /// Its id.
    id: i64,
    /// Its deployment.
    deployment: Reference,
    /// Its name, unique in the deployment.
    name: String,
    /// When it fires: a cron pattern of five fields, or a word such as `@daily`.
    cron: String,
    /// On whose clocks: an IANA time zone.
    zone: String,
    /// The pattern in words.
    description: String,
    /// Its parameter values, by name.
    #[schema(value_type = Object)]
    parameters: Value,
    /// What a run of it does when the deployment is already running; null for what the deployment
    /// says.
    run_policy: Value,
    /// What is done about firings that were missed: `none`, `last`, `all`.
    catch_up: Value,
    /// How late a missed firing may be made up for.
    window: String,
    /// By less than this firings come later than their nominal time.
    jitter: String,
    /// It does not fire until it is resumed.
    paused: bool,
    /// The nominal time that comes next; null where none does.
    next_firing: Option<String>,
    /// What became of the last firing; null where there was none.
    last_firing: Option<FiringBody>,
    /// When it was made.
    created_at: String,
    /// When somebody last changed it.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
    #[serde(flatten)]
    updater: Updater,
}

/// What became of a firing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Firing)]
pub(crate) struct FiringBody {
    /// Its nominal time: the reference date of its run.
    nominal: String,
    /// When that was decided.
    at: String,
    /// `run`, `skipped`, `missed` or `refused`.
    outcome: &'static str,
    /// The run that it began, or because of which it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Reference>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl FiringBody {
    fn new(firing: &Firing) -> Self {
        let (outcome, run, reason) = match &firing.outcome {
            FiringOutcome::Run(run) => ("run", Some(*run), None),
            FiringOutcome::Skipped(run) => ("skipped", Some(*run), None),
            FiringOutcome::Missed => ("missed", None, None),
            FiringOutcome::Refused(reason) => ("refused", None, Some(reason.clone())),
        };
        Self {
            nominal: firing.nominal.to_string(),
            at: firing.at.to_string(),
            outcome,
            run: run.map(|id| Reference { id: id.get() }),
            reason,
        }
    }
}

impl ScheduleBody {
    pub(crate) fn new(version: Version, it: &Schedule) -> Self {
        let next = if it.paused { None } else { it.next(it.cursor) };
        Self {
            id: it.id.get(),
            deployment: Reference { id: it.deployment.get() },
            name: it.name.to_string(),
            cron: it.cron.to_string(),
            zone: it.zone.to_string(),
            description: it.cron.describe(),
            parameters: super::json(&it.values),
            run_policy: super::json(&it.run_policy),
            catch_up: super::json(&it.catch_up),
            window: spelled(it.window),
            jitter: spelled(it.jitter),
            paused: it.paused,
            next_firing: next.map(|next| next.to_string()),
            last_firing: it.last.as_ref().map(FiringBody::new),
            created_at: it.created_at.to_string(),
            updated_at: it.updated_at.to_string(),
            creator: Creator::new(version, it.created_by),
            updater: Updater::new(version, it.updated_by),
        }
    }
}

/// A schedule to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CreateSchedule {
    /// Its name, unique in the deployment.
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    name: String,
    /// When it fires: a cron pattern of five fields, or a word such as `@daily`.
    #[schema(max_length = 255)]
    cron: String,
    /// On whose clocks: an IANA time zone; `UTC` where nothing is said.
    #[serde(default)]
    #[schema(max_length = 64)]
    zone: Option<String>,
    /// Its parameter values, by name.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Values>,
    /// What a run of it does when the deployment is already running; as the deployment says where
    /// nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(allow|queue|skip|cancel_previous)$")]
    run_policy: Option<RunPolicy>,
    /// What is done about firings that were missed; `last` where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(none|last|all)$")]
    catch_up: Option<CatchUp>,
    /// How late a missed firing may be made up for, such as `90m`; an hour where nothing is said,
    /// 31 days at most.
    #[serde(default)]
    window: Option<String>,
    /// By how much firings may come later than their nominal time, such as `5m`; a day at most.
    #[serde(default)]
    jitter: Option<String>,
    /// Whether it does not fire until it is resumed.
    #[serde(default)]
    paused: Option<bool>,
}

impl CreateSchedule {
    pub(crate) fn parse(self) -> Result<NewSchedule, Problem> {
        let name = name(&self.name)?;
        let cron = cron(&self.cron)?;
        let zone = self.zone.as_deref().map_or(Ok(Zone::utc()), zone)?;
        let rest = ScheduleChange {
            values: self.parameters,
            run_policy: self.run_policy.map(Some),
            catch_up: self.catch_up,
            window: self.window.as_deref().map(|it| duration("window", it)).transpose()?,
            jitter: self.jitter.as_deref().map(|it| duration("jitter", it)).transpose()?,
            paused: self.paused,
            ..ScheduleChange::default()
        };
        Ok(NewSchedule::new(name, cron, zone).with(rest))
    }
}

/// What is to change of a schedule; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeSchedule {
    /// Its name.
    #[serde(default)]
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    name: Option<String>,
    /// When it fires.
    #[serde(default)]
    #[schema(max_length = 255)]
    cron: Option<String>,
    /// On whose clocks.
    #[serde(default)]
    #[schema(max_length = 64)]
    zone: Option<String>,
    /// Its parameter values, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    parameters: Option<Values>,
    /// What a run of it does when the deployment is already running; null for what the deployment
    /// says.
    #[serde(default, with = "present")]
    #[schema(value_type = Option<String>, pattern = "^(allow|queue|skip|cancel_previous)$")]
    run_policy: Option<Option<RunPolicy>>,
    /// What is done about firings that were missed.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(none|last|all)$")]
    catch_up: Option<CatchUp>,
    /// How late a missed firing may be made up for.
    #[serde(default)]
    window: Option<String>,
    /// By how much firings may come later than their nominal time.
    #[serde(default)]
    jitter: Option<String>,
    /// Whether it is paused.
    #[serde(default)]
    paused: Option<bool>,
}

impl ChangeSchedule {
    pub(crate) fn parse(self) -> Result<ScheduleChange, Problem> {
        Ok(ScheduleChange {
            name: self.name.as_deref().map(name).transpose()?,
            cron: self.cron.as_deref().map(cron).transpose()?,
            zone: self.zone.as_deref().map(zone).transpose()?,
            values: self.parameters,
            run_policy: self.run_policy,
            catch_up: self.catch_up,
            window: self.window.as_deref().map(|it| duration("window", it)).transpose()?,
            jitter: self.jitter.as_deref().map(|it| duration("jitter", it)).transpose()?,
            paused: self.paused,
        })
    }
}

/// Tells a null from what is absent.
mod present {
    use jobwright_core::RunPolicy;
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<RunPolicy>>, D::Error> {
        Option::deserialize(from).map(Some)
    }
}

fn name(text: &str) -> Result<ScheduleName, Problem> {
    ScheduleName::new(text).map_err(|error| Problem::at("#/name", error.to_string()))
}

fn cron(text: &str) -> Result<Cron, Problem> {
    Cron::new(text).map_err(|error| Problem::at("#/cron", error.to_string()))
}

fn zone(text: &str) -> Result<Zone, Problem> {
    Zone::new(text).map_err(|error| Problem::at("#/zone", error.to_string()))
}

fn duration(member: &str, text: &str) -> Result<Duration, Problem> {
    let read = parse_duration(text);
    read.map_err(|error| Problem::at(format!("#/{member}"), error.to_string()))
}

/// The firings of a schedule that come next.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextBody {
    /// The pattern in words.
    description: String,
    /// On whose clocks.
    zone: String,
    /// The firings, in order.
    data: Vec<NextFiring>,
}

/// A firing that comes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextFiring {
    /// Its nominal time.
    nominal: String,
    /// The same on the clocks of the schedule's zone.
    local: String,
    /// When its run begins: later by the schedule's jitter.
    at: String,
}

impl NextBody {
    pub(crate) fn new(schedule: &Schedule, after: Timestamp, count: usize) -> Self {
        let shown = |nominal: Timestamp| NextFiring {
            nominal: nominal.to_string(),
            local: schedule.zone.local(nominal),
            at: (nominal + schedule.offset()).to_string(),
        };
        Self {
            description: schedule.cron.describe(),
            zone: schedule.zone.to_string(),
            data: schedule.upcoming(after, count).into_iter().map(shown).collect(),
        }
    }
}

/// The firings of a range that lies behind, as runs that are looked after together.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfill)]
pub(crate) struct BackfillBody {
    /// Its id.
    id: i64,
    /// Its schedule.
    schedule: Reference,
    /// The schedule's deployment.
    deployment: Reference,
    /// The first nominal time that is meant.
    from: String,
    /// The first nominal time that is not meant any more.
    to: String,
    /// How many runs go on at a time.
    parallel: u32,
    /// Whether what ran already runs again.
    again: bool,
    /// `running`, `done` or `cancelled`.
    state: &'static str,
    /// How many firings there are.
    total: u32,
    /// How many of them are decided.
    decided: usize,
    /// What has become of them.
    runs: Vec<BackfillRunBody>,
    /// When it was made.
    created_at: String,
    /// When something of it last changed.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
}

/// What became of a firing of a backfill.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BackfillRun)]
pub(crate) struct BackfillRunBody {
    /// Its nominal time.
    nominal: String,
    /// Its run; null where it was refused.
    run: Option<Reference>,
    /// `InProgress`, `Complete`, `Failed` or `Canceled`.
    status: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl BackfillRunBody {
    fn new(it: &BackfillRun) -> Self {
        let status = match (it.run, it.verdict) {
            (None, _) | (_, Some(Verdict::Failed)) => "Failed",
            (_, None) => "InProgress",
            (_, Some(Verdict::Succeeded)) => "Complete",
            (_, Some(Verdict::Skipped | Verdict::Cancelled)) => "Canceled",
        };
        Self {
            nominal: it.nominal.to_string(),
            run: it.run.map(|id| Reference { id: id.get() }),
            status,
            reason: it.refused.clone(),
        }
    }
}

impl BackfillBody {
    pub(crate) fn new(version: Version, it: &Backfill) -> Self {
        Self {
            id: it.id.get(),
            schedule: Reference { id: it.schedule.get() },
            deployment: Reference { id: it.deployment.get() },
            from: it.from.to_string(),
            to: it.to.to_string(),
            parallel: it.parallel,
            again: it.again,
            state: it.state.as_str(),
            total: it.total,
            decided: it.runs.len(),
            runs: it.runs.iter().map(BackfillRunBody::new).collect(),
            created_at: it.created_at.to_string(),
            updated_at: it.updated_at.to_string(),
            creator: Creator::new(version, it.created_by),
        }
    }
}

/// A backfill to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBackfill {
    /// The first nominal time that is meant.
    #[schema(format = DateTime)]
    from: String,
    /// The first nominal time that is not meant any more; it lies behind.
    #[schema(format = DateTime)]
    to: String,
    /// How many runs go on at a time; one where nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 16)]
    parallel: Option<u32>,
    /// Run again what ran already.
    #[serde(default)]
    again: Option<bool>,
}

impl CreateBackfill {
    pub(crate) fn parse(&self) -> Result<BackfillRequest, Problem> {
        let time = |member: &str, text: &str| {
            let time = text.parse::<Timestamp>();
            time.map_err(|error| Problem::at(format!("#/{member}"), error.to_string()))
        };
        let request = BackfillRequest::new(time("from", &self.from)?, time("to", &self.to)?);
        let request = request.parallel(self.parallel.unwrap_or(1));
        Ok(if self.again == Some(true) { request.again() } else { request })
    }
}
