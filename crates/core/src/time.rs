//! Time as plain data: a [`Timestamp`] is an argument of the machine and a column of the store.
//! Nothing here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A moment: milliseconds since 1970-01-01T00:00:00Z. Its text form is RFC 3339 in UTC with
/// milliseconds, as the wire shows it; its stored form is the number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A moment that never comes: what has no deadline waits for it.
    pub const NEVER: Timestamp = Timestamp(i64::MAX);

    /// Makes a moment from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns how long `earlier` lies behind this moment; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        self - earlier
    }
}

/// Saturates at [`Timestamp::NEVER`] instead of overflowing.
impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, duration: Duration) -> Timestamp {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }
}

/// Zero where the right side is later.
impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) if self.0 > 0 => f.write_str("never"),
            Err(_) => f.write_str("before all time"),
        }
    }
}

/// A text that is no moment.
#[derive(Debug, Clone, Error)]
#[error("`{found}` is not a time such as `2026-01-31T12:00:00Z`")]
pub struct TimestampError {
    found: String,
    #[source]
    source: jiff::Error,
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let moment = text.parse::<jiff::Timestamp>();
        let moment = moment.map_err(|source| TimestampError { found: text.to_owned(), source })?;
        Ok(Self(moment.as_millisecond()))
    }
}

/// Durations as people write them: `90s`, `1h 30m`, `500ms`, or ISO 8601. For
/// `#[serde(with = "duration")]`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    /// Writes the duration in words.
    ///
    /// # Errors
    /// As the serializer does.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        super::spelled(*value).serialize(to)
    }

    /// Reads a duration from words.
    ///
    /// # Errors
    /// Refuses what is not a duration or is negative.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_duration(&text).map_err(de::Error::custom)
    }

    /// The same for a duration that may be absent.
    pub mod optional {
        use std::time::Duration;

        use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

        /// Writes the duration in words, or null.
        ///
        /// # Errors
        /// As the serializer does.
        pub fn serialize<S: Serializer>(
            value: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            value.map(super::super::spelled).serialize(to)
        }

        /// Reads a duration from words, or null.
        ///
        /// # Errors
        /// Refuses what is not a duration or is negative.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| super::super::parse_duration(&text))
                .transpose()
                .map_err(de::Error::custom)
        }
    }
}

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a duration such as `90s`, `5m` or `1h 30m`")]
pub struct DurationError(String);

/// Reads a duration such as `90s`, `1h 30m`, `500ms` or ISO 8601 `PT90S`; days have 24 hours.
///
/// # Errors
/// Refuses everything else, and what is negative.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refuse = || DurationError(text.to_owned());
    let span: jiff::Span = text.trim().parse().map_err(|_| refuse())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let length = span.to_duration(relative).map_err(|_| refuse())?;
    Duration::try_from(length).map_err(|_| refuse())
}

/// Writes a duration as the shortest exact sum of units, `1h 30m`.
#[must_use]
pub fn spelled(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let mut rest = millis;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_what_it_writes() {
        let text = "2019-02-11T23:55:32.604Z";
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        assert_eq!(Timestamp::NEVER.to_string(), "never");
        assert_eq!(Timestamp::NEVER + Duration::from_secs(1), Timestamp::NEVER);
    }

    #[test]
    fn durations_are_words() {
        let check = |text: &str, millis: u64, back: &str| {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(spelled(duration), back);
        };
        check("90s", 90_000, "1m 30s");
        check("1h 30m", 5_400_000, "1h 30m");
        check("PT90S", 90_000, "1m 30s");
        check("500ms", 500, "500ms");
        check("0s", 0, "0s");
        check("2d", 172_800_000, "2d");
        for bad in ["", "90", "soon", "-5s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
