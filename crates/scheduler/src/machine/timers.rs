//! Deadlines, soonest first. An entry stands for a block of neighbouring jobs and is a hint: whose
//! time has come is for the jobs' states to say, so that nothing is ever searched or taken out of
//! the middle, and jobs with like deadlines cost one entry together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jobwright_core::{GroupId, JobIndex, Timestamp};

/// How many neighbouring jobs share a timer: few enough to look at all of them when it fires.
pub(super) const BLOCK: usize = 64;

/// Where a job lies: the slot of its group, checked by the group's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) job: JobIndex,
    pub(super) group: GroupId,
}

/// A deadline that comes, however long the time is: `NEVER` is for what has none.
pub(super) fn deadline(now: Timestamp, time: Duration) -> Timestamp {
    (now + time).min(Timestamp::from_millis(i64::MAX - 1))
}

/// All deadlines of a machine.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, Place)>>,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Timestamp, place: Place) {
        if at != Timestamp::NEVER {
            self.heap.push(Reverse((at, place)));
        }
    }

    pub(super) fn next(&self) -> Option<(Timestamp, Place)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    pub(super) fn pop(&mut self) -> Option<(Timestamp, Place)> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Drops the entries that mean nothing any more, once they outnumber the `blocks` of all
    /// groups; the work is paid for by the entries that were armed since.
    pub(super) fn compact(&mut self, blocks: usize, means: impl Fn(Timestamp, Place) -> bool) {
        if self.heap.len() > 2 * blocks + 1024 {
            self.heap.retain(|Reverse((at, place))| means(*at, *place));
        }
    }
}
