//! Exported flow packages of releases 6.0 to 8.6: one JSON or JSON5 document, and files of mapping
//! artifacts beside it. Two layouts are read into one model, and the model is expanded into steps.
//!
//! ```text
//! document ─ flat (6.0–6.4) ───┐
//!          └ nested (6.8–8.6) ─┴→ model → graph → expand → Package
//! ```
//!
//! Recipe steps stay opaque; nothing here runs or interprets them.

mod dataset;
mod date;
mod expand;
mod flat;
mod graph;
mod model;
mod name;
mod nested;
mod parameter;
mod payload;
mod row;
mod text;
mod wrangle;

use jobwright_core::{FlowName, NameError, Origin, Package, PackageName};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::files::Files;
use crate::limits::Limits;
use expand::expand;
use graph::Graph;
use model::{Export, Work};
use name::{Names, readable};
use payload::Budget;

/// The oldest and the newest release whose exports are read.
const RELEASES: std::ops::RangeInclusive<(u32, u32)> = (6, 0)..=(8, 6);

/// Why an exported package is refused. Each names the table and the id of the row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The export does not say which release wrote it.
    #[error("`metadata.trifactaVersion` is missing or no version")]
    NoVersion,
    /// The export was written by a release that is not known here.
    #[error("the package was exported by release `{found}`, this engine reads 6.0 to 8.6")]
    Version {
        /// The release.
        found: String,
    },
    /// A table is missing, or is no list.
    #[error("table `{table}` is missing")]
    MissingTable {
        /// The table.
        table: &'static str,
    },
    /// A row is no object.
    #[error("a row of table `{table}` is no object")]
    NoRow {
        /// The table.
        table: &'static str,
    },
    /// A row has no id.
    #[error("a row of table `{table}` has no whole number as `id`")]
    NoId {
        /// The table.
        table: &'static str,
    },
    /// Two rows have one id.
    #[error("{table} {id} occurs twice")]
    Duplicate {
        /// The table.
        table: &'static str,
        /// The id.
        id: i64,
    },
    /// A field is missing, or is of another type.
    #[error("{table} {id}: `{field}` is not {expected}")]
    Field {
        /// The table.
        table: &'static str,
        /// The id of the row.
        id: i64,
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field names a row that does not exist.
    #[error("{table} {id}: `{field}` is {to}, which is not among {target}")]
    Dangling {
        /// The table.
        table: &'static str,
        /// The id of the row.
        id: i64,
        /// The field.
        field: &'static str,
        /// The table that should have the other row.
        target: &'static str,
        /// The id that it does not have.
        to: i64,
    },
    /// Recipes flow into each other in a circle.
    #[error("the recipes form a cycle: {}", .names.join(" → "))]
    Cycle {
        /// The recipes along the cycle, the first one again at the end.
        names: Vec<String>,
    },
    /// No flow is called primary.
    #[error("`metadata.primaryFlowIds` names no flow")]
    NoPrimary,
    /// A primary flow does not exist.
    #[error("`metadata.primaryFlowIds` names {0}, which is not among flows")]
    UnknownPrimary(i64),
    /// An output object hangs on something that is no recipe.
    #[error("outputobjects {id}: flow node {node} is neither a recipe nor a dataset")]
    OutputNode {
        /// The output object.
        id: i64,
        /// The flow node.
        node: i64,
    },
    /// The value of a parameter goes into a place that its text does not have.
    #[error("{table} {id}: index {index} of `insertionIndices` lies outside its text")]
    Insertion {
        /// The table.
        table: &'static str,
        /// The parameter.
        id: i64,
        /// The index.
        index: i64,
    },
    /// A date is written in a way that is not known here.
    #[error("{table} {id}: date format `{format}` is not understood from `{rest}` on")]
    DateFormat {
        /// The table.
        table: &'static str,
        /// The parameter.
        id: i64,
        /// The format.
        format: String,
        /// Its rest, from what is not understood.
        rest: String,
    },
    /// The name of a parameter, or of an engine, cannot be one here.
    #[error("{table} {id}: {source}")]
    Name {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
        /// What is wrong with it.
        source: NameError,
    },
    /// A mapping artifact is used, but its file is not in the package.
    #[error("artifacts {id}: the package has no file `{file}`")]
    MissingArtifact {
        /// The artifact.
        id: i64,
        /// The file.
        file: String,
    },
    /// The steps of all outputs together would hold too much.
    #[error("outputobjects {id}: with it, the steps of the package hold more than {allowed} bytes")]
    TooLarge {
        /// The output object at which the bound was reached.
        id: i64,
        /// The bound.
        allowed: u64,
    },
}

/// Tells whether a document has the outer shape of an export.
pub(crate) fn is_export(document: &Value) -> bool {
    let is_map = |field| document.get(field).is_some_and(Value::is_object);
    is_map("metadata") && is_map("data")
}

/// Reads an export; `files` are those beside its document.
pub(crate) fn read(
    document: &Value,
    files: &Files,
    limits: &Limits,
) -> Result<Package, ExportError> {
    let part = |field| document.get(field).and_then(Value::as_object);
    let metadata = part("metadata").ok_or(ExportError::NoVersion)?;
    let data = part("data").ok_or(ExportError::MissingTable { table: "data" })?;
    let origin = origin(metadata)?;
    let export = if is_nested(data) { nested::read(data)? } else { flat::read(data)? };
    let graph = Graph::new(&export)?;
    let mut names = Names::default();
    let names: Vec<FlowName> = (export.flows.iter())
        .map(|flow| {
            let id = flow.row.id;
            let text = readable(flow.row.maybe_text("name")?.unwrap_or(""), &format!("flow {id}"));
            let name = FlowName::new(&names.take(&text, id));
            name.map_err(|source| ExportError::Name { table: "flows", id, source })
        })
        .collect::<Result<_, ExportError>>()?;
    let primary = primary(metadata, &export, &names)?;
    let mut budget = Budget::new(limits.total_bytes);
    let mut flows = Vec::new();
    for (flow, name) in names.iter().enumerate() {
        flows.push(expand(&export, &graph, files, &mut budget, flow, name)?);
    }
    let first = primary.first().ok_or(ExportError::NoPrimary)?.as_str();
    let name = PackageName::new(first);
    let flow = export.flows.iter().zip(&names).find(|(_, name)| name.as_str() == first);
    let id = flow.map_or(0, |(flow, _)| flow.row.id);
    let description = flow.map(|(flow, _)| flow.row.maybe_text("description")).transpose()?;
    Ok(Package {
        name: name.map_err(|source| ExportError::Name { table: "flows", id, source })?,
        version: String::new(),
        description: description.flatten().unwrap_or("").to_owned(),
        origin: Some(origin),
        primary,
        flows,
        artifacts: Vec::new(),
    })
}

/// Tells the layouts apart by their shape: in the nested one, a flow holds its nodes.
fn is_nested(data: &Map<String, Value>) -> bool {
    let flows = data.get("flows").and_then(Value::as_array);
    let first = flows.and_then(|flows| flows.first());
    match first {
        Some(flow) => flow.get("flownodes").is_some() || !data.contains_key("flownodes"),
        None => !data.contains_key("flownodes"),
    }
}

fn origin(metadata: &Map<String, Value>) -> Result<Origin, ExportError> {
    let text = |field| metadata.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    let product = text("trifactaVersion");
    let mut numbers = product.split(['.', '+', '-']).map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return Err(ExportError::NoVersion);
    };
    if !RELEASES.contains(&(major, minor)) {
        return Err(ExportError::Version { found: product });
    }
    Ok(Origin {
        product,
        edition: text("edition"),
        exported_at: text("exportedAt"),
        uuid: text("uuid"),
        comment: text("comment"),
    })
}

fn primary(
    metadata: &Map<String, Value>,
    export: &Export<'_>,
    names: &[FlowName],
) -> Result<Vec<FlowName>, ExportError> {
    let ids = metadata.get("primaryFlowIds").and_then(Value::as_array);
    let mut primary = Vec::new();
    for id in ids.ok_or(ExportError::NoPrimary)? {
        let id = id.as_i64().ok_or(ExportError::NoPrimary)?;
        let at = export.flows.iter().position(|flow| flow.row.id == id);
        let name = &names[at.ok_or(ExportError::UnknownPrimary(id))?];
        if !primary.contains(name) {
            primary.push(name.clone());
        }
    }
    if primary.is_empty() { Err(ExportError::NoPrimary) } else { Ok(primary) }
}

impl Export<'_> {
    /// Names a node for people: by its recipe or dataset, else by its id.
    fn node_name(&self, node: usize) -> String {
        let node = &self.nodes[node];
        let (Work::Recipe(script) | Work::Dataset(script)) = node.work else {
            return format!("flow node {}", node.row.id);
        };
        self.recipe_name(script)
    }

    /// Names a recipe, or the dataset that it parses.
    fn recipe_name(&self, script: i64) -> String {
        let recipe = self.recipes.get(&script).and_then(|it| it.row.value("name"));
        let dataset = self.datasets.get(&script).and_then(|it| it.row.value("name"));
        let name = recipe.or(dataset).and_then(Value::as_str).unwrap_or("");
        readable(name, &format!("recipe {script}"))
    }
}
