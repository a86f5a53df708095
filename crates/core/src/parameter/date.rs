//! Date parameters: the reference date, moved in a zone and written in a format. The zones are
//! those compiled in, so that a run resolves alike on every machine.

use jiff::fmt::strtime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, ZonedDateTime};

use super::Value;
use super::check::DeclarationError;
use super::value::ValueError;
use crate::time::Timestamp;

/// The most bytes of a format and of a date written in it.
const MAX_DATE: usize = 255;

/// Returns the reference date, moved by the offset in the zone (a day is a calendar day there,
/// whatever the clocks do), as text in the format.
pub(super) fn default(
    reference_date: Timestamp,
    format: &str,
    zone: &str,
    offset: &str,
) -> Result<Value, ValueError> {
    let declared = |error| ValueError::Declaration(Box::new(error));
    let zone = find_zone(zone).map_err(declared)?;
    let span = find_offset(offset).map_err(declared)?;
    let unreachable = || ValueError::Unreachable { reference_date, offset: offset.to_owned() };
    let moment = jiff::Timestamp::from_millisecond(reference_date.as_millis())
        .map_err(|_| unreachable())?
        .to_zoned_datetime(zone)
        .checked_add(span)
        .map_err(|_| unreachable())?;
    let text = write(&moment, format).map_err(declared)?;
    Ok(Value::Text(text.into()))
}

/// Takes a text that is a date in the format; it is kept as it is.
pub(super) fn parse(text: &str, format: &str) -> Result<Value, String> {
    if text.len() > MAX_DATE || text.contains(char::is_control) {
        return Err(format!("expected at most {MAX_DATE} bytes without control characters"));
    }
    let parts = strtime::parse(format, text).map_err(|error| error.to_string())?;
    // Reading alone accepts the 30th of February.
    if parts.year().is_some() && parts.month().is_some() && parts.day().is_some() {
        parts.to_date().map_err(|error| error.to_string())?;
    }
    Ok(Value::Text(text.into()))
}

/// Finds what is wrong with the declaration of a date.
pub(super) fn check(format: &str, zone: &str, offset: &str) -> Vec<DeclarationError> {
    let mut faults = Vec::new();
    let zone = find_zone(zone).map_err(|fault| faults.push(fault)).unwrap_or(TimeZone::UTC);
    let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(zone);
    faults.extend(write(&sample, format).err());
    match find_offset(offset) {
        Err(fault) => faults.push(fault),
        Ok(span) => faults.extend(sample.checked_add(span).err().map(|error| {
            DeclarationError::Offset { offset: offset.to_owned(), reason: error.to_string() }
        })),
    }
    faults
}

fn find_zone(name: &str) -> Result<TimeZone, DeclarationError> {
    let found = TimeZoneDatabase::bundled().get(name);
    found.map_err(|_| DeclarationError::Zone { zone: name.to_owned() })
}

fn find_offset(offset: &str) -> Result<Span, DeclarationError> {
    if offset.is_empty() {
        return Ok(Span::new());
    }
    offset.parse().map_err(|error: jiff::Error| DeclarationError::Offset {
        offset: offset.to_owned(),
        reason: error.to_string(),
    })
}

fn write(moment: &ZonedDateTime, format: &str) -> Result<String, DeclarationError> {
    let refuse = |reason: String| DeclarationError::Format { format: format.to_owned(), reason };
    if format.is_empty() || format.len() > MAX_DATE {
        return Err(refuse(format!("expected 1 to {MAX_DATE} bytes")));
    }
    let text = strtime::format(format, moment).map_err(|error| refuse(error.to_string()))?;
    if text.contains(char::is_control) {
        return Err(refuse("it writes a control character".to_owned()));
    }
    Ok(text)
}
