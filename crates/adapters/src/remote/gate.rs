//! How fast attempts are handed over: so many submissions at a time, so many in a second, and none
//! for a while when the cluster says that it is busy.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::clock::instant;

/// How long to leave a busy cluster alone that does not say how long.
const BUSY: Duration = Duration::from_secs(1);

pub(super) struct Gate {
    places: Semaphore,
    spacing: Duration,
    next: Mutex<Option<Instant>>,
}

impl Gate {
    /// Takes how many submissions may be under way, and how many may begin in a second, if that
    /// has a bound.
    pub(super) fn new(places: u32, per_second: Option<u32>) -> Self {
        let spacing =
            per_second.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.max(1));
        Self { places: Semaphore::new(places.max(1) as usize), spacing, next: Mutex::new(None) }
    }

    /// Waits until a submission may begin; it is under way as long as the permit lives. Cancel
    /// safe: who gives up may waste a moment, never a place.
    pub(super) async fn enter(&self) -> SemaphorePermit<'_> {
        let permit = self.places.acquire().await.expect("the semaphore is never closed");
        loop {
            let now = instant();
            let turn = {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                match *next {
                    Some(at) if at > now => at,
                    Some(_) | None => {
                        *next = Some(now + self.spacing);
                        return permit;
                    }
                }
            };
            sleep_until(turn).await;
        }
    }

    /// The cluster is busy: nothing is handed over for a while.
    pub(super) fn hold(&self, after: Option<Duration>) {
        let until = instant() + after.unwrap_or(BUSY);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(next.map_or(until, |at| at.max(until)));
    }
}
