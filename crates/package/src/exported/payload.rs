//! What steps are given: objects of the export, with texts escaped, bookkeeping left out, and
//! connections and parameters put in.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ExportError;
use super::model::{Export, RunParameter, Target};
use super::parameter::{Declared, Standing};
use super::row::Row;
use super::text::{Insertion, literal, split_uri, weave};

/// Fields that say how the exporting product keeps a row, and who touched it there.
const BOOKKEEPING: [&str; 14] = [
    "createdAt",
    "updatedAt",
    "createdBy",
    "updatedBy",
    "deleted_at",
    "associatedPeople",
    "associatedGroups",
    "workspaceId",
    "cpProject",
    "hash",
    "connectionId",
    "connection",
    "outputObjectId",
    "runParameters",
];

/// How much all payloads of a package may hold. Outputs inline what is upstream of them, so that a
/// small document could otherwise become very large.
pub(super) struct Budget {
    left: u64,
    allowed: u64,
    /// The output object that is being expanded.
    pub(super) output: i64,
}

impl Budget {
    pub(super) fn new(allowed: u64) -> Self {
        Self { left: allowed, allowed, output: 0 }
    }

    /// Takes room for one value with this much text.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), ExportError> {
        const VALUE: u64 = 48;
        let left = self.left.checked_sub(bytes as u64 + VALUE);
        let (id, allowed) = (self.output, self.allowed);
        self.left = left.ok_or(ExportError::TooLarge { id, allowed })?;
        Ok(())
    }
}

/// What payloads are made from.
pub(super) struct Payloads<'a, 'e> {
    pub(super) export: &'e Export<'a>,
    pub(super) declared: Declared<'e>,
    pub(super) budget: &'e mut Budget,
}

/// A text with parameters in it, and those of them that stay objects.
pub(super) struct Woven {
    pub(super) text: String,
    pub(super) structured: Vec<Value>,
}

impl<'a> Payloads<'a, '_> {
    /// Copies a value, with its texts escaped.
    pub(super) fn copy(&mut self, value: &Value) -> Result<Value, ExportError> {
        copy(value, self.budget, &mut |text| literal(text))
    }

    /// Copies the fields of a row, without nulls, bookkeeping, and what is left out by name.
    pub(super) fn fields(
        &mut self,
        row: Row<'_>,
        without: &[&str],
    ) -> Result<Map<String, Value>, ExportError> {
        let mut fields = Map::new();
        for (field, value) in row.fields {
            let field = field.as_str();
            if !value.is_null() && !BOOKKEEPING.contains(&field) && !without.contains(&field) {
                fields.insert(field.to_owned(), self.copy(value)?);
            }
        }
        Ok(fields)
    }

    /// Adds the connection that a row names, as an object.
    pub(super) fn add_connection(
        &mut self,
        row: Row<'_>,
        payload: &mut Map<String, Value>,
    ) -> Result<(), ExportError> {
        if let Some(id) = row.maybe_int("connectionId")? {
            let connection = self.export.connections.get(&id).copied();
            let connection =
                connection.ok_or_else(|| row.dangling("connectionId", "connections", id))?;
            let connection = self.fields(connection, &[])?;
            payload.insert("connection".to_owned(), Value::Object(connection));
        }
        Ok(())
    }

    /// Puts parameters into a literal text. `flow` holds the object that has them.
    pub(super) fn weave(
        &mut self,
        text: &str,
        flow: usize,
        parameters: &[&RunParameter<'a>],
    ) -> Result<Woven, ExportError> {
        let overrides = &self.export.flows[flow].overrides;
        let mut insertions: Vec<Insertion> = Vec::new();
        let mut structured = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for parameter in parameters {
            let standing = self.declared.stand_in(parameter, overrides)?;
            let mark = match standing {
                Standing::Text(text) => text,
                Standing::Structured(mark) => {
                    let mut object = json!({"placeholder": mark});
                    if let (Some(object), Value::Object(value)) =
                        (object.as_object_mut(), self.copy(parameter.value)?)
                    {
                        object.extend(value);
                    }
                    structured.push(object);
                    mark
                }
            };
            for &(index, order) in &parameter.insertions {
                if seen.insert((index, order, mark.clone())) {
                    insertions.push(Insertion { index, order, text: mark.clone() });
                }
            }
        }
        self.budget
            .charge(text.len() + insertions.iter().map(|it| it.text.len()).sum::<usize>())?;
        let text = weave(text, insertions).map_err(|index| {
            let at = |it: &&&RunParameter<'_>| it.insertions.iter().any(|place| place.0 == index);
            let row = parameters.iter().find(at).map(|it| it.row);
            let (table, id) = row.map_or(("runparameters", 0), |row| (row.table, row.id));
            ExportError::Insertion { table, id, index }
        })?;
        Ok(Woven { text, structured })
    }

    /// Makes the payload of a file that is written: its setting, and where it goes.
    pub(super) fn write_setting(
        &mut self,
        target: &Target<'a>,
        flow: usize,
    ) -> Result<Map<String, Value>, ExportError> {
        let mut payload = self.fields(target.row, &["path"])?;
        let path = target.row.maybe_text("path")?.unwrap_or("");
        let parameters: Vec<_> = target.parameters.iter().collect();
        let (before, path) = split_uri(path);
        let woven = self.weave(path, flow, &parameters)?;
        payload.insert("path".to_owned(), Value::String(literal(before) + &woven.text));
        add_structured(&mut payload, woven.structured);
        self.add_connection(target.row, &mut payload)?;
        Ok(payload)
    }

    /// Makes the payload of a table that is loaded.
    pub(super) fn publication(
        &mut self,
        target: &Target<'a>,
        flow: usize,
    ) -> Result<Map<String, Value>, ExportError> {
        let mut payload = self.fields(target.row, &["path", "tableName"])?;
        if let Some(path) = target.row.value("path") {
            payload.insert("relationalPath".to_owned(), self.copy(path)?);
        }
        let table = target.row.maybe_text("tableName")?.unwrap_or("");
        let parameters: Vec<_> = target.parameters.iter().collect();
        let woven = self.weave(table, flow, &parameters)?;
        payload.insert("tableName".to_owned(), Value::String(woven.text));
        add_structured(&mut payload, woven.structured);
        self.add_connection(target.row, &mut payload)?;
        Ok(payload)
    }

    /// Makes the payload of an SQL script.
    pub(super) fn script(
        &mut self,
        target: &Target<'a>,
        flow: usize,
    ) -> Result<Map<String, Value>, ExportError> {
        let mut payload = self.fields(target.row, &["sqlScript"])?;
        let text = target.row.text("sqlScript")?;
        let parameters: Vec<_> = target.parameters.iter().collect();
        let woven = self.weave(text, flow, &parameters)?;
        payload.insert("sqlScript".to_owned(), Value::String(woven.text));
        add_structured(&mut payload, woven.structured);
        self.add_connection(target.row, &mut payload)?;
        Ok(payload)
    }

    /// Makes an object of the options that an output object gives its engine.
    pub(super) fn options(
        &mut self,
        options: &[(&'static str, Vec<Row<'a>>)],
    ) -> Result<Option<Value>, ExportError> {
        let mut all = Map::new();
        for (name, rows) in options {
            let mut values: BTreeMap<&str, Value> = BTreeMap::new();
            for row in rows {
                if let (Some(key), Some(value)) = (row.maybe_text("key")?, row.value("value")) {
                    values.insert(key, self.copy(value)?);
                }
            }
            if !values.is_empty() {
                all.insert((*name).to_owned(), json!(values));
            }
        }
        Ok((!all.is_empty()).then_some(Value::Object(all)))
    }
}

/// Adds the parameters that stay objects. A publication's own `parameters` are options of its
/// target, so these have a key of their own.
pub(super) fn add_structured(payload: &mut Map<String, Value>, structured: Vec<Value>) {
    if !structured.is_empty() {
        payload.insert("placeholders".to_owned(), Value::Array(structured));
    }
}

/// Copies a value with its texts changed; as deep as the document, whose depth is bounded.
pub(super) fn copy<'v>(
    value: &'v Value,
    budget: &mut Budget,
    text: &mut dyn FnMut(&'v str) -> String,
) -> Result<Value, ExportError> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            budget.charge(0)?;
            Ok(value.clone())
        }
        Value::String(string) => {
            let string = text(string);
            budget.charge(string.len())?;
            Ok(Value::String(string))
        }
        Value::Array(items) => {
            budget.charge(0)?;
            items.iter().map(|item| copy(item, budget, text)).collect()
        }
        Value::Object(fields) => {
            budget.charge(0)?;
            let mut copied = Map::new();
            for (field, value) in fields {
                budget.charge(field.len())?;
                copied.insert(field.clone(), copy(value, budget, text)?);
            }
            Ok(Value::Object(copied))
        }
    }
}
