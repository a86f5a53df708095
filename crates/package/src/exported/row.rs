//! Rows of an export's tables, read field by field; every fault names the table, the id of the
//! row, and the field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::ExportError;

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) table: &'static str,
    pub(super) id: i64,
    pub(super) fields: &'a Map<String, Value>,
}

impl<'a> Row<'a> {
    /// Takes a value as a row, which has an `id`.
    pub(super) fn new(table: &'static str, value: &'a Value) -> Result<Self, ExportError> {
        let fields = value.as_object().ok_or(ExportError::NoRow { table })?;
        let id = fields.get("id").and_then(Value::as_i64);
        let id = id.ok_or(ExportError::NoId { table })?;
        Ok(Self { table, id, fields })
    }

    /// Takes the object in a field of this row as a row of its own, under this row's id where it
    /// has none.
    pub(super) fn nested(
        self,
        table: &'static str,
        field: &'static str,
    ) -> Result<Option<Row<'a>>, ExportError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let fields = value.as_object().ok_or_else(|| self.fault(field, "an object"))?;
        let id = fields.get("id").and_then(Value::as_i64).unwrap_or(self.id);
        Ok(Some(Row { table, id, fields }))
    }

    pub(super) fn fault(self, field: &'static str, expected: &'static str) -> ExportError {
        ExportError::Field { table: self.table, id: self.id, field, expected }
    }

    /// Says that a field names a row that does not exist.
    pub(super) fn dangling(
        self,
        field: &'static str,
        target: &'static str,
        to: i64,
    ) -> ExportError {
        ExportError::Dangling { table: self.table, id: self.id, field, target, to }
    }

    /// Finds a field that is there and not null.
    pub(super) fn value(self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn int(self, field: &'static str) -> Result<i64, ExportError> {
        self.maybe_int(field)?.ok_or_else(|| self.fault(field, "a whole number"))
    }

    pub(super) fn maybe_int(self, field: &'static str) -> Result<Option<i64>, ExportError> {
        let int = |value: &Value| value.as_i64().ok_or_else(|| self.fault(field, "a whole number"));
        self.value(field).map(int).transpose()
    }

    pub(super) fn text(self, field: &'static str) -> Result<&'a str, ExportError> {
        self.maybe_text(field)?.ok_or_else(|| self.fault(field, "a text"))
    }

    pub(super) fn maybe_text(self, field: &'static str) -> Result<Option<&'a str>, ExportError> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| self.fault(field, "a text"));
        self.value(field).map(text).transpose()
    }

    /// Reads a flag; one that is absent is false.
    pub(super) fn flag(self, field: &'static str) -> Result<bool, ExportError> {
        let flag =
            |value: &Value| value.as_bool().ok_or_else(|| self.fault(field, "true or false"));
        Ok(self.value(field).map(flag).transpose()?.unwrap_or(false))
    }

    /// Reads a list; one that is absent is empty.
    pub(super) fn list(self, field: &'static str) -> Result<&'a [Value], ExportError> {
        match self.value(field) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.fault(field, "a list")),
        }
    }
}

/// Reads the rows of a table, whose ids differ.
pub(super) fn rows<'a>(
    table: &'static str,
    values: &'a [Value],
) -> Result<Vec<Row<'a>>, ExportError> {
    let mut seen = BTreeSet::new();
    let rows: Vec<_> =
        values.iter().map(|value| Row::new(table, value)).collect::<Result<_, _>>()?;
    match rows.iter().find(|row| !seen.insert(row.id)) {
        Some(row) => Err(ExportError::Duplicate { table, id: row.id }),
        None => Ok(rows),
    }
}

/// Finds a table that must be there.
pub(super) fn table<'a>(
    parent: &'a Map<String, Value>,
    table: &'static str,
) -> Result<Vec<Row<'a>>, ExportError> {
    let values = parent.get(table).and_then(Value::as_array);
    rows(table, values.ok_or(ExportError::MissingTable { table })?)
}

/// Finds a table that not all versions have.
pub(super) fn maybe_table<'a>(
    parent: &'a Map<String, Value>,
    table: &'static str,
) -> Result<Vec<Row<'a>>, ExportError> {
    match parent.get(table) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => rows(table, values),
        Some(_) => Err(ExportError::MissingTable { table }),
    }
}

/// Files rows by their ids.
pub(super) fn by_id(rows: Vec<Row<'_>>) -> BTreeMap<i64, Row<'_>> {
    rows.into_iter().map(|row| (row.id, row)).collect()
}
