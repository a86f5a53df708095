//! Quantities as people write them: `"10s"`, `"1h 30m"`, `"64 MiB"`.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A length of time with its unit, such as `"90s"`; at most ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Period(pub(crate) Duration);

/// A number of bytes: a number, or a text with a unit, such as `"64 MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

/// The longest time that can be said: long enough for everything, and short enough to be added to
/// any moment.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

impl Period {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("expected a length of time such as `10s`, `5m` or `1h 30m`, found `{text}`");
        let signed: SignedDuration = text.trim().parse().map_err(|_| wrong())?;
        let period = Duration::try_from(signed).map_err(|_| wrong())?;
        if period > LONGEST {
            Err(format!("`{text}` is longer than ten years"))
        } else {
            Ok(Self(period))
        }
    }
}

impl Bytes {
    /// As many as that.
    pub(crate) fn from_usize(bytes: usize) -> Self {
        Self(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// As many as fit into memory.
    pub(crate) fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn parse(text: &str) -> Result<Self, String> {
        jobwright_core::parse_bytes(text).map(Self).ok_or_else(|| {
            format!("expected a number of bytes such as `1048576` or `64 MiB`, found `{text}`")
        })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Written("a length of time such as `\"10s\"`", Self::parse, |_| None))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = |bytes| u64::try_from(bytes).ok().map(Self);
        from.deserialize_any(Written("a number of bytes such as `\"64 MiB\"`", Self::parse, number))
    }
}

/// Reads a quantity: what is expected, how a text is read, and how a number without a unit is.
struct Written<T>(&'static str, fn(&str) -> Result<T, String>, fn(i64) -> Option<T>);

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let wrong = || E::custom(format!("expected {}, found `{number}`", self.0));
        (self.2)(number).ok_or_else(wrong)
    }
}
