//! How two packages differ: by the names of flows, steps, parameters and outputs, not by their
//! places in lists.

use std::collections::BTreeMap;

use serde_json::Value;

/// A difference between two documents, at a place.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Added(String, Value),
    Removed(String, Value),
    Changed(String, Value, Value),
}

/// All differences, in the order of their places.
pub(crate) fn differences(old: &Value, new: &Value) -> Vec<Change> {
    let (mut old_leaves, mut new_leaves) = (BTreeMap::new(), BTreeMap::new());
    flatten("", old, &mut old_leaves);
    flatten("", new, &mut new_leaves);
    let mut places: Vec<&String> = old_leaves.keys().chain(new_leaves.keys()).collect();
    places.sort();
    places.dedup();
    let change = |place: &String| match (old_leaves.get(place), new_leaves.get(place)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(&old), Some(&new)) => Some(Change::Changed(place.clone(), old.clone(), new.clone())),
        (Some(&old), None) => Some(Change::Removed(place.clone(), old.clone())),
        (None, Some(&new)) => Some(Change::Added(place.clone(), new.clone())),
        (None, None) => None,
    };
    places.into_iter().filter_map(change).collect()
}

fn flatten<'v>(place: &str, value: &'v Value, leaves: &mut BTreeMap<String, &'v Value>) {
    let below = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                flatten(&below(key), member, leaves);
            }
        }
        Value::Array(items) if items.iter().any(|item| item["name"].is_string()) => {
            for item in items {
                let name = item["name"].as_str().unwrap_or("?");
                flatten(&below(name), item, leaves);
            }
        }
        leaf => {
            leaves.insert(place.to_owned(), leaf);
        }
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
                Change::Removed(place("flows.f.steps.a.name"), json!("a")),
                Change::Added(place("flows.f.steps.b.name"), json!("b")),
            ],
        );
    }
}
