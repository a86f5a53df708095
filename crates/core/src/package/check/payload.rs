//! Payloads: not too large, not too deep, and every reference in them names a parameter, stands
//! where its value may stand, and is no part of a program.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value as Json;

use super::{Found, PackageProblem, shell};
use crate::name::{FlowName, StepName};
use crate::parameter::{Parameter, ParameterType};
use crate::payload;
use crate::reference::mentioned;

/// The most bytes of a step's payload, as JSON without white space: a `wrangle` of an exported flow
/// holds all recipes that it rests on.
pub const MAX_PAYLOAD: usize = 8 * 1024 * 1024;

/// The most lists and objects of a payload that lie inside each other.
pub const MAX_PAYLOAD_DEPTH: usize = 64;

pub(super) fn check(
    payload: &Json,
    declared: &BTreeMap<&str, &Parameter>,
    at: (&FlowName, &StepName),
    found: &mut Found,
) {
    if is_too_deep(payload) {
        found.step(at, String::new(), PackageProblem::PayloadTooDeep);
        return;
    }
    let size = size(payload);
    if size > MAX_PAYLOAD {
        found.step(at, String::new(), PackageProblem::PayloadTooLarge { found: size });
        return;
    }
    let walked = payload::texts(payload, &mut |path, text| {
        for problem in problems(text, declared, found) {
            found.step(at, path.to_string(), problem);
        }
    });
    debug_assert!(walked.is_ok(), "the depth was checked before");
    for index in shell::programs(payload) {
        found.step(at, format!("/command/{index}"), PackageProblem::ReferenceInScript);
    }
}

fn problems(
    text: &str,
    declared: &BTreeMap<&str, &Parameter>,
    found: &mut Found,
) -> Vec<PackageProblem> {
    let mentions = match mentioned(text) {
        Ok(mentions) => mentions,
        Err(error) => return vec![PackageProblem::Reference(error)],
    };
    let problem = |(name, whole): (&str, bool)| match declared.get(name) {
        None if name.starts_with("env.") => None,
        None => {
            let names = declared.values().map(|parameter| &parameter.name);
            let near = found.nearest.find(name, names).cloned();
            Some(PackageProblem::Undeclared { name: name.to_owned(), near })
        }
        Some(Parameter { kind: ParameterType::Secret {}, .. }) if !whole => {
            Some(PackageProblem::SecretInText { name: name.to_owned() })
        }
        Some(_) => None,
    };
    mentions.into_iter().filter_map(problem).collect()
}

fn is_too_deep(payload: &Json) -> bool {
    let mut open = vec![(payload, 0)];
    while let Some((value, depth)) = open.pop() {
        let is_nested = value.is_array() || value.is_object();
        if is_nested && depth == MAX_PAYLOAD_DEPTH {
            return true;
        }
        match value {
            Json::Array(list) => open.extend(list.iter().map(|inner| (inner, depth + 1))),
            Json::Object(object) => open.extend(object.values().map(|inner| (inner, depth + 1))),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    false
}

/// Counts the bytes of the payload as JSON without keeping them.
fn size(payload: &Json) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, payload).expect("counting never fails, and JSON is JSON");
    count.0
}
