//! How long runs that are over are kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::{parse_duration, spelled};

/// How long a run is kept after the last of its job groups has ended. Its text form is `forever`,
/// or a duration such as `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Retention {
    /// It is never removed.
    Forever,
    /// It is removed so long after its end.
    For(Duration),
}

impl Retention {
    /// What holds where nobody says anything: 30 days.
    pub const DEFAULT: Self = Self::For(Duration::from_secs(30 * 24 * 60 * 60));

    /// Returns the time; none where it is never removed.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::For(duration) => Some(duration),
        }
    }
}

impl From<Option<Duration>> for Retention {
    /// None is for ever.
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::Forever, Self::For)
    }
}

/// A text that says no time for which runs are kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is neither `forever` nor a duration such as `30d` or `12h`")]
pub struct RetentionError(String);

impl FromStr for Retention {
    type Err = RetentionError;
    fn from_str(text: &str) -> Result<Self, RetentionError> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let shown = || RetentionError(text.chars().take(64).collect());
        parse_duration(text).map(Self::For).map_err(|_| shown())
    }
}

impl TryFrom<String> for Retention {
    type Error = RetentionError;
    fn try_from(text: String) -> Result<Self, RetentionError> {
        text.parse()
    }
}

impl From<Retention> for String {
    fn from(retention: Retention) -> String {
        retention.to_string()
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.pad("forever"),
            Self::For(duration) => f.pad(&spelled(*duration)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_read_as_it_is_written() {
        let check = |text: &str, expect: &str| {
            let told = text.parse::<Retention>();
            assert_eq!(told.map_or_else(|error| error.to_string(), |it| it.to_string()), expect);
        };
        check("forever", "forever");
        check("30d", "30d");
        check("36h", "1d 12h");
        check("0s", "0s");
        check("soon", "`soon` is neither `forever` nor a duration such as `30d` or `12h`");
        assert_eq!(Retention::DEFAULT.to_string(), "30d");
    }
}
