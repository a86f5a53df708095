//! Parameters: declared once, resolved once per run, by the same function for preview and run.
//!
//! ```text
//! flow default < environment < release < deployment < schedule < run      (weakest first)
//! ```
//!
//! A flow declares its parameters; the environment's have names that begin with `env.` and belong
//! to every flow. [`Parameter::check`] judges a declaration, [`Parameter::parse`] one value, and
//! [`resolve`] everything that a run is given. Nothing here reads a clock: "now" is the run's
//! reference date.

mod check;
mod date;
pub(crate) mod pattern;
mod resolve;
mod value;

use serde::{Deserialize, Serialize};

use crate::name::ParameterName;

pub use check::DeclarationError;
pub use pattern::MAX_PATTERN;
pub use pattern::PatternError;
pub use resolve::Fault;
pub use resolve::Layers;
pub use resolve::Resolution;
pub use resolve::ResolveError;
pub use resolve::Resolved;
pub use resolve::Shadowed;
pub use resolve::resolve;
pub use value::MAX_TEXT;
pub use value::Value;
pub use value::ValueError;

/// Values as somebody gave them, before they are checked: by name, a JSON scalar or the string
/// that the wire sends for every type.
pub type Values = std::collections::BTreeMap<ParameterName, serde_json::Value>;

/// A value that a flow asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, unique in the flow.
    pub name: ParameterName,
    /// What values it takes.
    #[serde(flatten)]
    pub kind: ParameterType,
    /// The value where no layer gives one; a parameter without it must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// Only the flow's default and the environment may set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What values a parameter takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ParameterType {
    /// Text.
    String {
        /// A regular expression that the whole text must match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// The fewest characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_length: Option<u32>,
        /// The most characters; 65,536 where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_length: Option<u32>,
    },
    /// A whole number of 64 bits.
    Integer {
        /// The least value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<i64>,
        /// The greatest value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<i64>,
    },
    /// A finite number of double precision.
    Number {
        /// The least value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// The greatest value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// `true` or `false`.
    Boolean {},
    /// One of some texts; the first is the default where none is given.
    Choice {
        /// The texts.
        choices: Vec<String>,
    },
    /// A date or time as text, by default the run's reference date.
    Date {
        /// How it is written, in `strftime` words.
        format: String,
        /// In which IANA zone.
        #[serde(default = "utc")]
        zone: String,
        /// How far the default lies from the reference date, such as `-1d`, `2 months`, `-1h 30m`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        offset: String,
    },
    /// A reference to a secret: the name under which the engine's secret source knows it.
    Secret {},
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The parameter's own default.
    Default,
    /// The instance-wide environment.
    Environment,
    /// Values frozen with the release.
    Release,
    /// Values of the deployment.
    Deployment,
    /// Values of the schedule that started the run.
    Schedule,
    /// Values of the one run.
    Run,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Default => "flow default",
            Self::Environment => "environment",
            Self::Release => "release",
            Self::Deployment => "deployment",
            Self::Schedule => "schedule",
            Self::Run => "run",
        })
    }
}
