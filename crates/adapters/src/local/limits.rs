//! What a process may use, enforced by the kernel.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::Deserialize;
use serde_json::Value;

use super::payload::{PayloadError, mistyped};

/// Limits of one process; each of its descendants has them too, each for itself.
///
/// A hook between fork and exec would forbid the fast way of spawning. So the limits are set from
/// outside, while `/bin/sh` waits in the program's place; then it becomes the program. Its script
/// is fixed, and the command reaches it as arguments, which it does not interpret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The processor time, in seconds; then SIGXCPU, which kills.
    pub cpu_seconds: Option<u64>,
    /// The address space, in bytes; then allocations fail.
    pub memory_bytes: Option<u64>,
    /// The number of open files; then opening fails.
    pub open_files: Option<u64>,
    /// The size of a file that it writes, in bytes; then SIGXFSZ, which kills.
    pub file_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    cpu_seconds: Value,
    #[serde(default)]
    memory_bytes: Value,
    #[serde(default)]
    open_files: Value,
    #[serde(default)]
    file_bytes: Value,
}

impl Limits {
    pub(crate) fn parse(raw: &Value) -> Result<Self, PayloadError> {
        if raw.is_null() {
            return Ok(Self::default());
        }
        if !raw.is_object() {
            return Err(mistyped("limits", "an object of numbers", raw));
        }
        let raw = Raw::deserialize(raw).map_err(PayloadError::Shape)?;
        let number = |field: &str, value: &Value| match value {
            Value::Null => Ok(None),
            Value::Number(number) if number.is_u64() => Ok(number.as_u64()),
            other => Err(mistyped(&format!("limits.{field}"), "a whole number", other)),
        };
        Ok(Self {
            cpu_seconds: number("cpu_seconds", &raw.cpu_seconds)?,
            memory_bytes: number("memory_bytes", &raw.memory_bytes)?,
            open_files: number("open_files", &raw.open_files)?,
            file_bytes: number("file_bytes", &raw.file_bytes)?,
        })
    }

    /// Tells whether there are any.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns the stricter of both, limit by limit: a step may narrow what the operator allows,
    /// never widen it.
    pub(crate) fn within(self, operator: Self) -> Self {
        let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        };
        Self {
            cpu_seconds: least(self.cpu_seconds, operator.cpu_seconds),
            memory_bytes: least(self.memory_bytes, operator.memory_bytes),
            open_files: least(self.open_files, operator.open_files),
            file_bytes: least(self.file_bytes, operator.file_bytes),
        }
    }

    /// Imposes the limits on a process. One that has already ended needs none.
    pub(crate) fn impose(self, pid: Pid) -> rustix::io::Result<()> {
        let limits = [
            (Resource::Cpu, self.cpu_seconds),
            (Resource::As, self.memory_bytes),
            (Resource::Nofile, self.open_files),
            (Resource::Fsize, self.file_bytes),
        ];
        for (resource, limit) in limits {
            let Some(limit) = limit else { continue };
            let both = Rlimit { current: Some(limit), maximum: Some(limit) };
            match prlimit(Some(pid), resource, both) {
                Ok(_) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
