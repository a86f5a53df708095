//! Datasets: what an output reads, where it lies, and what has to happen to it before a recipe can
//! read it.

use serde_json::{Map, Value, json};

use super::ExportError;
use super::model::{Dataset, RunParameter};
use super::payload::{Payloads, add_structured};
use super::row::Row;
use super::text::literal;

/// Storage that engines read files from by themselves.
const FILE_STORAGE: [&str; 19] = [
    "abfs", "abfss", "adl", "adls", "blob", "dbfs", "file", "gcs", "gs", "hdfs", "local", "maprfs",
    "s3", "s3a", "s3n", "tfs", "upload", "wasb", "wasbs",
];

/// What happens to a dataset before a recipe can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preparation {
    /// Nothing: the engine reads the file where it lies.
    None,
    /// The file is turned into one that engines read.
    Convert,
    /// The content is copied from behind its connection.
    Ingest,
}

impl Dataset<'_> {
    /// Says what happens to the dataset before a recipe can read it.
    pub(super) fn preparation(&self) -> Result<Preparation, ExportError> {
        let storage = self.storage_type()?.unwrap_or("file").to_lowercase();
        if self.relational.is_some() || !FILE_STORAGE.contains(&storage.as_str()) {
            return Ok(Preparation::Ingest);
        }
        let converted = self.converted.is_some() || self.row.flag("isConverted")?;
        Ok(if converted { Preparation::Convert } else { Preparation::None })
    }

    fn storage_type(&self) -> Result<Option<&str>, ExportError> {
        let storage = self.storage.unwrap_or(self.row);
        match storage.maybe_text("type")? {
            Some(found) => Ok(Some(found)),
            None => self.row.maybe_text("type"),
        }
    }

    /// Finds the text of one part of the location: the template where parameters go into it, else
    /// what is stored.
    fn part(&self, part: &Part, dynamic: bool) -> Result<&str, ExportError> {
        let template = if dynamic { self.row.maybe_text(part.template)? } else { None };
        let stored = self.storage.map(|storage| storage.maybe_text(part.stored)).transpose()?;
        let stored = stored.flatten().filter(|text| !text.is_empty());
        let own = self.row.maybe_text(part.stored)?;
        Ok(template.or(stored).or(own).unwrap_or(""))
    }
}

/// A part of a location that parameters may go into.
struct Part {
    /// The word in a parameter's `type`.
    word: &'static str,
    stored: &'static str,
    template: &'static str,
}

const PARTS: [Part; 4] = [
    Part { word: "path", stored: "path", template: "dynamicPath" },
    Part { word: "bucket", stored: "bucket", template: "dynamicBucket" },
    Part { word: "host", stored: "host", template: "dynamicHost" },
    Part { word: "userinfo", stored: "userinfo", template: "dynamicUserInfo" },
];

impl<'a> Payloads<'a, '_> {
    /// Describes a dataset: what it is called, where it lies, what it is read through.
    pub(super) fn dataset(
        &mut self,
        script: i64,
        flow: usize,
    ) -> Result<Map<String, Value>, ExportError> {
        let export = self.export;
        let dataset = &export.datasets[&script];
        if dataset.storage.is_none() && dataset.relational.is_none() {
            return Err(dataset.row.fault("storageLocationId", "a storage location"));
        }
        let mut described = Map::new();
        described.insert("id".to_owned(), json!(dataset.row.id));
        described.insert("name".to_owned(), json!(literal(&export.recipe_name(script))));
        if let Some(storage) = dataset.storage_type()? {
            described.insert("type".to_owned(), json!(literal(storage)));
        }
        self.location(dataset, flow, &mut described)?;
        if let Some(relational) = dataset.relational {
            self.relational(dataset, relational, flow, &mut described)?;
        }
        if let Some(converted) = dataset.converted {
            let converted = self.fields(converted, &["id", "datasourceId"])?;
            described.insert("converted".to_owned(), Value::Object(converted));
        }
        self.add_connection(dataset.row, &mut described)?;
        self.budget.charge(described.len() * 48)?;
        Ok(described)
    }

    fn location(
        &mut self,
        dataset: &Dataset<'a>,
        flow: usize,
        described: &mut Map<String, Value>,
    ) -> Result<(), ExportError> {
        let mut structured = Vec::new();
        let mut path = String::new();
        let mut moved = false;
        for part in &PARTS {
            let parameters = parameters_of(dataset, part.word);
            let dynamic = !parameters.is_empty();
            let woven = self.weave(dataset.part(part, dynamic)?, flow, &parameters)?;
            structured.extend(woven.structured);
            if part.word == "path" {
                path.clone_from(&woven.text);
            } else {
                moved |= dynamic;
            }
            if !woven.text.is_empty() {
                described.insert(part.stored.to_owned(), Value::String(woven.text));
            }
        }
        let storage = dataset.storage.unwrap_or(dataset.row);
        for field in ["container", "blobHost"] {
            if let Some(text) = storage.maybe_text(field)? {
                described.insert(field.to_owned(), json!(literal(text)));
            }
        }
        let uri = storage.maybe_text("fullUri")?.filter(|uri| uri.contains("://") && !moved);
        let stored = storage.maybe_text("path")?.unwrap_or("");
        if let Some(before) = uri.and_then(|uri| uri.strip_suffix(stored)) {
            described.insert("uri".to_owned(), Value::String(literal(before) + &path));
        }
        add_structured(described, structured);
        Ok(())
    }

    fn relational(
        &mut self,
        dataset: &Dataset<'a>,
        relational: Row<'a>,
        flow: usize,
        described: &mut Map<String, Value>,
    ) -> Result<(), ExportError> {
        let fields = self.fields(relational, &["id", "datasourceId", "raw"])?;
        described.extend(fields);
        let texts: Vec<&str> = match relational.value("raw") {
            None => return Ok(()),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
            Some(_) => return Err(relational.fault("raw", "a text or a list of texts")),
        };
        let parameters = parameters_of(dataset, "sql");
        let mut statements = Vec::new();
        for (at, text) in texts.into_iter().enumerate() {
            let parameters = if at == 0 { parameters.as_slice() } else { &[] };
            let woven = self.weave(text, flow, parameters)?;
            add_structured(described, woven.structured);
            statements.push(Value::String(woven.text));
        }
        if statements.len() == 1 {
            described.insert("sql".to_owned(), statements.remove(0));
        } else if !statements.is_empty() {
            described.insert("sql".to_owned(), Value::Array(statements));
        }
        Ok(())
    }
}

fn parameters_of<'d, 'a>(dataset: &'d Dataset<'a>, part: &str) -> Vec<&'d RunParameter<'a>> {
    let is_part = |it: &&RunParameter<'_>| it.part.eq_ignore_ascii_case(part);
    dataset.parameters.iter().filter(is_part).collect()
}
