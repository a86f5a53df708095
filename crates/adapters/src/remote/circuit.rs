//! Whether the cluster can be asked at all. When it is away, all attempts wait for the same answer
//! to the same small question, instead of failing one by one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Trouble;

/// So many requests in a row must fail before nobody is let through any more.
const TOLERATED: u32 = 3;

/// The pauses between two questions whether it is back: from the first to the longest, doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Opens when the cluster does not answer, closes when it does.
pub(super) struct Circuit {
    /// Why it is open.
    open: watch::Sender<Option<Trouble>>,
    /// Failures in a row.
    failures: Mutex<u32>,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self { open: watch::Sender::new(None), failures: Mutex::new(0) }
    }

    /// A request was answered.
    pub(super) fn succeeded(&self) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        if self.open.send_if_modified(|open| open.take().is_some()) {
            tracing::info!("the cluster answers again");
        }
    }

    /// A request was not answered. Being busy is an answer.
    pub(super) fn failed(&self, trouble: &Trouble) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let opens = match trouble {
            Trouble::Busy { .. } => false,
            Trouble::Denied(_) => true,
            Trouble::Unsent(_) | Trouble::Unanswered(_) => {
                *failures = failures.saturating_add(1);
                *failures >= TOLERATED
            }
        };
        if opens && self.open.send_replace(Some(trouble.clone())).is_none() {
            tracing::warn!(why = %trouble, "the cluster is left alone until it answers again");
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.borrow().is_some()
    }

    /// Waits until somebody has found the cluster away. Cancel safe.
    pub(super) async fn opened(&self) {
        self.turned(false).await;
    }

    /// Waits until it is open where it was closed, or the other way. Cancel safe.
    pub(super) async fn turned(&self, was_open: bool) {
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| open.is_some() != was_open).await;
    }

    /// Tells why it is open, if it is.
    pub(super) fn tell(&self, tell: impl FnOnce(&Trouble)) {
        self.open.borrow().as_ref().map(tell);
    }

    /// Waits until the cluster answers; tells each new reason to wait. Cancel safe.
    pub(super) async fn closed(&self, mut tell: impl FnMut(&Trouble)) {
        let mut open = self.open.subscribe();
        loop {
            match &*open.borrow_and_update() {
                Some(trouble) => tell(trouble),
                None => return,
            }
            // The sender lives as long as `self`.
            let _ = open.changed().await;
        }
    }
}

/// Returns how long to wait after so many questions without an answer.
pub(super) fn pause(asked: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << asked.min(16)).min(LONGEST_PAUSE)
}
