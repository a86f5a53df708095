//! Names: text that a person chose and that people read. A name never becomes a path, a shell
//! word or a part of a query; storage and processes use identifiers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most bytes that a name may have.
pub const MAX_NAME: usize = 255;

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing, or nothing but white space.
    #[error("a {kind} name is empty")]
    Empty {
        /// What the name is for.
        kind: &'static str,
    },
    /// More than [`MAX_NAME`] bytes.
    #[error("{kind} name `{start}…` has {found} bytes, {MAX_NAME} are allowed")]
    TooLong {
        /// What the name is for.
        kind: &'static str,
        /// How it begins.
        start: String,
        /// How many bytes it has.
        found: usize,
    },
    /// A control character, or white space at an end.
    #[error("{kind} name {found:?} holds {what}")]
    Character {
        /// What the name is for.
        kind: &'static str,
        /// The text found.
        found: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

fn checked(kind: &'static str, text: &str) -> Result<Arc<str>, NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Empty { kind });
    }
    if text.len() > MAX_NAME {
        let start = text.chars().take(24).collect();
        return Err(NameError::TooLong { kind, start, found: text.len() });
    }
    let refuse = |what| Err(NameError::Character { kind, found: text.to_owned(), what });
    if text.chars().any(char::is_control) {
        return refuse("a control character");
    }
    if text.trim().len() != text.len() {
        return refuse("white space at an end");
    }
    Ok(Arc::from(text))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)+) => {$(
        $(#[$doc])*
        ///
        /// One to [`MAX_NAME`] bytes, no control characters, no white space at its ends. Cheap to
        /// clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text as a name.
            ///
            /// # Errors
            /// Refuses what is empty, too long, or holds control characters or outer white space.
            pub fn new(text: &str) -> Result<Self, NameError> {
                checked($kind, text).map(Self)
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )+};
}

names! {
    /// The name of a deployment, unique in its instance.
    DeploymentName = "deployment";
    /// The name of a package.
    PackageName = "package";
    /// The name of a flow, unique in its package.
    FlowName = "flow";
    /// The name of a step, unique in its flow.
    StepName = "step";
    /// The name of an output, unique in its flow.
    OutputName = "output";
    /// The name of a parameter, unique in its flow; case-sensitive.
    ParameterName = "parameter";
    /// The name under which an engine knows an executor (`photon`, `spark`, `local`, …).
    ExecutorName = "executor";
    /// The name of a pool: a limit that steps of any flow share.
    PoolName = "pool";
    /// The name of a schedule, unique in its deployment.
    ScheduleName = "schedule";
}

impl ParameterName {
    /// Tells whether the name belongs to the environment layer: it begins with `env.`.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        self.0.starts_with("env.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_their_fault() {
        let check = |text: &str, expect: &str| {
            assert_eq!(StepName::new(text).unwrap_err().to_string(), expect);
        };
        check("", "a step name is empty");
        check(" \t", "a step name is empty");
        check("a\nb", "step name \"a\\nb\" holds a control character");
        check(" a", "step name \" a\" holds white space at an end");
        check(
            &"x".repeat(256),
            "step name `xxxxxxxxxxxxxxxxxxxxxxxx…` has 256 bytes, 255 are allowed",
        );
        assert!(StepName::new("Call Center - Customer 360 View  - COMPLETE").is_ok());
    }
}
