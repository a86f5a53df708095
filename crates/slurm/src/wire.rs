//! What slurmrestd answers, read with tolerance: between its versions numbers became objects
//! (`{"set": true, "infinite": false, "number": 3}`), and states became lists.

use jobwright_adapters::log::ProcessEnd;
use serde::Deserialize;
use serde_json::Value;

/// What every answer may hold: what went wrong.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Plain {
    #[serde(default)]
    pub(crate) errors: Vec<Fault>,
}

/// The answer to a submission.
#[derive(Debug, Deserialize)]
pub(crate) struct Submission {
    #[serde(default)]
    job_id: Number,
}

/// The answer to the question which jobs there are.
#[derive(Debug, Deserialize)]
pub(crate) struct Jobs {
    #[serde(default)]
    pub(crate) jobs: Vec<SlurmJob>,
}

/// One thing that went wrong.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Fault {
    #[serde(default, alias = "error_code")]
    error_number: Number,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// A job, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct SlurmJob {
    #[serde(default)]
    job_id: Number,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    job_state: Value,
    #[serde(default)]
    state_reason: Option<String>,
    #[serde(default)]
    nodes: Option<String>,
    #[serde(default)]
    exit_code: Value,
}

/// A number, plain or as an object; nothing where it is not set.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
struct Number(Option<i64>);

impl From<Value> for Number {
    fn from(value: Value) -> Self {
        Self(number(&value))
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Object(fields) if fields.get("set") != Some(&Value::Bool(false)) => {
            number(fields.get("number")?)
        }
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

impl Submission {
    pub(crate) fn job_id(&self) -> Option<i64> {
        self.job_id.0.filter(|id| *id > 0)
    }
}

impl Fault {
    pub(crate) fn number(&self) -> i64 {
        self.error_number.0.unwrap_or(-1)
    }

    /// Returns its words, for people.
    pub(crate) fn words(&self) -> String {
        match (&self.error, &self.description) {
            (Some(error), Some(description)) if error != description => {
                format!("{error}: {description}")
            }
            (Some(words), _) | (None, Some(words)) => words.clone(),
            (None, None) => "it gave no reason".to_owned(),
        }
    }
}

impl SlurmJob {
    pub(crate) fn id(&self) -> i64 {
        self.job_id.0.unwrap_or(0)
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn comment(&self) -> &str {
        self.comment.as_deref().unwrap_or_default()
    }

    pub(crate) fn reason(&self) -> &str {
        self.state_reason.as_deref().unwrap_or_default()
    }

    pub(crate) fn nodes(&self) -> &str {
        self.nodes.as_deref().unwrap_or_default()
    }

    /// Tells whether it is in a state. States of newer versions are a list, of which `COMPLETING`
    /// can be one.
    pub(crate) fn is(&self, state: &str) -> bool {
        match &self.job_state {
            Value::String(only) => only == state,
            Value::Array(states) => states.iter().any(|it| it == state),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }

    /// Returns its states as words.
    pub(crate) fn states(&self) -> String {
        match &self.job_state {
            Value::String(only) => only.clone(),
            Value::Array(states) => {
                states.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        }
    }

    /// Returns how its script ended: a wait status, or an object that takes it apart.
    pub(crate) fn exit(&self) -> ProcessEnd {
        let Value::Object(parts) = &self.exit_code else {
            let status = self.exit_code.as_i64().unwrap_or(0);
            let signal = status & 0x7f;
            return process(if signal == 0 { status >> 8 & 0xff } else { 0 }, signal);
        };
        if !parts.contains_key("return_code") {
            let status = number(&self.exit_code).unwrap_or(0);
            return process(status >> 8 & 0xff, status & 0x7f);
        }
        let signal =
            parts.get("signal").and_then(|it| it.get("id").or_else(|| it.get("signal_id")));
        let code = parts.get("return_code").and_then(number).unwrap_or(0);
        process(code, signal.and_then(number).unwrap_or(0))
    }
}

/// Takes an exit code and a signal. The script tells by 128 and more that the program was ended by
/// a signal, as shells do.
pub(crate) fn process(code: i64, signal: i64) -> ProcessEnd {
    let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    match (code, signal) {
        (_, 1..) => ProcessEnd::Signal(small(signal)),
        (129..=192, _) => ProcessEnd::Signal(small(code - 128)),
        (code, _) => ProcessEnd::Exit(small(code)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(fields: Value) -> SlurmJob {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn old_and_new_versions_say_the_same() {
        let old = job(json!({
            "job_id": 205, "name": "jobwright-68-1", "comment": "mark", "job_state": "FAILED",
            "state_reason": "NonZeroExitCode", "nodes": "n1", "exit_code": 768, "more": [1],
        }));
        let new = job(json!({
            "job_id": 205, "name": "jobwright-68-1", "comment": "mark", "job_state": ["FAILED"],
            "state_reason": "NonZeroExitCode", "nodes": "n1", "exit_code": {
                "status": ["ERROR"],
                "return_code": { "set": true, "infinite": false, "number": 3 },
                "signal": { "id": { "set": false, "infinite": false, "number": 0 }, "name": "" },
            },
        }));
        for job in [old, new] {
            assert_eq!((job.id(), job.name(), job.comment()), (205, "jobwright-68-1", "mark"));
            assert!(job.is("FAILED") && !job.is("COMPLETED"));
            assert_eq!((job.states().as_str(), job.exit()), ("FAILED", ProcessEnd::Exit(3)));
        }
    }

    #[test]
    fn ends_are_read_in_every_form() {
        let check = |exit_code: Value, expect: ProcessEnd| {
            assert_eq!(job(json!({ "exit_code": exit_code })).exit(), expect);
        };
        check(json!(0), ProcessEnd::Exit(0));
        check(json!(256), ProcessEnd::Exit(1));
        check(json!(15), ProcessEnd::Signal(15));
        check(json!(137 << 8), ProcessEnd::Signal(9));
        check(json!({ "set": true, "infinite": false, "number": 512 }), ProcessEnd::Exit(2));
        let killed = json!({ "return_code": { "set": false, "number": 0 }, "signal": {
            "signal_id": { "set": true, "number": 9 }
        } });
        check(killed, ProcessEnd::Signal(9));
        check(json!(null), ProcessEnd::Exit(0));
    }

    #[test]
    fn faults_have_numbers_and_words() {
        let check = |fault: Value, expect: (i64, &str)| {
            let fault: Fault = serde_json::from_value(fault).unwrap();
            assert_eq!((fault.number(), fault.words().as_str()), expect);
        };
        check(
            json!({ "error_code": 2000, "error": "Invalid partition" }),
            (2000, "Invalid partition"),
        );
        let described = json!({ "error_number": 2017, "error": "a", "description": "b" });
        check(described, (2017, "a: b"));
        check(json!({}), (-1, "it gave no reason"));
    }
}
