//! Identifiers: positive integers below 2^53 for what the wire shows, so that JavaScript clients
//! can hold them; they are allocated by the store, never computed from a clock or a random source.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The first number that an identifier may not reach: JavaScript loses integers from 2^53 on.
pub const ID_LIMIT: i64 = 1 << 53;

/// A number or text that is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// The number lies outside 1..2^53.
    #[error("{kind} id `{found}` is not between 1 and 2^53 - 1")]
    OutOfRange {
        /// What the identifier names.
        kind: &'static str,
        /// The number found.
        found: i64,
    },
    /// The text is not a number.
    #[error("{kind} id `{found}` is not a number")]
    NotANumber {
        /// What the identifier names.
        kind: &'static str,
        /// The text found.
        found: String,
        /// Why it is not a number.
        #[source]
        source: ParseIntError,
    },
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "i64", try_from = "i64")]
        pub struct $name(i64);

        impl $name {
            /// Takes a number as an identifier.
            ///
            /// # Errors
            /// Refuses numbers outside 1..2^53.
            pub fn new(id: i64) -> Result<Self, IdError> {
                if (1..ID_LIMIT).contains(&id) {
                    Ok(Self(id))
                } else {
                    Err(IdError::OutOfRange { kind: $kind, found: id })
                }
            }

            /// Returns the number.
            #[must_use]
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = IdError;
            fn try_from(id: i64) -> Result<Self, IdError> {
                Self::new(id)
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> i64 {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let id = text.parse().map_err(|source| IdError::NotANumber {
                    kind: $kind,
                    found: text.to_owned(),
                    source,
                })?;
                Self::new(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, " {}"), self.0)
            }
        }
    )+};
}

ids! {
    /// Names a deployment.
    DeploymentId = "deployment";
    /// Names a release.
    ReleaseId = "release";
    /// Names a run.
    RunId = "run";
    /// Names a job group.
    GroupId = "job group";
    /// Names a job over the whole instance; the jobs of one group have consecutive ids.
    JobId = "job";
    /// Names a parameter of the environment layer.
    EnvironmentId = "environment parameter";
    /// Names an access token.
    TokenId = "access token";
    /// Names an audit record.
    AuditId = "audit record";
    /// Names a webhook.
    WebhookId = "webhook";
    /// Names a message to a webhook.
    DeliveryId = "delivery";
    /// Names a schedule.
    ScheduleId = "schedule";
    /// Names a backfill of a schedule.
    BackfillId = "backfill";
    /// Names the document by which an engine says that it is there.
    PresenceId = "presence of an engine";
    /// Names the document by which one engine asks another to accept a run.
    RunOrderId = "order of a run";
    /// Names the document by which one engine asks others for lines of a log.
    LogOrderId = "order of a log";
}

/// The place of a job in its group: jobs are addressed by it wherever the group is known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct JobIndex(pub u32);

impl JobIndex {
    /// Returns the place as an index into a vector.
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

impl From<usize> for JobIndex {
    /// A group holds at most [`MAX_JOBS`](crate::MAX_JOBS) jobs, so the place fits.
    fn from(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// One try at a job: the fence of every report and the idempotency key of every hand-over.
///
/// Its text form, `<job>-<number>`, is unique over the instance and safe in names and paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The job that is tried.
    pub job: JobId,
    /// The number of the try, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.job, self.number)
    }
}

/// The position of an event in its group's journal, from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The fence of a lease: grows each time a group is taken up by an engine, never falls.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_live_between_one_and_two_to_the_53() {
        for bad in [i64::MIN, -1, 0, ID_LIMIT, i64::MAX] {
            assert!(GroupId::new(bad).is_err(), "{bad}");
            assert!(serde_json::from_str::<GroupId>(&bad.to_string()).is_err(), "{bad}");
        }
        assert_eq!("9007199254740991".parse::<JobId>().unwrap().get(), ID_LIMIT - 1);
        assert_eq!("x".parse::<JobId>().unwrap_err().to_string(), "job id `x` is not a number");
    }
}
