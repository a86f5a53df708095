//! What a step asks of a local process, checked: after this, nothing in it can surprise the
//! operating system.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::limits::Limits;
use crate::remote::Resources;

/// A checked payload. No text in it holds a NUL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Payload {
    /// The program and its arguments, at least the program.
    pub(crate) command: Vec<String>,
    /// Further variables.
    pub(crate) env: Vec<(String, Setting)>,
    /// What the process reads.
    pub(crate) stdin: Option<String>,
    /// What it may use.
    pub(crate) limits: Limits,
    /// What it asks of a cluster.
    pub(crate) resources: Resources,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Setting {
    /// As written.
    Text(String),
    /// The content of the secret of this name.
    Secret(String),
}

/// Why a payload cannot be run.
#[derive(Debug, Error)]
pub(crate) enum PayloadError {
    /// It is not an object of known fields.
    #[error("the payload cannot be read: {0}")]
    Shape(#[source] serde_json::Error),
    /// A field has another type.
    #[error("payload field `{field}` must be {expected}, found {found}")]
    Type { field: String, expected: &'static str, found: &'static str },
    /// There is no program.
    #[error("payload field `command` is empty: give a program and its arguments")]
    NoProgram,
    /// An argument is a secret.
    #[error(
        "payload field `{field}` holds a secret: arguments are visible to everybody on the \
         machine, so pass it in `env`"
    )]
    SecretArgument { field: String },
    /// A variable's name is not allowed.
    #[error("payload field `env` sets {name:?}, {why}")]
    Variable { name: String, why: &'static str },
    /// A text holds a NUL.
    #[error("payload field `{field}` holds a NUL character, which no process can be given")]
    Nul { field: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    command: Value,
    #[serde(default)]
    env: Value,
    #[serde(default)]
    stdin: Value,
    #[serde(default)]
    limits: Value,
    #[serde(default)]
    resources: Value,
}

impl Payload {
    /// Reads a payload.
    pub(crate) fn parse(payload: &Value) -> Result<Self, PayloadError> {
        let raw = Raw::deserialize(payload).map_err(PayloadError::Shape)?;
        let stdin = match raw.stdin {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => return Err(mistyped("stdin", "a text", &other)),
        };
        Ok(Self {
            command: command(raw.command)?,
            env: env(raw.env)?,
            stdin,
            limits: Limits::parse(&raw.limits)?,
            resources: Resources::parse(&raw.resources)?,
        })
    }
}

fn command(raw: Value) -> Result<Vec<String>, PayloadError> {
    let Value::Array(parts) = raw else {
        return Err(mistyped("command", "a list of a program and its arguments", &raw));
    };
    let read = |(at, part): (usize, Value)| {
        let field = format!("command[{at}]");
        match setting(&field, part)? {
            Setting::Text(text) => Ok(text),
            Setting::Secret(_) => Err(PayloadError::SecretArgument { field }),
        }
    };
    let command: Vec<_> = parts.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(PayloadError::NoProgram),
    }
}

fn env(raw: Value) -> Result<Vec<(String, Setting)>, PayloadError> {
    let variables = match raw {
        Value::Null => return Ok(Vec::new()),
        Value::Object(variables) => variables,
        other => return Err(mistyped("env", "an object of texts", &other)),
    };
    let read = |(name, value): (String, Value)| match refused(&name) {
        Some(why) => Err(PayloadError::Variable { name, why }),
        None => setting(&format!("env.{name}"), value).map(|value| (name, value)),
    };
    variables.into_iter().map(read).collect()
}

/// Reads a text, number, truth value or secret. Numbers come from references, which keep the
/// type of their parameter.
fn setting(field: &str, value: Value) -> Result<Setting, PayloadError> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Object(map) if map.len() == 1 && map.contains_key("$secret") => {
            return match &map["$secret"] {
                Value::String(name) => Ok(Setting::Secret(name.clone())),
                other => Err(mistyped(&format!("{field}.$secret"), "a secret's name", other)),
            };
        }
        other => return Err(mistyped(field, "a text", &other)),
    };
    if text.contains('\0') {
        return Err(PayloadError::Nul { field: field.to_owned() });
    }
    Ok(Setting::Text(text))
}

/// Tells why a variable may not be set. The loader's and the shell's variables turn a value into
/// code; ours tell the process who it is.
fn refused(name: &str) -> Option<&'static str> {
    const PREFIXES: [&str; 3] = ["LD_", "DYLD_", "BASH_FUNC_"];
    const NAMES: [&str; 9] = [
        "PATH",
        "IFS",
        "BASH_ENV",
        "ENV",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
    ];
    if name.is_empty() || name.contains(['=', '\0']) {
        Some("which is no name of a variable")
    } else if name.starts_with("JOBWRIGHT_") {
        Some("but names that begin with `JOBWRIGHT_` are the executor's own")
    } else if NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Some("which decides what code is loaded, so only the executor may set it")
    } else {
        None
    }
}

pub(crate) fn mistyped(field: &str, expected: &'static str, found: &Value) -> PayloadError {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    PayloadError::Type { field: field.to_owned(), expected, found }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_their_field() {
        let check = |payload: Value, expect: &str| {
            let error = Payload::parse(&payload).unwrap_err().to_string();
            assert!(error.contains(expect), "{payload}: {error}");
        };
        check(json!(null), "the payload cannot be read");
        check(json!({}), "missing field `command`");
        check(json!({"command": ["x"], "shell": true}), "unknown field `shell`");
        check(json!({"command": "ls -l"}), "`command` must be a list of a program");
        check(json!({"command": []}), "`command` is empty");
        check(json!({"command": [""]}), "`command` is empty");
        check(json!({"command": ["x", ["y"]]}), "`command[1]` must be a text, found a list");
        check(json!({"command": ["x", "a\u{0}b"]}), "`command[1]` holds a NUL");
        check(json!({"command": ["x", {"$secret": "k"}]}), "`command[1]` holds a secret");
        check(json!({"command": ["x"], "env": ["A=B"]}), "`env` must be an object");
        check(json!({"command": ["x"], "env": {"A": "\u{0}"}}), "`env.A` holds a NUL");
        check(json!({"command": ["x"], "env": {"A": {"$secret": 1}}}), "`env.A.$secret` must be");
        for name in ["LD_PRELOAD", "PATH", "IFS", "ENV", "BASH_ENV", "DYLD_X", "GLIBC_TUNABLES"] {
            check(json!({"command": ["x"], "env": {name: "y"}}), "decides what code is loaded");
        }
        check(json!({"command": ["x"], "env": {"JOBWRIGHT_STEP": "y"}}), "the executor's own");
        for name in ["", "A=B", "A\u{0}"] {
            check(json!({"command": ["x"], "env": {name: "y"}}), "no name of a variable");
        }
        check(json!({"command": ["x"], "stdin": 7}), "`stdin` must be a text, found a number");
        check(json!({"command": ["x"], "limits": {"cpu_seconds": "1m"}}), "`limits.cpu_seconds`");
        check(json!({"command": ["x"], "limits": {"cpu": 1}}), "unknown field `cpu`");
        check(json!({"command": ["x"], "limits": 3}), "`limits` must be an object");
    }

    #[test]
    fn references_keep_their_types_and_become_texts() {
        let payload = json!({"command": ["x", 5, true, 1.5], "env": {"K": {"$secret": "k"}}});
        let payload = Payload::parse(&payload).unwrap();
        assert_eq!(payload.command, ["x", "5", "true", "1.5"]);
        assert_eq!(payload.env, [("K".to_owned(), Setting::Secret("k".to_owned()))]);
    }
}
