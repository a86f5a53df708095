//! The engine's one clock: the wall clock at the start, carried on by the runtime's, so that it
//! never runs backwards while the engine lives and can be paused in tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobwright_core::Timestamp;
use tokio::time::Instant;

/// The engine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Timestamp,
    origin: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the driver's door to time")]
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(0);
        Self { start: Timestamp::from_millis(millis), origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start + self.origin.elapsed()
    }

    /// When the runtime's clock shows the moment; rounded up, since timestamps are whole
    /// milliseconds.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        // A year is more than any sleep needs: the loop looks again when it wakes.
        const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        self.origin + at.since(self.start).min(self.origin.elapsed() + FAR)
    }
}

/// The moment, by the clock that measures how long something lasts.
#[expect(clippy::disallowed_methods, reason = "this is the driver's door to time")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}
