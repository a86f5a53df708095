//! Backfills: the firings of a range that lies behind, as one set of runs that is looked after.

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::event::Verdict;
use crate::id::{BackfillId, DeploymentId, RunId, ScheduleId, TokenId};
use crate::time::Timestamp;

/// The most firings of one backfill.
pub const MAX_BACKFILL: usize = 1_000;

/// The most runs of a backfill that go on at a time.
pub const MAX_PARALLEL: u32 = 16;

/// The firings of a schedule in a range, begun one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its id.
    pub id: BackfillId,
    /// The schedule whose firings they are.
    pub schedule: ScheduleId,
    /// The schedule's deployment.
    pub deployment: DeploymentId,
    /// The first nominal time that is meant.
    pub from: Timestamp,
    /// The first nominal time that is not meant any more.
    pub to: Timestamp,
    /// How many runs go on at a time, from 1 to [`MAX_PARALLEL`].
    pub parallel: u32,
    /// Run again what ran already: otherwise a firing that began a run before is that run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// How many firings there are.
    pub total: u32,
    /// The nominal time of the firing that was decided last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Timestamp>,
    /// How far it is.
    pub state: BackfillState,
    /// What has become of its firings, in order.
    #[serde(default)]
    pub runs: Vec<BackfillRun>,
    /// Whose token it was made with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something of it last changed.
    pub updated_at: Timestamp,
}

/// How far a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillState {
    /// Firings are still to come, or runs go on.
    Running,
    /// Every firing was decided, and every run has ended.
    Done,
    /// Somebody ended it: no firing comes any more. Runs that had begun go on.
    Cancelled,
}

impl BackfillState {
    /// Returns the state's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What became of one firing of a backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillRun {
    /// Its nominal time.
    pub nominal: Timestamp,
    /// Its run; none where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// How its run ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl BackfillRun {
    /// Tells whether its run may go on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.run.is_some() && self.verdict.is_none()
    }
}

impl Backfill {
    /// The nominal time that is fired next; none where all are decided or nothing more comes.
    #[must_use]
    pub fn next(&self, schedule: &Schedule) -> Option<Timestamp> {
        if self.state != BackfillState::Running {
            return None;
        }
        let before = Timestamp::from_millis(self.from.as_millis().saturating_sub(1));
        let next = schedule.next(self.cursor.unwrap_or(before))?;
        (next < self.to).then_some(next)
    }

    /// How many of its runs may go on.
    #[must_use]
    pub fn open(&self) -> usize {
        self.runs.iter().filter(|run| run.is_open()).count()
    }

    /// The idempotency key of the run that a firing begins: the schedule's own, unless what ran
    /// already is to run again.
    #[must_use]
    pub fn key(&self, schedule: &Schedule, nominal: Timestamp) -> String {
        match self.again {
            true => format!("backfill:{}:{nominal}", self.id),
            false => schedule.key(nominal),
        }
    }

    /// The backfill after a firing was decided.
    #[must_use]
    pub fn after(&self, run: BackfillRun, at: Timestamp) -> Self {
        let mut next = Self { cursor: Some(run.nominal), updated_at: at, ..self.clone() };
        next.runs.push(run);
        next
    }
}
