//! What a step asks of a machine, in words that every cluster can translate into its own.

use std::time::Duration;

use jobwright_core::{parse_bytes, parse_duration};
use serde::Deserialize;
use serde_json::Value;

use crate::local::payload::{PayloadError, mistyped};

/// What a step asks for in the payload field `resources`; what is absent is the cluster's own
/// choice. Local processes take no notice of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Processors, in thousandths of one: `cpu: 0.5` is 500.
    pub cpu_millis: Option<u32>,
    /// Memory in bytes: `memory: "4GiB"`, or a number of bytes.
    pub memory_bytes: Option<u64>,
    /// Graphics processors: `gpu: 1`.
    pub gpus: Option<u32>,
    /// The longest time that it runs: `time: "2h"`, or a number of seconds. The cluster ends it
    /// then.
    pub time: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    cpu: Value,
    #[serde(default)]
    memory: Value,
    #[serde(default)]
    gpu: Value,
    #[serde(default)]
    time: Value,
}

impl Resources {
    /// Fills what is absent from others, such as those of an executor's configuration.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.or(others.cpu_millis),
            memory_bytes: self.memory_bytes.or(others.memory_bytes),
            gpus: self.gpus.or(others.gpus),
            time: self.time.or(others.time),
        }
    }

    pub(crate) fn parse(raw: &Value) -> Result<Self, PayloadError> {
        if raw.is_null() {
            return Ok(Self::default());
        }
        if !raw.is_object() {
            return Err(mistyped("resources", "an object", raw));
        }
        let raw = Raw::deserialize(raw).map_err(PayloadError::Shape)?;
        Ok(Self {
            cpu_millis: read("resources.cpu", "a number above 0", &raw.cpu, cpu)?,
            memory_bytes: read("resources.memory", MEMORY, &raw.memory, memory)?,
            gpus: read("resources.gpu", "a whole number", &raw.gpu, |gpu| {
                u32::try_from(gpu.as_u64()?).ok()
            })?,
            time: read("resources.time", "a length of time such as `2h`", &raw.time, time)?,
        })
    }
}

const MEMORY: &str = "a number of bytes such as `512MiB`";

fn read<T>(
    field: &str,
    expected: &'static str,
    value: &Value,
    parse: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, PayloadError> {
    match value {
        Value::Null => Ok(None),
        value => parse(value).map(Some).ok_or_else(|| mistyped(field, expected, value)),
    }
}

fn cpu(value: &Value) -> Option<u32> {
    let millis = (value.as_f64()? * 1000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 1 and a billion"
    )]
    (1.0..=1e9).contains(&millis).then_some(millis as u32)
}

fn memory(value: &Value) -> Option<u64> {
    let bytes = match value {
        Value::String(text) => parse_bytes(text),
        value => value.as_u64(),
    };
    bytes.filter(|bytes| *bytes > 0)
}

fn time(value: &Value) -> Option<Duration> {
    let time = match value {
        Value::String(text) => parse_duration(text).ok()?,
        value => Duration::from_secs(value.as_u64()?),
    };
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_read_with_their_units() {
        let check = |raw: Value, expect: Resources| {
            assert_eq!(Resources::parse(&raw).unwrap(), expect, "{raw}");
        };
        check(json!(null), Resources::default());
        check(json!({"cpu": 0.5}), Resources { cpu_millis: Some(500), ..Resources::default() });
        let expect = Resources {
            cpu_millis: Some(2000),
            memory_bytes: Some(4 << 30),
            gpus: Some(1),
            time: Some(Duration::from_secs(5400)),
        };
        check(json!({"cpu": 2, "memory": "4 GiB", "gpu": 1, "time": "1h 30m"}), expect);
        check(json!({"cpu": 2, "memory": 4_294_967_296_u64, "gpu": 1, "time": 5400}), expect);
        for (raw, field) in [
            (json!({"cpu": 0}), "resources.cpu"),
            (json!({"memory": "4 apples"}), "resources.memory"),
            (json!({"gpu": 0.5}), "resources.gpu"),
            (json!({"time": "soon"}), "resources.time"),
            (json!({"disk": 1}), "unknown field `disk`"),
            (json!(3), "`resources` must be an object"),
        ] {
            let error = Resources::parse(&raw).unwrap_err().to_string();
            assert!(error.contains(field), "{raw}: {error}");
        }
    }
}
