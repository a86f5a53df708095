//! Cron patterns and zones, checked once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::moment::Moment;
use crate::time::Timestamp;

/// The most bytes of a cron pattern: room for a list of every minute, and nothing that takes long
/// to read or to describe.
pub const MAX_CRON: usize = 255;

/// A cron pattern: five fields for minute, hour, day of month, month and day of week, with lists,
/// ranges, steps, names, `L`, `W` and `#`, or a word such as `@daily`. It fires at some time.
#[derive(Clone)]
pub struct Cron {
    text: Arc<str>,
    pattern: Arc<croner::Cron>,
}

/// A text that is no cron pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CronError {
    /// It is too long.
    #[error("the cron pattern has {found} bytes, {MAX_CRON} are allowed")]
    TooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// It cannot be read.
    #[error("`{pattern}` is not a cron pattern such as `30 6 * * MON-FRI`: {reason}")]
    Unreadable {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such day.
    #[error("cron pattern `{pattern}` never fires: no such day exists")]
    Never {
        /// The pattern.
        pattern: String,
    },
}

impl Cron {
    /// Takes a text as a pattern.
    ///
    /// # Errors
    /// Refuses what is too long, cannot be read, has seconds or years, or never fires.
    pub fn new(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.len() > MAX_CRON {
            return Err(CronError::TooLong { found: text.len() });
        }
        let unreadable =
            |reason: String| CronError::Unreadable { pattern: text.to_owned(), reason };
        let fields = text.split_whitespace().count();
        if fields != 5 && !text.starts_with('@') {
            return Err(unreadable(format!("it has {fields} fields, 5 are expected")));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(text).map_err(|error| unreadable(uncapped(&error)))?;
        let pattern = Self { text: text.into(), pattern: Arc::new(pattern) };
        // Without seconds and years, what does not fire in one zone fires in none.
        match pattern.next(&Zone::utc(), Timestamp::from_millis(0)) {
            Some(_) => Ok(pattern),
            None => Err(CronError::Never { pattern: text.to_owned() }),
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Describes the pattern in English words.
    #[must_use]
    pub fn describe(&self) -> String {
        self.pattern.describe()
    }

    /// Returns when it fires next after a time, on the clocks of a zone; none where time ends
    /// before.
    ///
    /// In the night in which clocks go forward, a pattern with one fixed minute and hour fires at
    /// the first moment after the gap if its own is left out; others leave out what is left out.
    /// In the night in which they go back, a pattern with one fixed minute and hour fires once, at
    /// the earlier of both; others fire both times.
    #[must_use]
    pub fn next(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        let moment = jiff::Timestamp::from_millisecond(after.as_millis()).ok()?;
        // The search knows whole seconds only.
        let moment = jiff::Timestamp::from_second(moment.as_second()).ok()?;
        let start = Moment(moment.to_zoned_datetime(zone.zone.clone()));
        let found = self.pattern.find_next_occurrence(&start, false).ok()?;
        let found = Timestamp::from_millis(found.0.timestamp().as_millisecond());
        (found > after).then_some(found)
    }
}

/// The words of an error as one of ours.
fn uncapped(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError as Error;
    let text = match error {
        Error::InvalidPattern(text)
        | Error::IllegalCharacters(text)
        | Error::ComponentError(text) => text.clone(),
        other => other.to_string(),
    };
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|it| it.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}

/// An IANA time zone by its name, such as `Europe/Berlin`.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    zone: TimeZone,
}

/// A text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a time zone such as `Europe/Berlin` or `UTC`")]
pub struct ZoneError(String);

impl Zone {
    /// Finds a zone by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn new(name: &str) -> Result<Self, ZoneError> {
        // No name is longer than this: what is, need not be looked for, nor told.
        const MAX: usize = 64;
        let refuse = || ZoneError(name.chars().take(MAX).collect());
        if name.len() > MAX {
            return Err(refuse());
        }
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| refuse())?;
        let name = zone.iana_name().unwrap_or(name).into();
        Ok(Self { name, zone })
    }

    /// The zone of universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Writes a time as the zone's clocks show it, with its offset, as RFC 3339.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> String {
        match jiff::Timestamp::from_millisecond(at.as_millis()) {
            Ok(moment) => {
                let zoned = moment.to_zoned_datetime(self.zone.clone());
                zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
            }
            Err(_) => at.to_string(),
        }
    }
}

macro_rules! as_text {
    ($($name:ident: $error:ident,)+) => {$(
        impl FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.as_str().serialize(to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

as_text! {
    Cron: CronError,
    Zone: ZoneError,
}
