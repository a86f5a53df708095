//! A resolved value, and how a text or JSON scalar becomes one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A typed, checked value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Value {
    /// Text, also of choices and dates.
    Text(Arc<str>),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// The name of a secret, never its content.
    Secret(Arc<str>),
}

impl Value {
    /// Returns the JSON that a whole-string reference is replaced by; a secret becomes
    /// `{"$secret": "<name>"}`, which executors resolve.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_ref().into(),
            Self::Integer(number) => (*number).into(),
            Self::Number(number) => (*number).into(),
            Self::Boolean(truth) => (*truth).into(),
            Self::Secret(name) => serde_json::json!({ "$secret": name.as_ref() }),
        }
    }
}

/// The text that a reference inside a string is replaced by; a secret shows only that it is one.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.pad(text),
            Self::Integer(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Secret(_) => f.pad("(secret)"),
        }
    }
}

/// Why a value does not fit its parameter.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// It is of another type.
    #[error("expected {expected}, found `{found}`")]
    Type {
        /// What the parameter takes.
        expected: &'static str,
        /// What was given.
        found: String,
    },
}
