//! What a step asks of Spark: the payload that local processes have, and a field `spark` of its
//! own.

use std::collections::BTreeMap;

use jobwright_adapters::remote::Work;
use jobwright_core::Failure;
use serde_json::Value;
use thiserror::Error;

/// What an application's first word is where its class is on the driver's class path already, as
/// `spark-submit` has it.
pub(crate) const INTERNAL: &str = "spark-internal";

/// Properties that the executor sets itself.
const OWN: [&str; 9] = [
    "spark.app.name",
    "spark.cores.max",
    "spark.driver.cores",
    "spark.driver.memory",
    "spark.driver.supervise",
    "spark.executor.cores",
    "spark.executor.memory",
    "spark.master",
    "spark.submit.deployMode",
];

/// Properties of Spark, by name.
pub type Properties = BTreeMap<String, String>;

/// A checked payload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Payload {
    /// The program or jar, its arguments, its variables and what it needs.
    pub(crate) work: Work,
    /// The class whose `main` is called, where the application is a jar.
    pub(crate) class: Option<String>,
    pub(crate) properties: Properties,
}

/// Why a property cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("property {name:?} cannot be set: {why}")]
pub struct PropertyError {
    name: String,
    why: &'static str,
}

/// Why the field `spark` cannot be used.
#[derive(Debug, Error)]
enum PayloadError {
    #[error("payload field `{field}` must be {expected}")]
    Type { field: String, expected: &'static str },
    #[error("payload field `spark` has no key {0:?}: there are `class` and `conf`")]
    Key(String),
    #[error("payload field `spark.conf`: {0}")]
    Property(PropertyError),
    #[error(
        "payload field `spark.conf` holds a secret in {0:?}: properties are shown by Spark's web \
         interfaces, so pass it in `env`"
    )]
    Secret(String),
}

impl Payload {
    /// Reads a payload; `defaults` are the properties of the executor's configuration.
    pub(crate) fn parse(payload: &Value, defaults: &Properties) -> Result<Self, Failure> {
        let work = Work::parse(payload, &["spark"])?;
        let mut read = Self { work, class: None, properties: defaults.clone() };
        let refuse = |error: PayloadError| Failure::permanent("payload", error.to_string());
        match &payload["spark"] {
            Value::Null => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    read.field(key, value).map_err(refuse)?;
                }
            }
            _ => return Err(refuse(mistyped("spark", "an object"))),
        }
        Ok(read)
    }

    fn field(&mut self, key: &str, value: &Value) -> Result<(), PayloadError> {
        match (key, value) {
            ("class", Value::String(class)) if is_class(class) => self.class = Some(class.clone()),
            ("class", _) => {
                return Err(mistyped("spark.class", "the whole name of a class, with its package"));
            }
            ("conf", Value::Object(properties)) => {
                for (name, value) in properties {
                    let value = text(name, value)?;
                    property(name, &value).map_err(PayloadError::Property)?;
                    self.properties.insert(name.clone(), value);
                }
            }
            ("conf", _) => return Err(mistyped("spark.conf", "an object of texts")),
            _ => return Err(PayloadError::Key(key.to_owned())),
        }
        Ok(())
    }
}

/// Checks a property.
///
/// # Errors
/// It is none, the executor sets it itself, or Spark would take its value for something else.
pub(crate) fn property(name: &str, value: &str) -> Result<(), PropertyError> {
    let refuse = |why| Err(PropertyError { name: name.to_owned(), why });
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !name.starts_with("spark.") || !name.chars().all(is_plain) {
        refuse("names begin with `spark.` and have letters, digits, `.`, `-` and `_`")
    } else if OWN.contains(&name) {
        refuse("it is the executor's own, see its configuration and the payload's `resources`")
    } else if value.contains('\0') {
        refuse("its value holds a NUL character")
    } else if value.contains("{{") {
        refuse("the master would put variables of its own environment in the place of `{{…}}`")
    } else {
        Ok(())
    }
}

fn text(name: &str, value: &Value) -> Result<String, PayloadError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Object(map) if map.contains_key("$secret") => {
            Err(PayloadError::Secret(name.to_owned()))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(mistyped(&format!("spark.conf.{name}"), "a text"))
        }
    }
}

fn is_class(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    name.split('.').all(is_part)
}

fn mistyped(field: &str, expected: &'static str) -> PayloadError {
    PayloadError::Type { field: field.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_their_field() {
        let check = |payload: Value, expect: &str| {
            let failure = Payload::parse(&payload, &Properties::new()).unwrap_err();
            assert!(failure.message.contains(expect), "{payload}: {}", failure.message);
        };
        let spark = |spark: Value| json!({ "command": ["a.py"], "spark": spark });
        check(json!({ "spark": {} }), "missing field `command`");
        check(spark(json!(3)), "`spark` must be an object");
        check(spark(json!({ "jars": [] })), "no key \"jars\"");
        check(spark(json!({ "class": "a b" })), "`spark.class` must be the whole name");
        check(spark(json!({ "class": "-Da.b" })), "`spark.class` must be the whole name");
        check(spark(json!({ "conf": [] })), "`spark.conf` must be an object");
        check(spark(json!({ "conf": { "spark.x": [] } })), "`spark.conf.spark.x` must be a text");
        check(spark(json!({ "conf": { "x": "1" } })), "begin with `spark.`");
        check(spark(json!({ "conf": { "spark.x=y": "1" } })), "begin with `spark.`");
        check(spark(json!({ "conf": { "spark.master": "local" } })), "the executor's own");
        check(spark(json!({ "conf": { "spark.x": "{{HOME}}" } })), "of its own environment");
        check(spark(json!({ "conf": { "spark.x": { "$secret": "k" } } })), "holds a secret");
    }

    #[test]
    fn properties_are_those_of_the_executor_and_the_step() {
        let defaults = [("spark.a", "1"), ("spark.b", "2")];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let conf = json!({ "spark.b": 3, "spark.c": "x=y z", "spark.d": true });
        let payload = json!({
            "command": ["app.jar", "$HOME", 5],
            "spark": { "class": "org.example.Main$Inner", "conf": conf },
        });
        let read = Payload::parse(&payload, &defaults.map(own).into()).unwrap();
        let expect =
            [("spark.a", "1"), ("spark.b", "3"), ("spark.c", "x=y z"), ("spark.d", "true")];
        assert_eq!(read.properties, expect.map(own).into());
        assert_eq!(read.class.as_deref(), Some("org.example.Main$Inner"));
        assert_eq!(read.work.command(), ["app.jar", "$HOME", "5"]);
    }
}
