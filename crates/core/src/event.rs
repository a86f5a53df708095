//! Events: the facts of a group's journal. They carry results, not recipes: absolute deadlines,
//! the chosen attempt number, the whole expanded group. Whoever applies them needs no policy and
//! no clock.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, GroupId, JobIndex, Seq};
use crate::outcome::{Handle, Outcome};
use crate::plan::Plan;
use crate::store::NodeId;
use crate::time::Timestamp;

/// The events of one group that became durable together: one row of its journal. Event `i` has
/// the position `first + i`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The group.
    pub group: GroupId,
    /// The position of the first event.
    pub first: Seq,
    /// The lease under which they were written.
    pub epoch: Epoch,
    /// When they happened.
    pub at: Timestamp,
    /// The facts, at least one.
    pub events: Events,
}

/// Events in a row. Cheap to clone. Those of several records may share their memory, as those of a
/// turn do; it goes when none of them is held any more. Who keeps some for long and drops others
/// copies what is kept.
#[derive(Clone)]
pub struct Events {
    all: Arc<Vec<Event>>,
    first: u32,
    count: u32,
}

impl Events {
    /// Shares out the memory of events: each of the parts takes so many, in order.
    ///
    /// # Panics
    /// If the parts take more than there are.
    pub fn share(
        all: Vec<Event>,
        counts: impl IntoIterator<Item = usize>,
    ) -> impl Iterator<Item = Self> {
        let all = Arc::new(all);
        let mut next = 0;
        counts.into_iter().map(move |count| {
            let first = next;
            next += count;
            assert!(next <= all.len(), "{next} events are shared out of {}", all.len());
            Self { all: Arc::clone(&all), first: first as u32, count: count as u32 }
        })
    }
}

impl Deref for Events {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        let first = self.first as usize;
        &self.all[first..first + self.count as usize]
    }
}

impl From<Vec<Event>> for Events {
    fn from(events: Vec<Event>) -> Self {
        let count = events.len() as u32;
        Self { all: Arc::new(events), first: 0, count }
    }
}

impl<const N: usize> From<[Event; N]> for Events {
    fn from(events: [Event; N]) -> Self {
        Vec::from(events).into()
    }
}

impl From<&[Event]> for Events {
    fn from(events: &[Event]) -> Self {
        events.to_vec().into()
    }
}

impl FromIterator<Event> for Events {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        events.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Record {
    /// Returns the position that the next record's first event has.
    #[must_use]
    pub fn next(&self) -> Seq {
        Seq(self.first.0 + self.events.len() as u64)
    }
}

/// One fact of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The group exists; nothing of it has begun. Always the first event.
    Accepted {
        /// The whole group.
        plan: Arc<Plan>,
    },
    /// An engine took the group up after another one left it.
    Adopted {
        /// The new fence.
        epoch: Epoch,
        /// The engine.
        node: NodeId,
    },
    /// The job has what it needs and waits for a slot.
    Ready {
        /// The job.
        job: JobIndex,
        /// It fails if it has not been dispatched by then.
        queue_by: Timestamp,
        /// It fails if it has not ended by then; the same over all attempts.
        total_by: Timestamp,
    },
    /// An attempt is about to be handed to the executor.
    Requested {
        /// The job.
        job: JobIndex,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// It is stopped if it has not ended by then.
        end_by: Timestamp,
        /// It is stopped if no heartbeat has come by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beat_by: Option<Timestamp>,
    },
    /// The executor took the attempt and named it.
    Started {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The executor's own name for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<Handle>,
    },
    /// The attempt is alive.
    Beat {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The next heartbeat is due by then.
        beat_by: Timestamp,
    },
    /// The attempt is asked to stop.
    Stopping {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: StopReason,
        /// It is given up if its end has not been reported by then.
        kill_by: Timestamp,
    },
    /// The attempt ended.
    AttemptEnded {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// What becomes of the job.
        next: Next,
    },
    /// The job ended without an attempt of its own ending now.
    JobEnded {
        /// The job.
        job: JobIndex,
        /// How.
        verdict: Verdict,
        /// Why.
        cause: Cause,
    },
    /// The group is being cancelled.
    CancelRequested {
        /// Why.
        reason: CancelReason,
    },
    /// Every job has ended. Always the last event.
    GroupEnded {
        /// How.
        verdict: Verdict,
    },
}

impl Event {
    /// Returns the job that the event speaks of; none where it speaks of the group.
    #[must_use]
    pub fn job(&self) -> Option<JobIndex> {
        match self {
            Self::Ready { job, .. }
            | Self::Requested { job, .. }
            | Self::Started { job, .. }
            | Self::Beat { job, .. }
            | Self::Stopping { job, .. }
            | Self::AttemptEnded { job, .. }
            | Self::JobEnded { job, .. } => Some(*job),
            Self::Accepted { .. }
            | Self::Adopted { .. }
            | Self::CancelRequested { .. }
            | Self::GroupEnded { .. } => None,
        }
    }
}

/// What becomes of a job when an attempt of it has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The job ended too.
    End {
        /// How.
        verdict: Verdict,
        /// Why.
        cause: Cause,
    },
    /// It is tried again later.
    Retry {
        /// When.
        at: Timestamp,
    },
}

/// How a job or a group ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should: `Complete` on the wire.
    Succeeded,
    /// Badly: `Failed` on the wire.
    Failed,
    /// Never begun, since a need can no longer be met: `Canceled` on the wire. Jobs only.
    Skipped,
    /// Stopped or never begun, on request: `Canceled` on the wire.
    Cancelled,
}

/// Why a job ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its last attempt's outcome says it all.
    Attempt,
    /// A job that it needs ended in a way that its trigger does not accept.
    Need {
        /// The needed job.
        job: JobIndex,
        /// How that ended.
        was: Verdict,
    },
    /// It waited for a slot for too long.
    QueueTimeout,
    /// All attempts and waits together took too long.
    TotalTimeout,
    /// Its group was cancelled.
    GroupCancelled,
    /// Attempts of it were lost too often.
    CrashLimit,
    /// An attempt was lost and the step says that this is a failure.
    Lost,
    /// Executors refused it too often.
    Rejected,
}

/// Why an attempt is asked to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Its group is being cancelled.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
    /// It took too long.
    TimedOut(Timeout),
    /// The engine shuts down; the job is taken up by the next one.
    Shutdown,
    /// The engine does not drive the group any more, and another one may already: the attempt is
    /// dropped at once. Work that the other one finds by its handle must be left alone; all other
    /// work must end with the attempt. Told to attempts only: no journal has it.
    GivenUp,
}

/// Which of a job's times ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timeout {
    /// The attempt's.
    Attempt,
    /// The job's, over all attempts.
    Total,
    /// That between two heartbeats.
    Heartbeat,
}

/// Why a group is cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Somebody asked for it, with these words.
    Requested(Arc<str>),
    /// A job failed and the flow says `fail_fast`.
    FailFast {
        /// The job that failed.
        job: JobIndex,
    },
    /// A later run of the deployment took its place.
    Superseded,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(jobs: std::ops::Range<u32>) -> Vec<Event> {
        let beat = |n| Event::Beat { job: JobIndex(n), attempt: 1, beat_by: Timestamp::NEVER };
        jobs.map(beat).collect()
    }

    #[test]
    fn parts_of_shared_events_are_as_if_each_had_its_own() {
        let parts: Vec<_> = Events::share(beats(0..6), [2, 1, 3]).collect();
        let own = [beats(0..2), beats(2..3), beats(3..6)].map(Events::from);
        assert_eq!(parts, own);
        assert_eq!(format!("{:?}", parts[1]), format!("{:?}", beats(2..3)));
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    #[should_panic = "7 events are shared out of 6"]
    fn no_part_takes_more_than_there_is() {
        Events::share(beats(0..6), [6, 1]).for_each(drop);
    }
}
