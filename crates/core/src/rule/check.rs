//! What can be wrong with a rule, before it meets a package.

use thiserror::Error;

use super::apply::CONNECTIONS;
use super::location::Place;
use super::{ObjectRule, ValueRule};
use crate::parameter::pattern;
use crate::parameter::{MAX_PATTERN, PatternError};

/// The most bytes that a replacement may have.
const MAX_WITH: usize = 4_096;

/// One thing that is wrong with an object rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ObjectRuleError {
    /// Its objects cannot be replaced.
    #[error("table `{found}` cannot be remapped, only `{CONNECTIONS}` can")]
    Table {
        /// The table.
        found: String,
    },
    /// It would match every object.
    #[error("`onCondition` is empty: name at least one field of the connection")]
    NoCondition,
    /// It changes nothing.
    #[error("`withCondition` is empty: name at least one field to replace")]
    NoReplacement,
    /// A field cannot be compared or set, since it is no text, number or boolean.
    #[error("field `{field}` of `{condition}` is no text, number or boolean")]
    Field {
        /// `onCondition` or `withCondition`.
        condition: &'static str,
        /// The field.
        field: String,
    },
}

/// One thing that is wrong with a value rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueRuleError {
    /// There are no values of this type.
    #[error("values of type `{found}` cannot be remapped, only those of {}", Place::words())]
    Kind {
        /// The type.
        found: String,
    },
    /// It looks for nothing.
    #[error("`on` is empty")]
    Empty,
    /// It looks for more than it may.
    #[error("`on` has {found} bytes, {MAX_PATTERN} are allowed")]
    TooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// What stands between the slashes is no usable regular expression.
    #[error("`on`: {0}; a literal does not both begin and end with a slash")]
    Pattern(PatternError),
    /// The expression also matches where nothing is.
    #[error("`on`: `{pattern}` matches the empty text")]
    EmptyMatch {
        /// The expression.
        pattern: String,
    },
    /// The replacement cannot be part of a location.
    #[error("`with` has more than {MAX_WITH} bytes or a control character")]
    With,
}

impl ObjectRule {
    /// Checks the rule by itself.
    ///
    /// # Errors
    /// Returns every fault; never an empty list.
    pub fn check(&self) -> Result<(), Vec<ObjectRuleError>> {
        let mut faults = Vec::new();
        if self.table_name != CONNECTIONS {
            faults.push(ObjectRuleError::Table { found: self.table_name.clone() });
        }
        if self.on_condition.is_empty() {
            faults.push(ObjectRuleError::NoCondition);
        }
        if self.with_condition.is_empty() {
            faults.push(ObjectRuleError::NoReplacement);
        }
        let on = self.on_condition.iter().map(|field| ("onCondition", field));
        let with = self.with_condition.iter().map(|field| ("withCondition", field));
        for (condition, (field, value)) in on.chain(with) {
            if !(value.is_string() || value.is_number() || value.is_boolean()) {
                faults.push(ObjectRuleError::Field { condition, field: field.clone() });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl ValueRule {
    /// Checks the rule by itself.
    ///
    /// # Errors
    /// Returns every fault; never an empty list.
    pub fn check(&self) -> Result<(), Vec<ValueRuleError>> {
        let mut faults = Vec::new();
        if Place::of(&self.kind).is_none() {
            faults.push(ValueRuleError::Kind { found: self.kind.clone() });
        }
        faults.extend(self.check_on());
        if self.with.len() > MAX_WITH || self.with.contains(char::is_control) {
            faults.push(ValueRuleError::With);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn check_on(&self) -> Option<ValueRuleError> {
        if self.on.is_empty() {
            return Some(ValueRuleError::Empty);
        }
        let Some(expression) = self.expression() else {
            let found = self.on.len();
            return (found > MAX_PATTERN).then_some(ValueRuleError::TooLong { found });
        };
        match pattern::anywhere(expression) {
            Err(error) => Some(ValueRuleError::Pattern(error)),
            Ok(pattern) if pattern.is_match("") => {
                Some(ValueRuleError::EmptyMatch { pattern: expression.to_owned() })
            }
            Ok(_) => None,
        }
    }

    /// Returns what stands between the slashes of an `on` that is a regular expression.
    pub(super) fn expression(&self) -> Option<&str> {
        self.on.strip_prefix('/')?.strip_suffix('/')
    }
}
