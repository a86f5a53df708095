//! Filling a payload: every reference in its texts is replaced by a value, in one pass over the
//! payload as it was declared. What a value holds is never read for references.

use serde_json::Value as Json;
use thiserror::Error;

use super::{Piece, ReferenceError, pieces};
use crate::faults::Listed;
use crate::parameter::Value;
use crate::payload::{self, MAX_WALK, Path, Segment};

/// The most bytes of text that a filled payload may hold. A short payload can refer to a long
/// value many times.
pub const MAX_FILLED: usize = 4 * 1024 * 1024;

/// A place where a payload refers to a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The text that refers to it, as a JSON pointer into the payload.
    pub pointer: String,
    /// The parameter's name.
    pub name: String,
    /// Whether the text is nothing but this reference, so that the value keeps its type.
    pub whole: bool,
}

/// Everything that is wrong with the references of a payload, in the payload's order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", Listed(.faults))]
pub struct FillError {
    /// The faults; never empty.
    pub faults: Vec<FillFault>,
}

/// One thing that is wrong with the references of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FillFault {
    /// A reference cannot be read.
    #[error("at `{pointer}`: {error}")]
    Broken {
        /// The text, as a JSON pointer.
        pointer: String,
        /// What is wrong with it.
        error: ReferenceError,
    },
    /// Nothing has the name.
    #[error("at `{pointer}`: no parameter is named `{name}`; a dollar sign is written `$$`")]
    Unknown {
        /// The text, as a JSON pointer.
        pointer: String,
        /// The name.
        name: String,
    },
    /// A secret is part of a longer text. Only a text that is nothing but the reference can stand
    /// for a secret, since its content is fetched later, by the executor.
    #[error("at `{pointer}`: secret `{name}` must be the whole text, not a part of it")]
    SecretInText {
        /// The text, as a JSON pointer.
        pointer: String,
        /// The parameter's name.
        name: String,
    },
    /// A list or object lies too deep.
    #[error("at `{pointer}`: more than {MAX_WALK} lists and objects lie inside each other")]
    TooDeep {
        /// The list or object, as a JSON pointer.
        pointer: String,
    },
    /// The payload grew too large.
    #[error("at `{pointer}`: the filled payload holds more than {MAX_FILLED} bytes of text")]
    TooLarge {
        /// The text at which it did, as a JSON pointer.
        pointer: String,
    },
}

/// Tells whether [`fill`] would change or refuse the payload: some text holds a reference, even a
/// broken one, or a `$$`. Where it would not, the payload can be shared instead.
#[must_use]
pub fn has_references(payload: &Json) -> bool {
    let mut open = vec![payload];
    while let Some(value) = open.pop() {
        match value {
            Json::String(text)
                if pieces(text).ok().is_none_or(|pieces| !is_plain(&pieces, text)) =>
            {
                return true;
            }
            Json::Array(list) => open.extend(list),
            Json::Object(object) => open.extend(object.values()),
            Json::String(_) | Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
    false
}

fn is_plain(pieces: &[Piece<'_>], text: &str) -> bool {
    match pieces {
        [] => true,
        [Piece::Literal(only)] => only.len() == text.len(),
        _ => false,
    }
}

/// Lists what the payload refers to, in its order.
///
/// # Errors
/// Returns every reference that cannot be read, and a place that lies too deep.
pub fn names(payload: &Json) -> Result<Vec<Mention>, FillError> {
    let mut mentions = Vec::new();
    let mut faults = Vec::new();
    let walked = payload::texts(payload, &mut |path, text| match mentioned(text) {
        Ok(found) => mentions.extend(found.into_iter().map(|(name, whole)| Mention {
            pointer: path.to_string(),
            name: name.to_owned(),
            whole,
        })),
        Err(error) => faults.push(FillFault::Broken { pointer: path.to_string(), error }),
    });
    faults.extend(walked.err().map(|pointer| FillFault::TooDeep { pointer }));
    if faults.is_empty() { Ok(mentions) } else { Err(FillError { faults }) }
}

/// Lists the names in one text, each with whether it is the whole text.
pub(crate) fn mentioned(text: &str) -> Result<Vec<(&str, bool)>, ReferenceError> {
    let pieces = pieces(text)?;
    let whole = pieces.len() == 1;
    let names = pieces.into_iter().filter_map(|piece| match piece {
        Piece::Literal(_) => None,
        Piece::Reference(name) => Some((name, whole)),
    });
    Ok(names.collect())
}

/// Replaces the references in every text of the payload by the values that `lookup` finds. A text
/// that is nothing but one reference becomes the value in its own type; elsewhere its text form is
/// put in. Keys of objects stay as they are.
///
/// # Errors
/// Returns every fault at once: unknown names, references that cannot be read, secrets inside
/// longer texts; and the first place at which the payload gets too deep or too large.
pub fn fill<'v>(
    payload: &Json,
    lookup: impl Fn(&str) -> Option<&'v Value>,
) -> Result<Json, FillError> {
    let mut filling =
        Filling { lookup, path: Path::default(), faults: Vec::new(), left: MAX_FILLED };
    let filled = filling.value(payload);
    let Filling { faults, .. } = filling;
    match filled {
        Some(filled) if faults.is_empty() => Ok(filled),
        _ => Err(FillError { faults }),
    }
}

/// A payload that is being filled. The methods return None where they end the walk early, with the
/// reason among the faults.
struct Filling<'p, L> {
    lookup: L,
    path: Path<'p>,
    faults: Vec<FillFault>,
    /// How many more bytes of text the result may hold.
    left: usize,
}

impl<'p, 'v, L: Fn(&str) -> Option<&'v Value>> Filling<'p, L> {
    fn value(&mut self, value: &'p Json) -> Option<Json> {
        match value {
            Json::String(text) => self.text(text),
            Json::Array(_) | Json::Object(_) if self.path.is_full() => {
                self.faults.push(FillFault::TooDeep { pointer: self.path.to_string() });
                None
            }
            Json::Array(list) => {
                let filled = list
                    .iter()
                    .enumerate()
                    .map(|(index, value)| self.inside(Segment::Index(index), value));
                filled.collect::<Option<_>>().map(Json::Array)
            }
            Json::Object(object) => {
                let filled = object.iter().map(|(key, value)| {
                    Some((key.clone(), self.inside(Segment::Key(key), value)?))
                });
                filled.collect::<Option<_>>().map(Json::Object)
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => Some(value.clone()),
        }
    }

    fn inside(&mut self, segment: Segment<'p>, value: &'p Json) -> Option<Json> {
        self.path.enter(segment);
        let filled = self.value(value);
        self.path.leave();
        filled
    }

    fn text(&mut self, text: &str) -> Option<Json> {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.faults.push(FillFault::Broken { pointer: self.path.to_string(), error });
                return Some(Json::Null);
            }
        };
        if let [Piece::Reference(name)] = pieces[..] {
            let Some(value) = self.lookup(name) else { return Some(Json::Null) };
            if let Value::Text(text) = value {
                self.spend(text.len())?;
            }
            return Some(value.to_json());
        }
        let mut filled = String::new();
        for piece in pieces {
            let start = filled.len();
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Reference(name) => self.append(name, &mut filled),
            }
            self.spend(filled.len() - start)?;
        }
        Some(Json::String(filled))
    }

    fn append(&mut self, name: &str, to: &mut String) {
        match self.lookup(name) {
            None => {}
            Some(Value::Secret(_)) => self.faults.push(FillFault::SecretInText {
                pointer: self.path.to_string(),
                name: name.to_owned(),
            }),
            Some(Value::Text(text)) => to.push_str(text),
            Some(value @ (Value::Integer(_) | Value::Number(_) | Value::Boolean(_))) => {
                to.push_str(&value.to_string());
            }
        }
    }

    fn lookup(&mut self, name: &str) -> Option<&'v Value> {
        let found = (self.lookup)(name);
        if found.is_none() {
            let (pointer, name) = (self.path.to_string(), name.to_owned());
            self.faults.push(FillFault::Unknown { pointer, name });
        }
        found
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return Some(());
        }
        self.faults.push(FillFault::TooLarge { pointer: self.path.to_string() });
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::escape;
    use super::*;

    fn filled(payload: &Json) -> Result<Json, FillError> {
        let values: BTreeMap<&str, Value> = BTreeMap::from([
            ("region", Value::Text("no$rows ${rows} $$th".into())),
            ("rows", Value::Integer(7)),
            ("tax", Value::Number(0.5)),
            ("on", Value::Boolean(true)),
            ("login", Value::Secret("warehouse".into())),
            ("long", Value::Text("x".repeat(60_000).into())),
        ]);
        fill(payload, |name| values.get(name))
    }

    #[test]
    fn references_become_values() {
        let check = |payload: Json, expect: Json| {
            assert_eq!(filled(&payload).unwrap(), expect);
            assert_eq!(has_references(&payload), payload != expect);
        };
        check(json!(null), json!(null));
        check(json!("$rows"), json!(7));
        check(json!("${ tax }"), json!(0.5));
        check(json!("$on"), json!(true));
        check(json!("$login"), json!({ "$secret": "warehouse" }));
        check(json!("$rows$rows of $tax, $on, $$5 and $5"), json!("77 of 0.5, true, $5 and $5"));
        check(json!("$region"), json!("no$rows ${rows} $$th"));
        check(json!("<$region>"), json!("<no$rows ${rows} $$th>"));
        check(
            json!({ "$rows": ["$rows", { "a": " $rows" }], "b": 1 }),
            json!({ "$rows": [7, { "a": " 7" }], "b": 1 }),
        );
        check(json!({ "cost": "5 $" }), json!({ "cost": "5 $" }));
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let check = |payload: Json, expect: &[&str]| {
            let found: Vec<_> =
                filled(&payload).unwrap_err().faults.iter().map(ToString::to_string).collect();
            assert_eq!(found, expect);
            assert!(has_references(&payload));
        };
        check(
            json!({ "a/b": ["$none", "-${rwos}"], "c~": "${", "d": "user:$login", "e": "$rows" }),
            &[
                "at `/a~1b/0`: no parameter is named `none`; a dollar sign is written `$$`",
                "at `/a~1b/1`: no parameter is named `rwos`; a dollar sign is written `$$`",
                "at `/c~0`: `${` at byte 0 has no `}`; a dollar sign is written `$$`",
                "at `/d`: secret `login` must be the whole text, not a part of it",
            ],
        );
        check(
            json!({ "a": "$long".repeat(69), "b": "$long", "c": "$none" }),
            &["at `/b`: the filled payload holds more than 4194304 bytes of text"],
        );
        let deep = (0..200).fold(json!("$rows"), |inner, _| json!([inner]));
        check(
            deep,
            &[&format!(
                "at `{}`: more than 128 lists and objects lie inside each other",
                "/0".repeat(128)
            )],
        );
    }

    #[test]
    fn mentions_are_listed_in_order() {
        let payload = json!({ "a": "$x", "b": ["${y z} and $x", "$$x"] });
        let mention = |pointer: &str, name: &str, whole| Mention {
            pointer: pointer.to_owned(),
            name: name.to_owned(),
            whole,
        };
        let expect =
            [mention("/a", "x", true), mention("/b/0", "y z", false), mention("/b/0", "x", false)];
        assert_eq!(names(&payload).unwrap(), expect);
        let broken = names(&json!(["${", "$x", "${}"])).unwrap_err();
        assert_eq!(broken.faults.len(), 2);
    }

    proptest! {
        #[test]
        fn a_value_is_never_expanded_again(value in "[$a{}\\PC]{0,30}", before in "[ -~]{0,9}") {
            let text = Value::Text(value.as_str().into());
            let lookup = |name: &str| (name == "a").then_some(&text);
            let payload = json!(["$a", format!("{}${{a}}", escape(&before))]);
            let expect = json!([value, format!("{before}{value}")]);
            prop_assert_eq!(fill(&payload, lookup).unwrap(), expect);
        }
    }
}
