//! How fast attempts are handed over: so many submissions at a time, so many in a second, and none
//! for a while when the cluster says that it is busy. Each time that it says so there is room for
//! one less at a time, and for one more again after some that went well: a cluster that can take
//! few finds its pace, instead of being asked by all at once when the pause is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::clock::instant;

/// How long to leave a busy cluster alone that does not say how long.
const BUSY: Duration = Duration::from_secs(1);

/// So many submissions must go well before there is room for one more again.
const WELL: u32 = 8;

pub(super) struct Gate {
    places: Semaphore,
    most: usize,
    shrunk: Mutex<Shrunk>,
    spacing: Duration,
    next: Mutex<Option<Instant>>,
}

/// By how many places there is less room than there may be, and how many submissions went well
/// since that changed.
#[derive(Default)]
struct Shrunk {
    by: usize,
    well: u32,
}

impl Gate {
    /// Takes how many submissions may be under way, and how many may begin in a second, if that
    /// has a bound.
    pub(super) fn new(places: u32, per_second: Option<u32>) -> Self {
        let spacing =
            per_second.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.max(1));
        let most = places.max(1) as usize;
        let (shrunk, next) = (Mutex::default(), Mutex::new(None));
        Self { places: Semaphore::new(most), most, shrunk, spacing, next }
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

    /// A submission was taken.
    pub(super) fn went_well(&self) {
        let mut shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        if shrunk.by == 0 {
            return;
        }
        shrunk.well += 1;
        if shrunk.well == WELL {
            *shrunk = Shrunk { by: shrunk.by - 1, well: 0 };
            self.places.add_permits(1);
        }
    }

    /// The cluster is busy: nothing is handed over for a while, and then less at a time.
    pub(super) fn hold(&self, permit: SemaphorePermit<'_>, after: Option<Duration>) {
        let mut shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        shrunk.well = 0;
        if shrunk.by + 1 < self.most {
            shrunk.by += 1;
            permit.forget();
        }
        drop(shrunk);
        let until = instant() + after.unwrap_or(BUSY);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(next.map_or(until, |at| at.max(until)));
    }
}
