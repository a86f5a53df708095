//! A resolved value, and how a text or JSON scalar becomes one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::check::DeclarationError;
use super::{Parameter, ParameterType, date, pattern};
use crate::name::MAX_NAME;
use crate::time::Timestamp;

/// The most characters of a text whose parameter says nothing about its length.
pub const MAX_TEXT: u32 = 65_536;

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

/// Why a value does not fit its parameter. What was found is cut to a readable length; it is never
/// told of a secret, since people put contents where names belong.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// It is of another type.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What the parameter takes.
        expected: &'static str,
        /// What was given, with its type.
        found: String,
    },
    /// It holds the character NUL, which ends a text in the processes that get it.
    #[error("the text holds a NUL character at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// It has too few characters.
    #[error("expected at least {min} characters, found {found}")]
    TooShort {
        /// The fewest allowed.
        min: u32,
        /// How many it has.
        found: usize,
    },
    /// It has too many characters.
    #[error("expected at most {max} characters, found {found}")]
    TooLong {
        /// The most allowed.
        max: u32,
        /// How many it has.
        found: usize,
    },
    /// It does not match the pattern as a whole.
    #[error("`{found}` does not match `{pattern}` as a whole")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What was given.
        found: String,
    },
    /// It is less than allowed.
    #[error("expected at least {min}, found {found}")]
    TooSmall {
        /// The least allowed.
        min: String,
        /// What was given.
        found: String,
    },
    /// It is greater than allowed.
    #[error("expected at most {max}, found {found}")]
    TooLarge {
        /// The greatest allowed.
        max: String,
        /// What was given.
        found: String,
    },
    /// It is none of the choices.
    #[error("expected one of {}, found `{found}`", spelled(.choices))]
    Choice {
        /// The choices.
        choices: Vec<String>,
        /// What was given.
        found: String,
    },
    /// It is not written in the parameter's date format, or is no date.
    #[error("`{found}` is not a date written as `{format}`: {reason}")]
    Date {
        /// The format, in `strptime` words.
        format: String,
        /// What was given.
        found: String,
        /// Where reading it ended.
        reason: String,
    },
    /// The default lies outside the years that dates can have.
    #[error(
        "the reference date {reference_date} with offset `{offset}` is no date of years -9999 to 9999"
    )]
    Unreachable {
        /// What "now" means for the run.
        reference_date: Timestamp,
        /// How far the default lies from it.
        offset: String,
    },
    /// It cannot be the name of a secret.
    #[error(
        "expected the name of a secret: 1 to {MAX_NAME} bytes of text without control characters"
    )]
    SecretName,
    /// Nothing fits, because the parameter itself is declared wrongly.
    #[error("the parameter is declared wrongly: {0}")]
    Declaration(Box<DeclarationError>),
}

fn spelled(choices: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<_> = choices.iter().take(SHOWN).map(|it| format!("`{}`", cut(it))).collect();
    if choices.len() > SHOWN {
        text.push(format!("{} more", choices.len() - SHOWN));
    }
    text.join(", ")
}

/// Cuts a text to a length that is pleasant in a message, and shows its control characters as
/// escapes, so that nobody can write lines into a log.
fn cut(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

impl Parameter {
    /// Checks one given value: a JSON scalar of the parameter's type, or the string that the wire
    /// sends for every type (`"02"` is the integer 2). Nothing else is converted: a number is no
    /// text.
    ///
    /// # Errors
    /// Says what was expected and what was found.
    pub fn parse(&self, given: &serde_json::Value) -> Result<Value, ValueError> {
        self.kind.parse(given)
    }

    /// Returns the value where no layer gives one: the declared default, else the first choice, or
    /// the reference date moved by the offset. None where a value must be given.
    ///
    /// # Errors
    /// As [`Parameter::parse`], and where the date is out of reach.
    pub fn default_value(&self, reference_date: Timestamp) -> Result<Option<Value>, ValueError> {
        match (&self.default, &self.kind) {
            (Some(given), _) => self.parse(given).map(Some),
            (None, ParameterType::Choice { choices }) => {
                choices.first().map(|first| text(first, None, None)).transpose()
            }
            (None, ParameterType::Date { format, zone, offset }) => {
                date::default(reference_date, format, zone, offset).map(Some)
            }
            (None, _) => Ok(None),
        }
    }
}

impl ParameterType {
    /// Checks one given value; see [`Parameter::parse`].
    pub(crate) fn parse(&self, given: &serde_json::Value) -> Result<Value, ValueError> {
        let expected = self.expected();
        if let Self::Secret {} = self {
            return given.as_str().ok_or(ValueError::SecretName).and_then(secret);
        }
        let refuse = || ValueError::Type { expected, found: described(given) };
        match self {
            Self::String { pattern, min_length, max_length } => {
                let given = given.as_str().ok_or_else(refuse)?;
                matching(text(given, *min_length, *max_length)?, pattern.as_deref(), given)
            }
            Self::Integer { min, max } => {
                let number = scalar(given, serde_json::Value::as_i64).ok_or_else(refuse)?;
                bounded(number, *min, *max).map(Value::Integer)
            }
            Self::Number { min, max } => {
                let number = scalar(given, serde_json::Value::as_f64).ok_or_else(refuse)?;
                if !number.is_finite() {
                    return Err(refuse());
                }
                // Minus zero is zero: two ways to write one value must not give two digests.
                bounded(number + 0.0, *min, *max).map(Value::Number)
            }
            Self::Boolean {} => {
                scalar(given, serde_json::Value::as_bool).map(Value::Boolean).ok_or_else(refuse)
            }
            Self::Choice { choices } => {
                let found = given.as_str().ok_or_else(refuse)?;
                if !choices.iter().any(|choice| choice == found) {
                    let (choices, found) = (choices.clone(), cut(found));
                    return Err(ValueError::Choice { choices, found });
                }
                text(found, None, None)
            }
            Self::Date { format, .. } => {
                let found = given.as_str().ok_or_else(refuse)?;
                date::parse(found, format).map_err(|reason| ValueError::Date {
                    format: format.clone(),
                    found: cut(found),
                    reason,
                })
            }
            Self::Secret {} => Err(refuse()),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::String { .. } => "text",
            Self::Integer { .. } => "a whole number of 64 bits",
            Self::Number { .. } => "a finite number",
            Self::Boolean {} => "true or false",
            Self::Choice { .. } => "one of the choices as text",
            Self::Date { .. } => "a date as text",
            Self::Secret {} => "the name of a secret",
        }
    }
}

/// Takes a JSON scalar of the type, or the type's text form in a string.
fn scalar<T: std::str::FromStr>(
    given: &serde_json::Value,
    typed: impl Fn(&serde_json::Value) -> Option<T>,
) -> Option<T> {
    match given {
        serde_json::Value::String(text) => text.parse().ok(),
        _ => typed(given),
    }
}

fn bounded<T: PartialOrd + fmt::Display>(
    found: T,
    min: Option<T>,
    max: Option<T>,
) -> Result<T, ValueError> {
    if let Some(min) = min.filter(|min| found < *min) {
        return Err(ValueError::TooSmall { min: min.to_string(), found: found.to_string() });
    }
    if let Some(max) = max.filter(|max| found > *max) {
        return Err(ValueError::TooLarge { max: max.to_string(), found: found.to_string() });
    }
    Ok(found)
}

fn text(given: &str, min: Option<u32>, max: Option<u32>) -> Result<Value, ValueError> {
    if let Some(at) = given.find('\0') {
        return Err(ValueError::Nul { at });
    }
    let found = given.chars().count();
    let (min, max) = (min.unwrap_or(0), max.unwrap_or(MAX_TEXT));
    if found < min as usize {
        return Err(ValueError::TooShort { min, found });
    }
    if found > max as usize {
        return Err(ValueError::TooLong { max, found });
    }
    Ok(Value::Text(given.into()))
}

fn matching(value: Value, expression: Option<&str>, given: &str) -> Result<Value, ValueError> {
    let Some(expression) = expression else { return Ok(value) };
    let whole = pattern::whole(expression)
        .map_err(|error| ValueError::Declaration(Box::new(DeclarationError::Pattern(error))))?;
    if whole.is_match(given) {
        return Ok(value);
    }
    Err(ValueError::Pattern { pattern: expression.to_owned(), found: cut(given) })
}

fn secret(name: &str) -> Result<Value, ValueError> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control);
    if fits { Ok(Value::Secret(name.into())) } else { Err(ValueError::SecretName) }
}

/// Names a given value with its type, so that `12` and `"12"` differ in a message.
fn described(given: &serde_json::Value) -> String {
    match given {
        serde_json::Value::Null => "null".to_owned(),
        serde_json::Value::Bool(truth) => format!("the boolean {truth}"),
        serde_json::Value::Number(number) => format!("the number {number}"),
        serde_json::Value::String(text) => format!("the text `{}`", cut(text)),
        serde_json::Value::Array(_) => "a list".to_owned(),
        serde_json::Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(mut declared: serde_json::Value) -> Parameter {
        declared["name"] = "it".into();
        serde_json::from_value(declared).unwrap()
    }

    /// Parses each given value and compares the value, or the message of the error.
    fn check(declared: serde_json::Value, cases: &[(serde_json::Value, &str)]) {
        let parameter = parameter(declared);
        for (given, expect) in cases {
            let found = match parameter.parse(given) {
                Ok(value) => format!("{value:?}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, *expect, "{given} for {parameter:?}");
        }
    }

    #[test]
    fn texts_fit_by_length_and_pattern() {
        check(
            json!({ "type": "string", "pattern": "a|ab", "min_length": 1, "max_length": 3 }),
            &[
                (json!("ab"), r#"Text("ab")"#),
                (json!("abc"), "`abc` does not match `a|ab` as a whole"),
                (json!("a\n"), "`a\\n` does not match `a|ab` as a whole"),
                (json!(""), "expected at least 1 characters, found 0"),
                (json!("aaaa"), "expected at most 3 characters, found 4"),
                (json!("a\0"), "the text holds a NUL character at byte 1"),
                (json!(1), "expected text, found the number 1"),
                (json!(null), "expected text, found null"),
                (json!(["a"]), "expected text, found a list"),
            ],
        );
        let long = "ü".repeat(MAX_TEXT as usize + 1);
        let message = "expected at most 65536 characters, found 65537";
        check(json!({ "type": "string" }), &[(json!(long), message)]);
    }

    #[test]
    fn numbers_come_as_numbers_or_as_the_text_of_the_wire() {
        check(
            json!({ "type": "integer", "min": -1, "max": 9_007_199_254_740_993_i64 }),
            &[
                (json!(2), "Integer(2)"),
                (json!("02"), "Integer(2)"),
                (json!("9007199254740993"), "Integer(9007199254740993)"),
                (json!(-2), "expected at least -1, found -2"),
                (json!(i64::MAX), "expected at most 9007199254740993, found 9223372036854775807"),
                (json!(2.0), "expected a whole number of 64 bits, found the number 2.0"),
                (json!("2.0"), "expected a whole number of 64 bits, found the text `2.0`"),
                (json!(" 2"), "expected a whole number of 64 bits, found the text ` 2`"),
                (
                    json!(u64::MAX),
                    "expected a whole number of 64 bits, found the number 18446744073709551615",
                ),
                (json!(true), "expected a whole number of 64 bits, found the boolean true"),
            ],
        );
        check(
            json!({ "type": "number", "max": 10 }),
            &[
                (json!(1), "Number(1.0)"),
                (json!("1e1"), "Number(10.0)"),
                (json!("-0"), "Number(0.0)"),
                (json!(10.5), "expected at most 10, found 10.5"),
                (json!("NaN"), "expected a finite number, found the text `NaN`"),
                (json!("1e999"), "expected a finite number, found the text `1e999`"),
            ],
        );
        check(
            json!({ "type": "boolean" }),
            &[
                (json!(true), "Boolean(true)"),
                (json!("false"), "Boolean(false)"),
                (json!("yes"), "expected true or false, found the text `yes`"),
                (json!(0), "expected true or false, found the number 0"),
            ],
        );
    }

    #[test]
    fn choices_dates_and_secrets_are_texts_of_their_own() {
        check(
            json!({ "type": "choice", "choices": ["a", "b"] }),
            &[
                (json!("b"), r#"Text("b")"#),
                (json!("B"), "expected one of `a`, `b`, found `B`"),
                (json!(1), "expected one of the choices as text, found the number 1"),
            ],
        );
        check(
            json!({ "type": "date", "format": "%d.%m.%Y", "offset": "-1d" }),
            &[(json!("29.02.2024"), r#"Text("29.02.2024")"#)],
        );
        for bad in ["29.02.2023", "2024-02-29", "", "29.02.2024\n", "29.02.2024 x"] {
            let date = parameter(json!({ "type": "date", "format": "%d.%m.%Y" }));
            let error = date.parse(&json!(bad)).unwrap_err().to_string();
            let start = format!("`{}` is not a date written as `%d.%m.%Y`: ", cut(bad));
            assert!(error.starts_with(&start) && error.len() > start.len(), "{error}");
        }
        let secret = "expected the name of a secret: 1 to 255 bytes of text without control \
                      characters";
        check(
            json!({ "type": "secret" }),
            &[
                (json!("warehouse"), r#"Secret("warehouse")"#),
                (json!("-----BEGIN KEY-----\nx"), secret),
                (json!("hunter2".repeat(40)), secret),
                (json!(1234), secret),
            ],
        );
    }

    #[test]
    fn a_date_defaults_to_the_moved_reference_date() {
        let check = |zone: &str, offset: &str, now: &str, expect: &str| {
            let format = "%Y-%m-%d %H:%M";
            let declared =
                json!({ "type": "date", "format": format, "zone": zone, "offset": offset });
            let value = parameter(declared).default_value(now.parse().unwrap());
            let found = match value {
                Ok(value) => value.unwrap().to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expect, "{zone} {offset} {now}");
        };
        check("UTC", "", "2024-03-01T00:00:00Z", "2024-03-01 00:00");
        check("UTC", "-1d", "2024-03-01T00:00:00Z", "2024-02-29 00:00");
        check("UTC", "2 months", "2023-12-31T00:00:00Z", "2024-02-29 00:00");
        check("UTC", "-1h 30m", "2024-03-01T00:00:00Z", "2024-02-29 22:30");
        check("Asia/Tokyo", "", "2024-02-29T15:00:00Z", "2024-03-01 00:00");
        // The night of the change to summer time has 23 hours: a day before is not 24 hours before.
        check("Europe/Berlin", "-1d", "2024-03-31T10:00:00Z", "2024-03-30 12:00");
        check("Europe/Berlin", "-24h", "2024-03-31T10:00:00Z", "2024-03-30 11:00");
        let message = "the reference date 9999-12-30T00:00:00.000Z with offset `3d` is no date of \
                       years -9999 to 9999";
        check("UTC", "3d", "9999-12-30T00:00:00Z", message);
    }
}
