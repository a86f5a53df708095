//! What both layouts are read into: an export with its joins made and its references checked.
//! Rows stay borrowed from the document; nothing is copied before expansion.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ExportError;
use super::row::{Row, rows};

/// A whole export. Nodes are known by their place in `nodes`, flows by their place in `flows`.
pub(super) struct Export<'a> {
    pub(super) flows: Vec<ExportedFlow<'a>>,
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) recipes: BTreeMap<i64, Recipe<'a>>,
    /// By the id of the recipe that parses the dataset.
    pub(super) datasets: BTreeMap<i64, Dataset<'a>>,
    pub(super) connections: BTreeMap<i64, Row<'a>>,
    pub(super) artifacts: BTreeMap<i64, Row<'a>>,
}

pub(super) struct ExportedFlow<'a> {
    pub(super) row: Row<'a>,
    pub(super) parameters: Vec<RunParameter<'a>>,
    pub(super) overrides: BTreeMap<&'a str, String>,
    pub(super) outputs: Vec<OutputObject<'a>>,
}

/// A node of a flow's graph.
pub(super) struct Node<'a> {
    pub(super) row: Row<'a>,
    pub(super) flow: usize,
    pub(super) work: Work,
    /// What flows into it, in the order of the edges.
    pub(super) inputs: Vec<Input>,
}

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A recipe, by its id.
    Recipe(i64),
    /// A dataset, by the id of the recipe that parses it.
    Dataset(i64),
    /// A node of another flow, its only input.
    Reference,
}

/// An edge, seen from where it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub(super) from: usize,
    pub(super) port: Option<i64>,
}

pub(super) struct Recipe<'a> {
    pub(super) row: Row<'a>,
    pub(super) steps: Vec<Row<'a>>,
    /// The mapping artifacts that its steps use.
    pub(super) artifacts: Vec<i64>,
}

pub(super) struct Dataset<'a> {
    pub(super) row: Row<'a>,
    pub(super) storage: Option<Row<'a>>,
    pub(super) relational: Option<Row<'a>>,
    pub(super) converted: Option<Row<'a>>,
    pub(super) parameters: Vec<RunParameter<'a>>,
}

pub(super) struct OutputObject<'a> {
    pub(super) row: Row<'a>,
    pub(super) node: usize,
    pub(super) write_settings: Vec<Target<'a>>,
    pub(super) publications: Vec<Target<'a>>,
    pub(super) scripts: Vec<Target<'a>>,
    /// The options of engines, by the name under which they travel.
    pub(super) options: Vec<(&'static str, Vec<Row<'a>>)>,
}

/// Something that an output object writes or runs.
pub(super) struct Target<'a> {
    pub(super) row: Row<'a>,
    pub(super) parameters: Vec<RunParameter<'a>>,
}

/// A parameter as an object of the export holds it.
#[derive(Clone)]
pub(super) struct RunParameter<'a> {
    pub(super) row: Row<'a>,
    /// Which part of the object it goes into: `path`, `sql`, `bucket`, `host`, `userinfo`.
    pub(super) part: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) value: &'a Value,
    /// Where its value goes: an index in UTF-16 units, and an order among equal indices.
    pub(super) insertions: Vec<(i64, i64)>,
}

impl<'a> RunParameter<'a> {
    /// Joins a parameter and its edit, which holds all but its part.
    pub(super) fn new(row: Row<'a>, edit: Row<'a>) -> Result<Self, ExportError> {
        let mut insertions = Vec::new();
        for insertion in edit.list("insertionIndices")? {
            let of = |field| insertion.get(field).and_then(Value::as_i64);
            let index = of("index").ok_or_else(|| edit.fault("insertionIndices", "indices"))?;
            let place = (index, of("order").unwrap_or(0));
            if !insertions.contains(&place) {
                insertions.push(place);
            }
        }
        Ok(Self {
            row,
            part: row.maybe_text("type")?.unwrap_or("path"),
            key: edit.maybe_text("overrideKey")?.map(str::trim).filter(|key| !key.is_empty()),
            value: edit.value("value").ok_or_else(|| edit.fault("value", "a value"))?,
            insertions,
        })
    }
}

/// The tables of engine options that an output object may have, and the names under which they
/// travel in payloads.
pub(super) const OPTION_TABLES: [(&str, &str); 4] = [
    ("outputobjectdataflowoptions", "dataflow"),
    ("outputobjectsparkoptions", "spark"),
    ("outputobjectdatabricksoptions", "databricks"),
    ("outputobjectemroptions", "emr"),
];

/// Where a node comes from before its edges are known.
pub(super) struct FlowNodes<'a> {
    pub(super) flow: usize,
    pub(super) nodes: Vec<Row<'a>>,
    pub(super) edges: Vec<Row<'a>>,
}

/// Makes the graph: finds what each node stands for, and joins the edges.
pub(super) fn connect<'a>(
    parts: &[FlowNodes<'a>],
    recipes: &BTreeMap<i64, Recipe<'a>>,
    datasets: &BTreeMap<i64, Dataset<'a>>,
) -> Result<(Vec<Node<'a>>, BTreeMap<i64, usize>), ExportError> {
    let mut places = BTreeMap::new();
    let mut nodes = Vec::new();
    for part in parts {
        for &row in &part.nodes {
            if places.insert(row.id, nodes.len()).is_some() {
                return Err(ExportError::Duplicate { table: "flownodes", id: row.id });
            }
            let work = work(row, recipes, datasets)?;
            nodes.push(Node { row, flow: part.flow, work, inputs: Vec::new() });
        }
    }
    let published: BTreeMap<i64, usize> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.work != Work::Reference)
        .filter_map(|(at, node)| Some((node.row.fields.get("referenceId")?.as_i64()?, at)))
        .collect();
    for node in &mut nodes {
        if node.work == Work::Reference {
            node.inputs =
                vec![Input { from: referenced(node.row, &places, &published)?, port: None }];
        }
    }
    let mut edges = std::collections::BTreeSet::new();
    for &edge in parts.iter().flat_map(|part| &part.edges) {
        if !edges.insert(edge.id) {
            return Err(ExportError::Duplicate { table: "flowedges", id: edge.id });
        }
        let end = |field| {
            let id = edge.int(field)?;
            places.get(&id).copied().ok_or_else(|| edge.dangling(field, "flownodes", id))
        };
        let (from, to) = (end("inFlowNodeId")?, end("outFlowNodeId")?);
        let port = edge.maybe_int("outPortId")?;
        nodes[to].inputs.push(Input { from, port });
    }
    Ok((nodes, places))
}

fn work(
    row: Row<'_>,
    recipes: &BTreeMap<i64, Recipe<'_>>,
    datasets: &BTreeMap<i64, Dataset<'_>>,
) -> Result<Work, ExportError> {
    let Some(script) = row.maybe_int("scriptId")? else { return Ok(Work::Reference) };
    if datasets.contains_key(&script) {
        return Ok(Work::Dataset(script));
    }
    if row.flag("wrangled")? {
        let known = recipes.contains_key(&script);
        return if known {
            Ok(Work::Recipe(script))
        } else {
            Err(row.dangling("scriptId", "recipes", script))
        };
    }
    if row.value("flowNodeId").is_some() {
        return Ok(Work::Reference);
    }
    Err(row.dangling("scriptId", "datasources", script))
}

/// Finds the node to which a reference leads: by its id, or by what it publishes.
fn referenced(
    row: Row<'_>,
    places: &BTreeMap<i64, usize>,
    published: &BTreeMap<i64, usize>,
) -> Result<usize, ExportError> {
    let nested = row.nested("flownodes", "referencedFlowNode")?.map(|target| target.id);
    let (field, id) = match (row.maybe_int("flowNodeId")?, nested) {
        (Some(id), _) => ("flowNodeId", id),
        (None, Some(id)) => ("referencedFlowNode", id),
        (None, None) => {
            let Some(id) = row.maybe_int("referenceId")? else {
                return Err(row.fault("scriptId", "a recipe, a dataset or a referenced node"));
            };
            let place = published.get(&id).copied();
            return place.ok_or_else(|| row.dangling("referenceId", "flownodes", id));
        }
    };
    places.get(&id).copied().ok_or_else(|| row.dangling(field, "flownodes", id))
}

/// Reads the overrides of a flow: plain texts, or the shape of a parameter's value.
pub(super) fn overrides<'a>(
    rows: impl IntoIterator<Item = Row<'a>>,
) -> Result<BTreeMap<&'a str, String>, ExportError> {
    let mut overrides = BTreeMap::new();
    for row in rows {
        let value = row.value("value").ok_or_else(|| row.fault("value", "a text"))?;
        let inner = ["variable", "selector"].iter().find_map(|kind| value.get(kind)?.get("value"));
        let text = match inner.unwrap_or(value) {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err(row.fault("value", "a text")),
        };
        overrides.insert(row.text("overrideKey")?.trim(), text);
    }
    Ok(overrides)
}

/// Reads the artifact ids of a recipe step that lists its mappings.
pub(super) fn step_artifacts(step: Row<'_>) -> Result<Vec<i64>, ExportError> {
    let mut ids = Vec::new();
    for table in ["targetmappingartifacts", "pbemappingartifacts"] {
        for row in rows(table, step.list(table)?)? {
            ids.push(row.int("artifactId")?);
        }
    }
    Ok(ids)
}
