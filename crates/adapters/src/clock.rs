//! The one place of this crate where the clock is read: logs of real processes tell the real time,
//! and clusters are asked at a pace.

use jobwright_core::Timestamp;

#[expect(clippy::disallowed_methods, reason = "the log of a real process tells the real time")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(0)))
}

/// Returns this moment of the runtime's clock, for clusters: pauses and ages are told by it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a pause ends at a moment of the runtime's clock")]
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
