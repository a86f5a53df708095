//! The body of a webhook: a text in which `$name` and `${name}` are replaced by what is known of
//! the group that ended; `$$` is a `$`. One pass: what is put in is never looked at again. Values
//! are escaped as inside a JSON string, so that no value can leave its place.

use thiserror::Error;

use crate::near::Nearest;

/// What a body may speak of. `jobId` is the job group, as clients know it.
pub const VARIABLES: [&str; 12] = [
    "deliveryId",
    "deploymentId",
    "deploymentName",
    "endedAt",
    "event",
    "flowRunId",
    "jobGroupId",
    "jobId",
    "jobStatus",
    "outputs",
    "releaseId",
    "sessionId",
];

/// The most bytes of a body before it is filled.
const MAX: usize = 64 << 10;

/// A body that can be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body<'t>(Vec<Part<'t>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Variable(&'t str),
}

/// Why a body cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// There is no such variable.
    #[error("there is no variable `{name}`{}", .near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The name found.
        name: String,
        /// One that looks like it.
        near: Option<&'static str>,
    },
    /// A `$` names nothing.
    #[error("the `$` at byte {0} names nothing: write `$$` for a `$`")]
    Nothing(usize),
    /// It is too long.
    #[error("it has {0} bytes, at most {MAX} are kept")]
    Long(usize),
}

impl<'t> Body<'t> {
    /// Reads a body.
    ///
    /// # Errors
    /// Names the first thing that cannot be filled.
    pub fn parse(text: &'t str) -> Result<Self, BodyError> {
        if text.len() > MAX {
            return Err(BodyError::Long(text.len()));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find('$') {
            parts.push(Part::Text(&rest[..at]));
            let after = &rest[at + 1..];
            if let Some(behind) = after.strip_prefix('$') {
                parts.push(Part::Text("$"));
                rest = behind;
                continue;
            }
            let nothing = || BodyError::Nothing(text.len() - after.len() - 1);
            let (name, behind) = match after.strip_prefix('{') {
                Some(inner) => inner.split_once('}').ok_or_else(nothing)?,
                None => {
                    let end = after.find(|it: char| !it.is_ascii_alphanumeric());
                    after.split_at(end.unwrap_or(after.len()))
                }
            };
            if name.is_empty() {
                return Err(nothing());
            }
            if !VARIABLES.contains(&name) {
                let name: String = name.chars().take(64).collect();
                let near = Nearest::default().find(&name, VARIABLES);
                return Err(BodyError::Unknown { name, near });
            }
            parts.push(Part::Variable(name));
            rest = behind;
        }
        parts.push(Part::Text(rest));
        Ok(Self(parts))
    }

    /// Fills the body: `value` gives the value of a variable.
    #[must_use]
    pub fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Variable(name) => {
                    let quoted = serde_json::Value::from(value(name)).to_string();
                    filled.push_str(quoted.trim_start_matches('"').strip_suffix('"').unwrap_or(""));
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, &str>) {
        let value = |name: &str| match name {
            "jobId" => "33".to_owned(),
            "deploymentName" => "a \"b\"\n$jobId \\".to_owned(),
            other => format!("<{other}>"),
        };
        let found = Body::parse(text).map(|body| body.fill(value));
        assert_eq!(
            found.map_err(|it| it.to_string()),
            expect.map(str::to_owned).map_err(str::to_owned)
        );
    }

    #[test]
    fn bodies_are_filled_once() {
        check("", Ok(""));
        check(r#"{"job_id":"$jobId"}"#, Ok(r#"{"job_id":"33"}"#));
        check("$jobId$jobId ${jobId}s $$jobId", Ok("3333 33s $jobId"));
        check(r#"{"n":"$deploymentName"}"#, Ok(r#"{"n":"a \"b\"\n$jobId \\"}"#));
        check("$jobStatus.$event", Ok("<jobStatus>.<event>"));
        check("a $", Err("the `$` at byte 2 names nothing: write `$$` for a `$`"));
        check("${jobId", Err("the `$` at byte 0 names nothing: write `$$` for a `$`"));
        check("$ jobId", Err("the `$` at byte 0 names nothing: write `$$` for a `$`"));
        check("$jobStatu", Err("there is no variable `jobStatu`, did you mean `jobStatus`?"));
        check("${zzzzzz}", Err("there is no variable `zzzzzz`"));
        let long = "x".repeat(MAX + 1);
        check(&long, Err("it has 65537 bytes, at most 65536 are kept"));
    }
}
