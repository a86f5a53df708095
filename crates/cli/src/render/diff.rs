//! How two packages differ: by the names of flows, steps, parameters and outputs, not by their
//! places in lists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A difference between two documents, at a place.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Added(String, Value),
    Removed(String, Value),
    Changed(String, Value, Value),
}

/// All differences, in the order of their places. What is there on one side only is one
/// difference, however much it holds.
pub(crate) fn differences(old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

fn compare(place: &str, old: &Value, new: &Value, found: &mut Vec<Change>) {
    let below = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (members(old), members(new)) else {
        found.push(Change::Changed(place.to_owned(), old.clone(), new.clone()));
        return;
    };
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) => compare(&below(key), old, new, found),
            (Some(&old), None) => found.push(Change::Removed(below(key), old.clone())),
            (None, Some(&new)) => found.push(Change::Added(below(key), new.clone())),
            (None, None) => {}
        }
    }
}

/// What a value holds by name: the members of an object, or the items of a list that have names.
fn members(value: &Value) -> Option<BTreeMap<&str, &Value>> {
    match value {
        Value::Object(members) => {
            Some(members.iter().map(|(key, it)| (key.as_str(), it)).collect())
        }
        Value::Array(items) => items.iter().map(|it| Some((it["name"].as_str()?, it))).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn packages_are_compared_by_name() {
        let check = |old: Value, new: Value, expect: &[Change]| {
            assert_eq!(differences(&old, &new), expect);
        };
        let package = |steps: Value| json!({ "flows": [{ "name": "f", "steps": steps }] });
        let place = |it: &str| it.to_owned();
        check(package(json!([])), package(json!([])), &[]);
        check(
            package(json!([{ "name": "a", "executor": "x" }, { "name": "b" }])),
            package(json!([{ "name": "b" }, { "name": "a", "executor": "y" }])),
            &[Change::Changed(place("flows.f.steps.a.executor"), json!("x"), json!("y"))],
        );
        check(
            package(json!([{ "name": "a" }])),
            package(json!([{ "name": "b" }])),
            &[
                Change::Removed(place("flows.f.steps.a"), json!({ "name": "a" })),
                Change::Added(place("flows.f.steps.b"), json!({ "name": "b" })),
            ],
        );
    }
}
