//! Times and durations, as people read them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// In which zone times are shown.
pub(crate) enum Zone {
    /// As they came: RFC 3339 in UTC.
    Kept,
    /// Where the person is.
    Local(TimeZone),
}

impl Zone {
    pub(crate) fn local() -> Self {
        Self::Local(TimeZone::system())
    }

    /// A time of the API in this zone.
    pub(crate) fn show(&self, text: &str) -> String {
        match (self, text.parse::<Timestamp>()) {
            (Self::Local(zone), Ok(time)) => {
                time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
            }
            (Self::Kept, _) | (_, Err(_)) => text.to_owned(),
        }
    }
}

/// The time from one to another, both as the API writes them.
pub(crate) fn between(from: &str, to: &str) -> Option<Duration> {
    let (from, to) = (from.parse::<Timestamp>().ok()?, to.parse::<Timestamp>().ok()?);
    to.duration_since(from).try_into().ok()
}

/// A duration: `0.4s`, `59s`, `1m 23s`, `2h 5m`, `3d 4h`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m {}s", seconds % 60),
        3_600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let check = |milliseconds: u64, expect: &str| {
            assert_eq!(span(Duration::from_millis(milliseconds)), expect);
        };
        check(0, "0.0s");
        check(1_440, "1.4s");
        check(59_999, "59s");
        check(83_000, "1m 23s");
        check(7_500_000, "2h 5m");
        check(273_600_000, "3d 4h");
    }

    #[test]
    fn times_are_shown_with_their_zone() {
        let zone = Zone::Local(TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(zone.show("2026-07-01T10:00:00.123Z"), "2026-07-01 12:00:00 CEST");
        assert_eq!(zone.show("soon"), "soon");
        assert_eq!(Zone::Kept.show("2026-07-01T10:00:00.123Z"), "2026-07-01T10:00:00.123Z");
    }
}
