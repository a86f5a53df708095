//! What can be wrong with the declaration of a parameter, before anybody gives it a value.

use std::collections::BTreeSet;

use thiserror::Error;

use super::pattern::{self, PatternError};
use super::value::ValueError;
use super::{Parameter, ParameterType, date};
use crate::time::Timestamp;

/// One thing that is wrong with the declaration of a parameter.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum DeclarationError {
    /// The name belongs to the environment.
    #[error("names that begin with `env.` belong to the environment: choose another")]
    Reserved,
    /// The pattern is no usable regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No value lies between the bounds.
    #[error("nothing lies between the least value {min} and the greatest {max}")]
    Bounds {
        /// The least value or length.
        min: String,
        /// The greatest.
        max: String,
    },
    /// A bound is not a finite number.
    #[error("bound {found} is not a finite number")]
    NotFinite {
        /// The bound.
        found: String,
    },
    /// There is nothing to choose from.
    #[error("it has no choices")]
    NoChoices,
    /// A choice stands there twice.
    #[error("choice `{choice}` stands there twice")]
    DuplicateChoice {
        /// The choice.
        choice: String,
    },
    /// A choice cannot be a value.
    #[error("choice {index}: {error}")]
    Choice {
        /// Which, from 0.
        index: usize,
        /// Why not.
        error: ValueError,
    },
    /// The date format cannot be written.
    #[error("date format `{format}`: {reason}")]
    Format {
        /// The format.
        format: String,
        /// Why not.
        reason: String,
    },
    /// There is no such time zone.
    #[error("`{zone}` is not an IANA time zone such as `Europe/Berlin`")]
    Zone {
        /// The zone.
        zone: String,
    },
    /// The offset is no span of time, or leads out of the calendar.
    #[error("date offset `{offset}` is not a span such as `-1d` or `2 months`: {reason}")]
    Offset {
        /// The offset.
        offset: String,
        /// Why not.
        reason: String,
    },
    /// An offset moves the reference date; a default replaces it.
    #[error("it has both a default and an offset: keep one")]
    OffsetAndDefault,
    /// Nothing may ever give it a value.
    #[error("it is locked and has no default, so nothing can give it a value")]
    LockedWithoutDefault,
    /// The default does not fit.
    #[error("its default: {0}")]
    Default(ValueError),
}

impl Parameter {
    /// Checks the declaration: its constraints can be met, and its default meets them.
    ///
    /// # Errors
    /// Returns every fault; never an empty list.
    pub fn check(&self) -> Result<(), Vec<DeclarationError>> {
        let mut faults = Vec::new();
        if self.name.is_environment() {
            faults.push(DeclarationError::Reserved);
        }
        faults.extend(self.kind.check());
        let has_offset =
            matches!(&self.kind, ParameterType::Date { offset, .. } if !offset.is_empty());
        if has_offset && self.default.is_some() {
            faults.push(DeclarationError::OffsetAndDefault);
        }
        match self.default_value(Timestamp::default()) {
            Ok(None) if self.locked && faults.is_empty() => {
                faults.push(DeclarationError::LockedWithoutDefault);
            }
            // What a broken constraint does to the default is no fault of its own.
            Err(error) if faults.is_empty() => faults.push(DeclarationError::Default(error)),
            Ok(_) | Err(_) => {}
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl ParameterType {
    fn check(&self) -> Vec<DeclarationError> {
        match self {
            Self::String { pattern, min_length, max_length } => {
                let broken = pattern.as_deref().and_then(|it| pattern::whole(it).err());
                let max_length = max_length.or(Some(super::value::MAX_TEXT));
                let crossed = crossed(*min_length, max_length);
                broken.map(DeclarationError::Pattern).into_iter().chain(crossed).collect()
            }
            Self::Integer { min, max } => crossed(*min, *max).into_iter().collect(),
            Self::Number { min, max } => {
                let endless = [min, max].into_iter().flatten().filter(|it| !it.is_finite());
                let endless =
                    endless.map(|it| DeclarationError::NotFinite { found: it.to_string() });
                endless.chain(crossed(*min, *max)).collect()
            }
            Self::Choice { choices } => check_choices(self, choices),
            Self::Date { format, zone, offset } => date::check(format, zone, offset),
            Self::Boolean {} | Self::Secret {} => Vec::new(),
        }
    }
}

fn crossed<T: PartialOrd + ToString>(min: Option<T>, max: Option<T>) -> Option<DeclarationError> {
    let (min, max) = min.zip(max)?;
    (min > max).then(|| DeclarationError::Bounds { min: min.to_string(), max: max.to_string() })
}

fn check_choices(kind: &ParameterType, choices: &[String]) -> Vec<DeclarationError> {
    if choices.is_empty() {
        return vec![DeclarationError::NoChoices];
    }
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        if !seen.insert(choice) {
            faults.push(DeclarationError::DuplicateChoice { choice: choice.clone() });
        }
        let unfit = kind.parse(&choice.as_str().into()).err();
        faults.extend(unfit.map(|error| DeclarationError::Choice { index, error }));
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_declaration_is_refused_with_all_its_faults() {
        let check = |mut declared: serde_json::Value, expect: &[&str]| {
            if declared.get("name").is_none() {
                declared["name"] = "it".into();
            }
            let parameter: Parameter = serde_json::from_value(declared).unwrap();
            let faults = parameter.check().err().unwrap_or_default();
            let found: Vec<_> = faults.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), expect.len(), "{found:?}");
            for (found, expect) in found.iter().zip(expect) {
                assert!(found.starts_with(expect), "{found}");
            }
        };
        check(json!({ "type": "string" }), &[]);
        check(json!({ "type": "secret", "default": "warehouse" }), &[]);
        check(json!({ "type": "secret", "default": 1 }), &["its default: expected the name of"]);
        check(
            json!({ "name": "env.x", "type": "string", "pattern": "a)|(b" }),
            &["names that begin with `env.` belong", "`a)|(b` is not a regular expression: "],
        );
        check(
            json!({ "type": "string", "pattern": "a{999}{999}" }),
            &["`a{999}{999}` is not a regular expression: "],
        );
        check(
            json!({ "type": "string", "pattern": "a".repeat(1001) }),
            &["the pattern has 1001 bytes, 1000 are allowed"],
        );
        check(
            json!({ "type": "string", "min_length": 70_000 }),
            &["nothing lies between the least value 70000 and the greatest 65536"],
        );
        check(
            json!({ "type": "integer", "min": 3, "max": 1, "default": 2 }),
            &["nothing lies between the least value 3 and the greatest 1"],
        );
        check(
            json!({ "type": "number", "default": "x" }),
            &["its default: expected a finite number, found the text `x`"],
        );
        check(json!({ "type": "choice", "choices": [] }), &["it has no choices"]);
        check(
            json!({ "type": "choice", "choices": ["a", "a", "\0"] }),
            &["choice `a` stands there twice", "choice 2: the text holds a NUL"],
        );
        check(
            json!({ "type": "choice", "choices": ["a"], "default": "b" }),
            &["its default: expected one of `a`, found `b`"],
        );
        check(
            json!({ "type": "date", "format": "%Q %!", "zone": "Mars/Base", "offset": "soon" }),
            &[
                "`Mars/Base` is not an IANA time zone",
                "date format `%Q %!`: ",
                "date offset `soon` is not a span",
            ],
        );
        check(
            json!({ "type": "date", "format": "%n" }),
            &["date format `%n`: it writes a control character"],
        );
        check(
            json!({ "type": "date", "format": "", "offset": "1d", "default": "" }),
            &["date format ``: expected 1 to 255 bytes", "it has both a default and an offset"],
        );
        check(json!({ "type": "boolean", "locked": true }), &["it is locked and has no default"]);
        check(json!({ "type": "date", "format": "%F", "locked": true }), &[]);
    }

    #[test]
    fn a_bound_made_by_a_program_may_be_no_number() {
        let parameter = Parameter {
            name: "it".try_into().unwrap(),
            kind: ParameterType::Number { min: Some(f64::NAN), max: None },
            default: None,
            locked: false,
            description: String::new(),
        };
        assert_eq!(
            parameter.check(),
            Err(vec![DeclarationError::NotFinite { found: "NaN".to_owned() }])
        );
    }

    #[test]
    fn an_unknown_constraint_is_refused_and_a_known_one_is_written_back() {
        let typo = json!({ "name": "it", "type": "string", "patern": "a" });
        let error = serde_json::from_value::<Parameter>(typo).unwrap_err();
        assert!(error.to_string().contains("unknown field `patern`"), "{error}");
        let declared = json!({ "name": "it", "type": "integer", "min": 1, "default": 2,
                               "locked": true, "description": "rows" });
        let parameter: Parameter = serde_json::from_value(declared.clone()).unwrap();
        assert_eq!(serde_json::to_value(&parameter).unwrap(), declared);
    }
}
