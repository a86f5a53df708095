//! What a schedule does at a time. A function of the schedule and the time alone: every engine on a
//! store decides the same, and the store lets one of them act on it.

use std::collections::VecDeque;
use std::time::Duration;

use super::{CatchUp, Schedule};
use crate::time::Timestamp;

/// A firing that is less late than this is on time, whatever the schedule does about missed ones.
pub const ON_TIME: Duration = Duration::from_secs(60);

/// The most missed firings that are made up for.
pub const MAX_CATCH_UP: usize = 100;

/// What is to be done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A run of this nominal time begins.
    Fire(Timestamp),
    /// Everything up to this nominal time was missed, and is not made up for.
    Miss(Timestamp),
    /// Nothing before this time.
    Wait(Timestamp),
}

impl Schedule {
    /// Says what is to be done at a time. Whoever did it asks again, with the cursor at the nominal
    /// time. The work is bounded by the window, however long ago the cursor lies.
    #[must_use]
    pub fn decide(&self, now: Timestamp) -> Decision {
        if self.paused {
            return Decision::Wait(Timestamp::NEVER);
        }
        let (offset, reach) = (self.offset(), self.window.max(ON_TIME));
        let oldest = now.as_millis().saturating_sub(millis(offset) + millis(reach) + 1);
        let start = self.cursor.max(Timestamp::from_millis(oldest));
        let (mut due, mut passed) = (VecDeque::new(), None);
        let mut next = self.next(start);
        while let Some(nominal) = next.filter(|nominal| *nominal + offset <= now) {
            let late = now.since(nominal + offset);
            let made_up_for = self.catch_up != CatchUp::None && late <= self.window;
            if late < ON_TIME || made_up_for {
                due.push_back(nominal);
            }
            if due.len() > self.most() {
                due.pop_front();
            }
            passed = Some(nominal);
            next = self.next(nominal);
        }
        match (due.pop_front(), passed) {
            (Some(nominal), _) => Decision::Fire(nominal),
            (None, Some(nominal)) => Decision::Miss(nominal),
            (None, None) => {
                Decision::Wait(next.map_or(Timestamp::NEVER, |nominal| nominal + offset))
            }
        }
    }

    /// How many may be begun one after the other.
    fn most(&self) -> usize {
        match self.catch_up {
            CatchUp::None | CatchUp::Last => 1,
            CatchUp::All => MAX_CATCH_UP,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
