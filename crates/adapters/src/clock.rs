//! The one place of this crate where the clock is read: logs of real processes tell the real time.

use jobwright_core::Timestamp;

#[expect(clippy::disallowed_methods, reason = "the log of a real process tells the real time")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(0)))
}
