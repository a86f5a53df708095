//! Applying rules: a package and rules in, a changed package and the list of changes out. A dry
//! run is the same call, whose package is dropped.

use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::check::{ObjectRuleError, ValueRuleError};
use super::location::{MAX_LOCATION, On, Place};
use super::{ObjectRule, RuleChange, RuleChanges, ValueRule};
use crate::faults::Listed;
use crate::package::Package;
use crate::payload;

/// The most rules of one sort that one import applies.
pub const MAX_RULES: usize = 1_000;

/// The one table whose objects can be replaced, and the key under which payloads hold them.
pub(super) const CONNECTIONS: &str = "connections";
const CONNECTION: &str = "connection";

/// What stands under these keys is SQL or a script, and not to be touched.
const UNTOUCHED: [&str; 6] = ["sql", "sqlText", "sqlScript", "raw", "query", "script"];

/// Everything that keeps rules from being applied, in the order of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", Listed(.faults))]
pub struct RuleError {
    /// The faults; never empty.
    pub faults: Vec<RuleFault>,
}

/// One thing that keeps rules from being applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// An object rule is wrong.
    #[error("object rule {rule}: {error}")]
    Object {
        /// Its position in the list, from 0.
        rule: usize,
        /// What is wrong with it.
        error: ObjectRuleError,
    },
    /// A value rule is wrong.
    #[error("value rule {rule}: {error}")]
    Value {
        /// Its position in the list, from 0.
        rule: usize,
        /// What is wrong with it.
        error: ValueRuleError,
    },
    /// There are too many rules.
    #[error("{found} rules of one sort, {MAX_RULES} are allowed")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A value rule makes a location too long.
    #[error("value rule {rule} makes the text at `{place}` longer than {MAX_LOCATION} bytes")]
    TooLong {
        /// Its position in the list, from 0.
        rule: usize,
        /// Where: flow, step, and the JSON pointer into its payload.
        place: String,
    },
}

/// Applies the object rules, then the value rules, each in its order over the whole package: a
/// later rule sees what an earlier one made. Says for each change which rule made it.
///
/// What stands under the keys `sql`, `sqlText`, `sqlScript`, `raw`, `query` and `script` is left
/// alone. The result is not checked: what a rule puts in can break a package
/// (see [`Package::check`]).
///
/// # Errors
/// Returns the faults of all rules at once, and applies none of them then; stops at the first
/// location that gets too long.
pub fn apply(
    package: &Package,
    objects: &[ObjectRule],
    values: &[ValueRule],
) -> Result<(Package, RuleChanges), RuleError> {
    check(objects, values)?;
    let mut package = package.clone();
    let mut changes = RuleChanges::default();
    for (rule, object) in objects.iter().enumerate() {
        each_keyed(&mut package, |place, key, value| {
            let fields = value.as_object_mut().filter(|_| key == CONNECTION);
            if let Some((before, after)) = fields.and_then(|fields| object.replace(fields)) {
                changes.object.push(RuleChange { rule, place: place(""), before, after });
            }
        });
    }
    for (rule, value) in values.iter().enumerate() {
        apply_value(&mut package, rule, value, &mut changes.value)?;
    }
    Ok((package, changes))
}

/// Checks rules without a package.
///
/// # Errors
/// Returns the faults of all rules at once.
pub fn check(objects: &[ObjectRule], values: &[ValueRule]) -> Result<(), RuleError> {
    let mut faults = Vec::new();
    for found in [objects.len(), values.len()] {
        if found > MAX_RULES {
            faults.push(RuleFault::TooMany { found });
        }
    }
    for (rule, object) in objects.iter().enumerate().take(MAX_RULES) {
        let errors = object.check().err().unwrap_or_default();
        faults.extend(errors.into_iter().map(|error| RuleFault::Object { rule, error }));
    }
    for (rule, value) in values.iter().enumerate().take(MAX_RULES) {
        let errors = value.check().err().unwrap_or_default();
        faults.extend(errors.into_iter().map(|error| RuleFault::Value { rule, error }));
    }
    if faults.is_empty() { Ok(()) } else { Err(RuleError { faults }) }
}

/// Shows every value under a key of every payload, with a function that names its place or one
/// below it.
fn each_keyed(
    package: &mut Package,
    mut visit: impl FnMut(&dyn Fn(&str) -> String, &str, &mut Json),
) {
    let skip = |key: &str| UNTOUCHED.contains(&key);
    for flow in &mut package.flows {
        for step in &mut flow.steps {
            let (flow, step_name) = (&flow.name, &step.name);
            payload::keyed_mut(&mut step.payload, &skip, &mut |path, key, value| {
                let place = |below: &str| format!("{flow}/{step_name}#{path}{below}");
                visit(&place, key, value);
            });
        }
    }
}

fn apply_value(
    package: &mut Package,
    rule: usize,
    value: &ValueRule,
    changes: &mut Vec<RuleChange>,
) -> Result<(), RuleError> {
    let broken = |error| RuleError { faults: vec![RuleFault::Value { rule, error }] };
    let Some(kind) = Place::of(&value.kind) else {
        return Err(broken(ValueRuleError::Kind { found: value.kind.clone() }));
    };
    let on = On::new(value, kind).map_err(|error| broken(ValueRuleError::Pattern(error)))?;
    let mut too_long = None;
    each_keyed(package, |place, key, found| {
        if too_long.is_some() || !kind.keys.contains(&key) {
            return;
        }
        let mut replace = |below: &str, text: &mut Json| {
            let Some(after) = text.as_str().and_then(|text| on.replaced(text, &value.with)) else {
                return;
            };
            if after.len() > MAX_LOCATION {
                too_long.get_or_insert_with(|| place(below));
                return;
            }
            let after = Json::String(after);
            let before = std::mem::replace(text, after.clone());
            changes.push(RuleChange { rule, place: place(below), before, after });
        };
        match found {
            Json::Array(list) if kind.listed => {
                for (index, text) in list.iter_mut().enumerate() {
                    replace(&format!("/{index}"), text);
                }
            }
            other => replace("", other),
        }
    });
    match too_long {
        None => Ok(()),
        Some(place) => Err(RuleError { faults: vec![RuleFault::TooLong { rule, place }] }),
    }
}

impl ObjectRule {
    /// Replaces the fields if the object is meant. Returns the fields as they were and as they
    /// are, or None where nothing changed.
    fn replace(&self, object: &mut Map<String, Json>) -> Option<(Json, Json)> {
        let same = |field: &str, found: &Json, wanted: &Json| match (found, wanted) {
            (Json::Number(number), Json::String(text))
            | (Json::String(text), Json::Number(number))
                if field == "id" =>
            {
                number.to_string() == *text
            }
            _ => found == wanted,
        };
        let mut conditions = self.on_condition.iter();
        if !conditions.all(|(field, wanted)| {
            object.get(field).is_some_and(|found| same(field, found, wanted))
        }) {
            return None;
        }
        let before: Map<_, _> = self
            .with_condition
            .keys()
            .map(|field| (field.clone(), object.get(field).cloned().unwrap_or_default()))
            .collect();
        if before == self.with_condition {
            return None;
        }
        object.extend(self.with_condition.clone());
        Some((Json::Object(before), Json::Object(self.with_condition.clone())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(payload: &Json) -> Package {
        serde_json::from_value(json!({
            "name": "pos",
            "primary": ["main"],
            "flows": [{
                "name": "main",
                "steps": [
                    { "name": "none", "kind": "wrangle", "executor": "photon" },
                    { "name": "read", "kind": "ingest", "executor": "photon", "payload": payload },
                ],
            }],
        }))
        .unwrap()
    }

    fn object(on: &Json, with: &Json) -> ObjectRule {
        let rule = json!({ "tableName": "connections", "onCondition": on, "withCondition": with });
        serde_json::from_value(rule).unwrap()
    }

    fn value(kind: &str, on: &str, with: &str) -> ValueRule {
        ValueRule { kind: kind.to_owned(), on: on.to_owned(), with: with.to_owned() }
    }

    /// Applies rules to a payload and compares the payload and the lines that tell the changes.
    fn check(
        payload: &Json,
        objects: &[ObjectRule],
        values: &[ValueRule],
        expect: &Json,
        told: &[&str],
    ) {
        let before = package(payload);
        let (after, changes) = apply(&before, objects, values).unwrap();
        assert_eq!(after, package(expect));
        let lines = changes.object.iter().map(|it| ("object", it));
        let lines = lines.chain(changes.value.iter().map(|it| ("value", it)));
        let lines: Vec<_> = lines
            .map(|(sort, it)| {
                format!("{sort} {} {}: {} -> {}", it.rule, it.place, it.before, it.after)
            })
            .collect();
        assert_eq!(lines, told);
        assert_eq!(before, package(payload), "a dry run is the same call");
    }

    #[test]
    fn connections_are_replaced_by_literal_fields() {
        let payload = json!({ "sources": [
            { "connection": { "id": 7, "uuid": "a-b", "name": "dev" } },
            { "connection": { "id": "8", "uuid": "c-d" } },
            { "id": 7 },
        ] });
        let rules = [
            object(&json!({ "uuid": "a-b" }), &json!({ "id": 9, "host": "prod" })),
            object(&json!({ "id": "9", "name": "dev" }), &json!({ "name": "prod" })),
            object(&json!({ "id": 8 }), &json!({ "id": 80 })),
            object(&json!({ "uuid": "a-" }), &json!({ "id": 0 })),
            object(&json!({ "id": 80 }), &json!({ "id": 80 })),
        ];
        let expect = json!({ "sources": [
            { "connection": { "id": 9, "uuid": "a-b", "name": "prod", "host": "prod" } },
            { "connection": { "id": 80, "uuid": "c-d" } },
            { "id": 7 },
        ] });
        check(
            &payload,
            &rules,
            &[],
            &expect,
            &[
                r#"object 0 main/read#/sources/0/connection: {"host":null,"id":7} -> {"host":"prod","id":9}"#,
                r#"object 1 main/read#/sources/0/connection: {"name":"dev"} -> {"name":"prod"}"#,
                r#"object 2 main/read#/sources/1/connection: {"id":"8"} -> {"id":80}"#,
            ],
        );
    }

    #[test]
    fn values_are_replaced_by_type_in_order_and_sql_is_left_alone() {
        let payload = json!({
            "bucket": "dev", "path": "/dev/dev/developer/dev", "uri": "s3://dev/in/${region}",
            "table": "dev", "relationalPath": ["dev", "public"], "database": "dev", "host": "dev",
            "sql": { "path": "/dev/" }, "query": "SELECT * FROM dev", "name": "dev",
        });
        let rules = [
            value("s3Bucket", "dev", "stage"),
            value("s3Bucket", "stage", "prod"),
            value("s3Bucket", "pro", "x"),
            value("fileLocation", "dev", "prod"),
            value("fileLocation", "//prod//", "/$1/"),
            value("databaseName", "/^d(.)v$/", "p$1"),
            value("tableName", "dev", "facts"),
            value("host", "dev", "${env.host}"),
        ];
        let expect = json!({
            "bucket": "prod", "path": "/$1/prod/developer/prod", "uri": "s3://$1/in/${region}",
            "table": "facts", "relationalPath": ["p$1", "public"], "database": "p$1",
            "host": "${env.host}",
            "sql": { "path": "/dev/" }, "query": "SELECT * FROM dev", "name": "dev",
        });
        check(
            &payload,
            &[],
            &rules,
            &expect,
            &[
                r#"value 0 main/read#/bucket: "dev" -> "stage""#,
                r#"value 1 main/read#/bucket: "stage" -> "prod""#,
                r#"value 3 main/read#/path: "/dev/dev/developer/dev" -> "/prod/prod/developer/prod""#,
                r#"value 3 main/read#/uri: "s3://dev/in/${region}" -> "s3://prod/in/${region}""#,
                r#"value 4 main/read#/path: "/prod/prod/developer/prod" -> "/$1/prod/developer/prod""#,
                r#"value 4 main/read#/uri: "s3://prod/in/${region}" -> "s3://$1/in/${region}""#,
                r#"value 5 main/read#/database: "dev" -> "p$1""#,
                r#"value 5 main/read#/relationalPath/0: "dev" -> "p$1""#,
                r#"value 6 main/read#/table: "dev" -> "facts""#,
                r#"value 7 main/read#/host: "dev" -> "${env.host}""#,
            ],
        );
    }

    #[test]
    fn bad_rules_are_told_at_once_and_nothing_is_applied() {
        let mut table = object(&json!({}), &json!({ "id": null }));
        table.table_name = "flows".to_owned();
        let empty = object(&json!({ "id": [1] }), &json!({}));
        let values = [
            value("sql", "", "a\nb"),
            value("host", "/(/", ""),
            value("host", "//", ""),
            value("host", &"x".repeat(1001), ""),
            value("host", "/", ""),
        ];
        let error = apply(&package(&json!({})), &[table, empty], &values).unwrap_err();
        let told: Vec<_> = error.faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        object rule 0: table `flows` cannot be remapped, only `connections` can
        object rule 0: `onCondition` is empty: name at least one field of the connection
        object rule 0: field `id` of `withCondition` is no text, number or boolean
        object rule 1: `withCondition` is empty: name at least one field to replace
        object rule 1: field `id` of `onCondition` is no text, number or boolean
        value rule 0: values of type `sql` cannot be remapped, only those of `s3Bucket`, `fileLocation`, `tableName`, `databaseName`, `relationalPath`, `host`
        value rule 0: `on` is empty
        value rule 0: `with` has more than 4096 bytes or a control character
        value rule 1: `on`: `(` is not a regular expression: found open group without closing ')'; a literal does not both begin and end with a slash
        value rule 2: `on`: `` matches the empty text
        value rule 3: `on` has 1001 bytes, 1000 are allowed
        ");
    }

    #[test]
    fn rules_cannot_grow_a_location_without_bound() {
        let doubling = vec![value("fileLocation", "/a/", "aa"); 60];
        let error = apply(&package(&json!({ "path": "a" })), &[], &doubling).unwrap_err();
        let expect = RuleFault::TooLong { rule: 16, place: "main/read#/path".to_owned() };
        assert_eq!(error.faults, [expect]);
        let many = vec![value("host", "a", "b"); MAX_RULES + 1];
        let error = apply(&package(&json!({})), &[], &many).unwrap_err();
        assert_eq!(error.faults, [RuleFault::TooMany { found: 1001 }]);
    }
}
