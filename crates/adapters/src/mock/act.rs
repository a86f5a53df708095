//! What a scripted attempt does.

use std::time::Duration;

use jobwright_core::{Attempt, Failure, Success};

/// What one attempt does: an end, how long it takes to come, and whether it heeds a cancellation.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    end: Ending,
    /// Absent: never.
    latency: Option<Duration>,
    stubborn: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Ending {
    Succeeds(Success),
    Fails(Box<Failure>),
    Panics(String),
}

impl Act {
    fn at_once(end: Ending) -> Self {
        Self { end, latency: Some(Duration::ZERO), stubborn: false }
    }

    /// It succeeds and leaves nothing.
    #[must_use]
    pub fn succeeds() -> Self {
        Self::at_once(Ending::Succeeds(Success::empty()))
    }

    /// It succeeds and leaves a document.
    #[must_use]
    pub fn succeeds_with(result: serde_json::Value) -> Self {
        Self::at_once(Ending::Succeeds(Success::with(result)))
    }

    /// It fails.
    #[must_use]
    pub fn fails(failure: Failure) -> Self {
        Self::at_once(Ending::Fails(Box::new(failure)))
    }

    /// It panics with these words.
    #[must_use]
    pub fn panics(words: &str) -> Self {
        Self::at_once(Ending::Panics(words.to_owned()))
    }

    /// It never ends by itself.
    #[must_use]
    pub fn hangs() -> Self {
        Self { latency: None, ..Self::succeeds() }
    }

    /// Its end comes this long after its begin, on tokio's clock.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// It does not heed a cancellation, not even after the grace: together with
    /// [`Act::hangs`] only dropping the future ends it.
    #[must_use]
    pub fn ignoring_cancellation(mut self) -> Self {
        self.stubborn = true;
        self
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    pub(super) fn is_plain(&self) -> bool {
        *self == Self::succeeds()
    }

    pub(super) async fn perform(self, attempt: &Attempt) -> Result<Success, Failure> {
        if self.latency != Some(Duration::ZERO) {
            tokio::select! {
                biased;
                _ = attempt.cancellation().wait(), if !self.stubborn => {
                    return Err(Failure::cancelled("stopped as it was asked"));
                }
                () = pass(self.latency) => {}
            }
        }
        match self.end {
            Ending::Succeeds(success) => Ok(success),
            Ending::Fails(failure) => Err(*failure),
            Ending::Panics(words) => panic!("{words}"),
        }
    }
}

async fn pass(latency: Option<Duration>) {
    match latency {
        Some(latency) => tokio::time::sleep(latency).await,
        None => std::future::pending().await,
    }
}
