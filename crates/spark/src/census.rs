//! How many drivers there are: what the master was last seen to have, and what was handed over
//! since. Following attempts asks the master anyway, so that handing over need not ask again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobwright_adapters::remote::instant;
use tokio::time::Instant;

use crate::master::{Master, MasterError, Overview};

/// What is known of the drivers of one master.
#[derive(Debug, Default)]
pub(crate) struct Census {
    last: Mutex<Option<Look>>,
    /// Submissions that were begun, and those of them that are over.
    begun: AtomicU64,
    over: AtomicU64,
}

#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    overview: Arc<Overview>,
    /// So many submissions were over before: what came of them is seen.
    covers: u64,
}

/// What there is.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    pub(crate) overview: Arc<Overview>,
    /// Drivers that were seen, and those that may have come since: never too few of our own.
    pub(crate) drivers: u64,
}

/// A submission that is under way.
pub(crate) struct Submission<'c>(&'c Census);

impl Census {
    /// Looks at the master anew.
    pub(crate) async fn take(&self, master: &Master) -> Result<Count, MasterError> {
        let (at, covers) = (instant(), self.over.load(Ordering::SeqCst));
        let overview = Arc::new(master.overview().await?);
        let look = Look { at, overview, covers };
        let count = self.count(&look);
        *self.last() = Some(look);
        Ok(count)
    }

    /// Returns what is known, unless the last look is longer ago.
    pub(crate) fn recent(&self, age: Duration) -> Option<Count> {
        self.last().as_ref().filter(|look| look.at.elapsed() <= age).map(|look| self.count(look))
    }

    /// Counts a submission in, from before it is sent.
    pub(crate) fn submission(&self) -> Submission<'_> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Submission(self)
    }

    fn count(&self, look: &Look) -> Count {
        let since = self.begun.load(Ordering::SeqCst) - look.covers;
        let drivers = look.overview.active.len() as u64 + since;
        Count { overview: Arc::clone(&look.overview), drivers }
    }

    fn last(&self) -> MutexGuard<'_, Option<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_over_since_the_last_look_counts() {
        let census = Census::default();
        assert!(census.recent(Duration::MAX).is_none());
        let early = census.submission();
        let look = |covers| Look { at: instant(), overview: Arc::default(), covers };
        *census.last() = Some(look(0));
        let drivers = || census.recent(Duration::from_secs(2)).unwrap().drivers;
        assert_eq!(drivers(), 1, "the look may not have seen what was under way");
        drop(early);
        assert_eq!(drivers(), 1);
        drop(census.submission());
        assert_eq!(drivers(), 2);
        *census.last() = Some(look(2));
        assert_eq!(drivers(), 0, "both were over before");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(census.recent(Duration::from_secs(2)).is_none());
    }
}
