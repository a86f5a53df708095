//! Parameters of a native document: one flat map, of which each type takes its own fields.

use jobwright_core::ParameterName;
use jobwright_core::parameter::{Parameter, ParameterType};
use serde::Deserialize;
use serde_json::{Number, Value};
use thiserror::Error;

/// What is wrong with a declared parameter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParameterFault {
    /// A field that the type needs is missing.
    #[error("a {kind} parameter needs `{field}`")]
    Missing {
        /// The type.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field means nothing for the type.
    #[error("`{field}` means nothing for a {kind} parameter")]
    Foreign {
        /// The type.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A bound is not a whole number.
    #[error("`{field}` of an integer parameter is `{found}`, which is no whole number of 64 bits")]
    NotWhole {
        /// The field.
        field: &'static str,
        /// The number.
        found: String,
    },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Choice,
    Date,
    Secret,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Choice => "choice",
            Self::Date => "date",
            Self::Secret => "secret",
        }
    }

    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::String => &["pattern", "min_length", "max_length"],
            Self::Integer | Self::Number => &["min", "max"],
            Self::Boolean | Self::Secret => &[],
            Self::Choice => &["choices"],
            Self::Date => &["format", "zone", "offset"],
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterDocument {
    #[serde(rename = "type")]
    kind: Kind,
    default: Option<Value>,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    description: String,
    pattern: Option<String>,
    min_length: Option<u32>,
    max_length: Option<u32>,
    min: Option<Number>,
    max: Option<Number>,
    choices: Option<Vec<String>>,
    format: Option<String>,
    zone: Option<String>,
    offset: Option<String>,
}

impl ParameterDocument {
    /// Turns the document into a parameter, and refuses fields that its type does not have.
    pub(super) fn convert(self, name: ParameterName) -> Result<Parameter, ParameterFault> {
        let given = [
            ("pattern", self.pattern.is_some()),
            ("min_length", self.min_length.is_some()),
            ("max_length", self.max_length.is_some()),
            ("min", self.min.is_some()),
            ("max", self.max.is_some()),
            ("choices", self.choices.is_some()),
            ("format", self.format.is_some()),
            ("zone", self.zone.is_some()),
            ("offset", self.offset.is_some()),
        ];
        let (word, fields) = (self.kind.as_str(), self.kind.fields());
        for (field, given) in given {
            if given && !fields.contains(&field) {
                return Err(ParameterFault::Foreign { kind: word, field });
            }
        }
        let missing = |field| ParameterFault::Missing { kind: word, field };
        let kind = match self.kind {
            Kind::String => ParameterType::String {
                pattern: self.pattern,
                min_length: self.min_length,
                max_length: self.max_length,
            },
            Kind::Integer => ParameterType::Integer {
                min: self.min.map(|bound| whole("min", &bound)).transpose()?,
                max: self.max.map(|bound| whole("max", &bound)).transpose()?,
            },
            Kind::Number => ParameterType::Number {
                min: self.min.and_then(|bound| bound.as_f64()),
                max: self.max.and_then(|bound| bound.as_f64()),
            },
            Kind::Boolean => ParameterType::Boolean {},
            Kind::Choice => {
                ParameterType::Choice { choices: self.choices.ok_or_else(|| missing("choices"))? }
            }
            Kind::Date => ParameterType::Date {
                format: self.format.ok_or_else(|| missing("format"))?,
                zone: self.zone.unwrap_or_else(|| "UTC".to_owned()),
                offset: self.offset.unwrap_or_default(),
            },
            Kind::Secret => ParameterType::Secret {},
        };
        let (default, locked, description) = (self.default, self.locked, self.description);
        Ok(Parameter { name, kind, default, locked, description })
    }
}

fn whole(field: &'static str, bound: &Number) -> Result<i64, ParameterFault> {
    let found = || ParameterFault::NotWhole { field, found: bound.to_string() };
    bound.as_i64().ok_or_else(found)
}
