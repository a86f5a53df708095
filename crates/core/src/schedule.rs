//! Schedules: when a deployment's scheduled outputs are produced without anybody asking.
//!
//! A [`Schedule`] is a cron pattern in a zone. Each time at which it fires, its *nominal time*, is
//! the reference date of the run and part of its idempotency key, so that one time is one run,
//! whoever fires it and however often. [`Schedule::decide`] says what is to be done at a time; a
//! [`Backfill`] fires the times of a range that lies behind.
//!
//! ```text
//!            cursor                          now
//!  nominal ─────┼────×────×────×────○────○────┼────○──▶   × missed   ○ fired
//!                              └── window ────┘
//! ```
//!
//! Nothing here reads a clock, and the zones are those compiled in.

mod backfill;
mod cron;
mod decide;
mod moment;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;
use crate::id::{DeploymentId, RunId, ScheduleId, TokenId};
use crate::name::ScheduleName;
use crate::parameter::Values;
use crate::policy::RunPolicy;
use crate::time::Timestamp;

pub use backfill::Backfill;
pub use backfill::BackfillRun;
pub use backfill::BackfillState;
pub use backfill::MAX_BACKFILL;
pub use backfill::MAX_PARALLEL;
pub use cron::Cron;
pub use cron::CronError;
pub use cron::MAX_CRON;
pub use cron::Zone;
pub use cron::ZoneError;
pub use decide::Decision;
pub use decide::MAX_CATCH_UP;
pub use decide::ON_TIME;

/// The longest window for firings that were missed.
pub const MAX_WINDOW: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The longest jitter.
pub const MAX_JITTER: Duration = Duration::from_secs(24 * 60 * 60);

/// When the scheduled outputs of a deployment are produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// The deployment that it runs.
    pub deployment: DeploymentId,
    /// Its name, unique in the deployment.
    pub name: ScheduleName,
    /// When it fires, on the clocks of its zone.
    pub cron: Cron,
    /// Whose clocks those are.
    pub zone: Zone,
    /// Its parameter values: stronger than the deployment's, weaker than a run's.
    #[serde(default)]
    pub values: Values,
    /// What a run of it does when the deployment is already running; as the deployment says where
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_policy: Option<RunPolicy>,
    /// What is done about firings that were missed.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// How late a missed firing may be made up for, at most [`MAX_WINDOW`].
    #[serde(with = "crate::time::duration", default = "hour")]
    pub window: Duration,
    /// Firings come later than their nominal time by less than this: always by the same, which
    /// hangs on the schedule's id, so that many schedules do not fire at once. At most
    /// [`MAX_JITTER`].
    #[serde(with = "crate::time::duration", default)]
    pub jitter: Duration,
    /// It does not fire until it is resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The nominal time up to which everything is decided.
    pub cursor: Timestamp,
    /// The firing that was decided last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Firing>,
    /// Whose token it was made with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<TokenId>,
    /// Whose token it was last changed with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it; a firing is no such change.
    pub updated_at: Timestamp,
}

fn hour() -> Duration {
    Duration::from_secs(60 * 60)
}

/// What is done about firings that were missed, because no engine ran or the deployment was paused.
/// A firing that is less than [`ON_TIME`] late was not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing: it goes on with the next one.
    None,
    /// The last one of the window is made up for.
    #[default]
    Last,
    /// All of the window are made up for, in order; of more than [`MAX_CATCH_UP`], the last ones.
    All,
}

/// What became of one firing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// Its nominal time.
    pub nominal: Timestamp,
    /// When that was decided.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: FiringOutcome,
}

/// What became of one firing, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FiringOutcome {
    /// It began this run.
    Run(RunId),
    /// The deployment was running, as this run, and the run policy is to skip.
    Skipped(RunId),
    /// It came too late to be made up for, and those before it.
    Missed,
    /// It could not begin a run; the reason.
    Refused(String),
}

/// The most characters of a reason that are kept.
const MAX_REASON: usize = 1_000;

impl FiringOutcome {
    /// Takes a reason, cut to what is kept of it.
    #[must_use]
    pub fn refused(reason: &str) -> Self {
        Self::Refused(reason.chars().take(MAX_REASON).collect())
    }
}

/// A length of time that a schedule cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a schedule's {what} is at most {}, not {}", crate::time::spelled(*.most), crate::time::spelled(*.found))]
pub struct LengthError {
    /// Which length.
    pub what: &'static str,
    /// The longest that it may be.
    pub most: Duration,
    /// The one given.
    pub found: Duration,
}

impl Schedule {
    /// Checks the lengths of time.
    ///
    /// # Errors
    /// The window or the jitter is too long.
    pub fn check(&self) -> Result<(), LengthError> {
        for (what, most, found) in
            [("window", MAX_WINDOW, self.window), ("jitter", MAX_JITTER, self.jitter)]
        {
            if found > most {
                return Err(LengthError { what, most, found });
            }
        }
        Ok(())
    }

    /// By how much its firings come later than their nominal times: less than the jitter, always
    /// the same for the same id. One offset for all of them keeps their order.
    #[must_use]
    pub fn offset(&self) -> Duration {
        let digest = Digest::of(format!("schedule:{}", self.id).as_bytes());
        let hash =
            digest.as_bytes().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
        let jitter = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(hash.checked_rem(jitter).unwrap_or(0))
    }

    /// Returns the nominal time that comes after one; none where time ends before.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.cron.next(&self.zone, after)
    }

    /// Returns the nominal times that come after one, in order, at most `count`.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        let times = std::iter::successors(self.next(after), |time| self.next(*time));
        times.take(count).collect()
    }

    /// The idempotency key of the run that a firing begins.
    #[must_use]
    pub fn key(&self, nominal: Timestamp) -> String {
        format!("schedule:{}:{nominal}", self.id)
    }

    /// The schedule after a firing was decided.
    #[must_use]
    pub fn after(&self, firing: Firing) -> Self {
        Self { cursor: self.cursor.max(firing.nominal), last: Some(firing), ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
