//! The parameters of a flow, gathered from all objects that use them: one name is one parameter,
//! whatever objects share it.

use std::collections::BTreeMap;

use jobwright_core::ParameterName;
use jobwright_core::parameter::{Parameter, ParameterType};
use serde_json::Value;

use super::ExportError;
use super::date;
use super::model::RunParameter;
use super::text::{is_referable, literal, reference};

/// The most bytes of a description that notes make.
const MAX_NOTES: usize = 1000;

/// What stands in a payload in place of a parameter of an export.
pub(super) enum Standing {
    /// A reference, or a literal text, ready to be part of a payload.
    Text(String),
    /// A range of dates or a pattern of names: nothing that could be overridden. It stays an
    /// object, and its place is marked with this text.
    Structured(String),
}

/// The parameters of one flow.
pub(super) struct Declared<'a> {
    overrides: &'a BTreeMap<&'a str, String>,
    places: BTreeMap<String, usize>,
    pub(super) parameters: Vec<Parameter>,
}

impl<'a> Declared<'a> {
    /// Begins with the flow's own overrides, which replace every default.
    pub(super) fn new(overrides: &'a BTreeMap<&'a str, String>) -> Self {
        Self { overrides, places: BTreeMap::new(), parameters: Vec::new() }
    }

    /// Declares a parameter, if it can be declared, and says what stands in its place. The
    /// `overrides` are those of the flow that holds the object; this flow's come first.
    pub(super) fn stand_in(
        &mut self,
        parameter: &RunParameter<'_>,
        overrides: &BTreeMap<&str, String>,
    ) -> Result<Standing, ExportError> {
        let (kind, inner) = shape(parameter)?;
        if matches!(kind, "dateRange" | "pattern") {
            return Ok(Standing::Structured(format!("{{{kind}:{}}}", parameter.row.id)));
        }
        let generated = format!("timestamp {}", parameter.row.id);
        let name = match parameter.key {
            Some(key) => key,
            None if kind == "timestamp" => &generated,
            None => return Ok(Standing::Text(literal(&plain(inner)))),
        };
        if !is_referable(name) {
            return Err(parameter.row.fault("overrideKey", "a name without `$`, `{` and `}`"));
        }
        if !name.starts_with("env.") {
            let text = self.overrides.get(name).or_else(|| overrides.get(name));
            self.declare(name, parameter, kind, inner, text)?;
        }
        Ok(Standing::Text(reference(name)))
    }

    fn declare(
        &mut self,
        name: &str,
        parameter: &RunParameter<'_>,
        kind: &str,
        inner: &Value,
        text: Option<&String>,
    ) -> Result<(), ExportError> {
        let (kind, default) = match kind {
            "timestamp" => (date(parameter, inner)?, text.cloned()),
            "selector" => choice(inner, text),
            _ => {
                let kind =
                    ParameterType::String { pattern: None, min_length: None, max_length: None };
                (kind, Some(text.cloned().unwrap_or_else(|| plain(inner))))
            }
        };
        let default = default.map(Value::String);
        if let Some(&at) = self.places.get(name) {
            let first = &mut self.parameters[at];
            if (first.kind != kind || first.default != default)
                && first.description.len() < MAX_NOTES
            {
                let (table, id) = (parameter.row.table, parameter.row.id);
                let other = default.as_ref().and_then(Value::as_str).unwrap_or("another type");
                let other: String = other.chars().take(80).collect();
                let gap = if first.description.is_empty() { "" } else { "; " };
                let note = format!("{gap}{table} {id} gives it `{other}`");
                first.description.push_str(&note);
            }
            return Ok(());
        }
        let (table, id) = (parameter.row.table, parameter.row.id);
        let valid = ParameterName::new(name);
        let valid = valid.map_err(|source| ExportError::Name { table, id, source })?;
        self.places.insert(name.to_owned(), self.parameters.len());
        let description = parameter.row.maybe_text("description")?.unwrap_or("").to_owned();
        self.parameters.push(Parameter { name: valid, kind, default, locked: false, description });
        Ok(())
    }
}

/// Takes a parameter's value apart: its kind, and what the kind holds. A bare text is a variable.
fn shape<'a>(parameter: &RunParameter<'a>) -> Result<(&'static str, &'a Value), ExportError> {
    const KINDS: [&str; 5] = ["variable", "selector", "timestamp", "dateRange", "pattern"];
    if parameter.value.is_string() {
        return Ok(("variable", parameter.value));
    }
    let found = KINDS.into_iter().find_map(|kind| Some((kind, parameter.value.get(kind)?)));
    let expected = "a variable, selector, timestamp, dateRange or pattern";
    found.ok_or_else(|| parameter.row.fault("value", expected))
}

/// Reads the text of a variable or selector, which may be given as another scalar.
fn plain(inner: &Value) -> String {
    match inner.get("value").unwrap_or(inner) {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// A selector's default is among its choices here, even where the export says otherwise.
fn choice(inner: &Value, text: Option<&String>) -> (ParameterType, Option<String>) {
    let listed = inner.get("choices").and_then(Value::as_array);
    let mut choices: Vec<String> = Vec::new();
    for choice in listed.into_iter().flatten().map(plain) {
        if !choices.contains(&choice) {
            choices.push(choice);
        }
    }
    let given = inner.get("value").filter(|value| !value.is_null()).map(plain);
    let default = text.cloned().or(given).or_else(|| choices.first().cloned()).unwrap_or_default();
    if !choices.contains(&default) {
        choices.push(default.clone());
    }
    (ParameterType::Choice { choices }, Some(default))
}

fn date(parameter: &RunParameter<'_>, inner: &Value) -> Result<ParameterType, ExportError> {
    let row = parameter.row;
    let format = inner.get("format").and_then(Value::as_str);
    let format = format.ok_or_else(|| row.fault("value", "a timestamp with a `format`"))?;
    let strftime = date::strftime(format).map_err(|rest| {
        let (table, id) = (row.table, row.id);
        ExportError::DateFormat { table, id, format: format.to_owned(), rest }
    })?;
    let offset = date::offset(inner.get("timestampOffset").or_else(|| inner.get("offset")));
    let zone = inner.get("timezone").and_then(Value::as_str).filter(|zone| !zone.is_empty());
    Ok(ParameterType::Date {
        format: strftime,
        zone: zone.unwrap_or("UTC").to_owned(),
        offset: offset.map_err(|()| row.fault("value", "a timestamp with a known offset"))?,
    })
}
