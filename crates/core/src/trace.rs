//! The place of a run in a trace: the `traceparent` of W3C Trace Context. One that comes in with a
//! request is kept with the run; where none came, the run's session is the trace. Everything below
//! is a pure function of that, so a trace looks the same after a crash, and from every side.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::digest::Digest;
use crate::id::{AttemptId, GroupId};

/// A trace, a span in it, and whether it is recorded.
///
/// Its text form is that of version 00, `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`; a
/// later version is read as far as this one knows it. It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a traceparent: expected `00-<trace id>-<parent id>-<flags>` in lower case")]
pub struct TraceParentError(String);

/// The flag that says that the trace is recorded.
const SAMPLED: u8 = 1;

impl TraceParent {
    /// Makes the trace of a run that came with none: its session is the trace's id.
    #[must_use]
    pub fn of_session(session: Uuid) -> Self {
        // Zero means "no trace", and only a session that nobody drew is zero.
        let trace = session.as_u128().max(1);
        Self { trace, span: span(trace, "run"), flags: SAMPLED }
    }

    /// Returns the span of a job group in the same trace.
    #[must_use]
    pub fn of_group(self, group: GroupId) -> Self {
        Self { span: span(self.trace, &format!("job group {group}")), ..self }
    }

    /// Returns the span of an attempt in the same trace: what the work of the attempt has as its
    /// parent.
    #[must_use]
    pub fn of_attempt(self, attempt: AttemptId) -> Self {
        Self { span: span(self.trace, &format!("attempt {attempt}")), ..self }
    }

    /// Returns the id of the trace, never zero.
    #[must_use]
    pub fn trace_id(self) -> [u8; 16] {
        self.trace.to_be_bytes()
    }

    /// Returns the id of the span, never zero.
    #[must_use]
    pub fn span_id(self) -> [u8; 8] {
        self.span.to_be_bytes()
    }

    /// Tells whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The id of a span: a hash of the trace and of what the span is about.
fn span(trace: u128, about: &str) -> u64 {
    let digest = Digest::of(format!("{trace:032x} {about}").as_bytes());
    let mut id = [0; 8];
    id.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(id).max(1)
}

impl FromStr for TraceParent {
    type Err = TraceParentError;
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        parse(text).ok_or_else(|| TraceParentError(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        let part = parts.next()?;
        let is_lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = part.len() == digits && part.bytes().all(is_lower);
        fits.then(|| u128::from_str_radix(part, 16).ok()).flatten()
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    // Only a later version may say more.
    let ends = parts.next().is_none() || (1..0xff).contains(&version);
    let is_one = ends && version != 0xff && trace != 0 && span != 0;
    let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
    is_one.then_some(TraceParent { trace, span, flags })
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> String {
        trace.to_string()
    }
}

impl TryFrom<String> for TraceParent {
    type Error = TraceParentError;
    fn try_from(text: String) -> Result<Self, TraceParentError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use crate::id::JobId;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn only_what_the_standard_allows_is_read() {
        let check = |text: &str, expect: Option<&str>| {
            let read = text.parse::<TraceParent>().ok().map(|it| it.to_string());
            assert_eq!(read.as_deref(), expect, "{text}");
        };
        let known = format!("00-{TRACE}-00f067aa0ba902b7-01");
        check(&known, Some(&known));
        check(&known.replace("-01", "-00"), Some(&known.replace("-01", "-00")));
        check(&format!("cc{}-later", &known[2..]), Some(&known));
        check(&format!("cc{}", &known[2..]), Some(&known));
        check(&format!("cc{}.later", &known[2..]), None);
        check(&format!("{known}-more"), None);
        check(&format!("ff{}", &known[2..]), None);
        check(&known.to_uppercase(), None);
        check(&known.replace(TRACE, &"0".repeat(32)), None);
        check(&known.replace("00f067aa0ba902b7", &"0".repeat(16)), None);
        check(&known[..54], None);
        check(&known.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"), None);
        check("", None);
        check("é", None);
    }

    #[test]
    fn all_of_a_run_is_one_trace() {
        let session: Uuid = "0190a7c0-0000-7000-8000-0123456789ab".parse().unwrap();
        let run = TraceParent::of_session(session);
        assert_eq!(Uuid::from_bytes(run.trace_id()), session);
        let (job, group) = (JobId::new(7).unwrap(), GroupId::new(7).unwrap());
        let spans = [
            run,
            run.of_group(group),
            run.of_attempt(AttemptId { job, number: 1 }),
            run.of_attempt(AttemptId { job, number: 2 }),
        ];
        for (at, one) in spans.iter().enumerate() {
            assert_eq!(one.trace_id(), run.trace_id());
            assert!(one.is_sampled());
            let equal = spans.iter().filter(|it| it.span_id() == one.span_id());
            assert_eq!(equal.count(), 1, "span {at} is its own");
        }
        assert_eq!(run.of_group(group).of_attempt(AttemptId { job, number: 1 }), spans[2]);
        assert_eq!(TraceParent::of_session(Uuid::nil()).trace_id()[15], 1);
        let json = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<TraceParent>(&json).unwrap(), run);
        assert!(serde_json::from_str::<TraceParent>("\"00-0\"").is_err());
    }
}
