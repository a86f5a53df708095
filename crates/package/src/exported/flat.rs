//! Layout A, 6.0 to 6.4: `data` is a relational dump, one list of rows per table. Reading it means
//! making its joins.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ExportError;
use super::model::{
    Dataset, Export, ExportedFlow, FlowNodes, OPTION_TABLES, OutputObject, Recipe, RunParameter,
    Target, connect, overrides,
};
use super::row::{Row, by_id, maybe_table, table};

/// Rows by the id in one of their fields, in the order of the table.
type Groups<'a, T> = BTreeMap<i64, Vec<T>>;

/// Reads the flat layout.
pub(super) fn read(data: &Map<String, Value>) -> Result<Export<'_>, ExportError> {
    let flow_rows = table(data, "flows")?;
    let flow_of: BTreeMap<i64, usize> =
        flow_rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    let mut parameters = parameters(data)?;
    let recipes = recipes(data)?;
    let datasets = datasets(data, &mut parameters)?;
    let part = |flow| FlowNodes { flow, nodes: Vec::new(), edges: Vec::new() };
    let mut parts: Vec<_> = (0..flow_rows.len()).map(part).collect();
    let place = |row: Row<'_>| {
        let id = row.int("flowId")?;
        flow_of.get(&id).copied().ok_or_else(|| row.dangling("flowId", "flows", id))
    };
    for row in table(data, "flownodes")? {
        parts[place(row)?].nodes.push(row);
    }
    for row in table(data, "flowedges")? {
        parts[place(row)?].edges.push(row);
    }
    let (nodes, places) = connect(&parts, &recipes, &datasets)?;
    let mut override_rows: Groups<'_, Row<'_>> = BTreeMap::new();
    for row in table(data, "flowrunparameteroverrides")? {
        place(row)?;
        override_rows.entry(row.int("flowId")?).or_default().push(row);
    }
    let mut flows = Vec::new();
    for row in flow_rows {
        flows.push(ExportedFlow {
            row,
            parameters: parameters.take("flowId", row.id),
            overrides: overrides(override_rows.remove(&row.id).unwrap_or_default())?,
            outputs: Vec::new(),
        });
    }
    for object in outputs(data, &places, &mut parameters)? {
        flows[nodes[object.node].flow].outputs.push(object);
    }
    Ok(Export {
        flows,
        nodes,
        recipes,
        datasets,
        connections: by_id(table(data, "connections")?),
        artifacts: by_id(maybe_table(data, "artifacts")?),
    })
}

/// Parameters by what they belong to.
struct Parameters<'a>(BTreeMap<(&'static str, i64), Vec<RunParameter<'a>>>);

impl<'a> Parameters<'a> {
    fn take(&mut self, owner: &'static str, id: i64) -> Vec<RunParameter<'a>> {
        self.0.remove(&(owner, id)).unwrap_or_default()
    }
}

/// The fields by which a parameter names its owner: as spelled in a row, and as it is filed here.
const OWNERS: [(&str, &str); 7] = [
    ("datasourceId", "datasourceId"),
    ("writesettingId", "writesettingId"),
    ("writeSettingId", "writesettingId"),
    ("publicationId", "publicationId"),
    ("sqlscriptId", "sqlscriptId"),
    ("sqlScriptId", "sqlscriptId"),
    ("flowId", "flowId"),
];

fn parameters(data: &Map<String, Value>) -> Result<Parameters<'_>, ExportError> {
    let edits = by_id(table(data, "runparameteredits")?);
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in table(data, "runparameters")? {
        let edit = match row.maybe_int("runParameterEditId")? {
            Some(id) => *edits
                .get(&id)
                .ok_or_else(|| row.dangling("runParameterEditId", "runparameteredits", id))?,
            None => row,
        };
        let owner = OWNERS.iter().find(|(field, _)| row.value(field).is_some());
        let &(field, owner) =
            owner.ok_or_else(|| row.fault("datasourceId", "the id of an owner"))?;
        let id = row.int(field)?;
        all.entry((owner, id)).or_default().push(RunParameter::new(row, edit)?);
    }
    Ok(Parameters(all))
}

fn recipes(data: &Map<String, Value>) -> Result<BTreeMap<i64, Recipe<'_>>, ExportError> {
    let lines = by_id(table(data, "scriptlines")?);
    let mut artifacts: Groups<'_, i64> = BTreeMap::new();
    for table in ["targetmappingartifacts", "pbemappingartifacts"] {
        for row in maybe_table(data, table)? {
            let line = match row.maybe_int("scriptlineId")? {
                Some(line) => line,
                None => row.int("scriptLineId")?,
            };
            artifacts.entry(line).or_default().push(row.int("artifactId")?);
        }
    }
    let edits: std::collections::BTreeSet<i64> =
        table(data, "edits")?.into_iter().map(|row| row.id).collect();
    let mut contents: Groups<'_, (i64, Row<'_>)> = BTreeMap::new();
    let join = data.get("editsscriptlines").and_then(Value::as_array);
    for value in join.ok_or(ExportError::MissingTable { table: "editsscriptlines" })? {
        let fields = value.as_object();
        let fields = fields.ok_or(ExportError::NoRow { table: "editsscriptlines" })?;
        let id = fields.get("editId").and_then(Value::as_i64).unwrap_or(0);
        let row = Row { table: "editsscriptlines", id, fields };
        let line = row.int("scriptlineId")?;
        let found =
            lines.get(&line).ok_or_else(|| row.dangling("scriptlineId", "scriptlines", line))?;
        contents.entry(row.int("editId")?).or_default().push((row.int("index")?, *found));
    }
    let mut recipes = BTreeMap::new();
    for row in table(data, "editablescripts")? {
        let mut steps = Vec::new();
        if let Some(edit) = row.maybe_int("currentEditId")? {
            if !edits.contains(&edit) {
                return Err(row.dangling("currentEditId", "edits", edit));
            }
            steps = contents.remove(&edit).unwrap_or_default();
        }
        steps.sort_by_key(|(index, _)| *index);
        let steps: Vec<_> = steps.into_iter().map(|(_, line)| line).collect();
        let used = steps.iter().filter_map(|line| artifacts.get(&line.id));
        let artifacts = used.flatten().copied().collect();
        recipes.insert(row.id, Recipe { row, steps, artifacts });
    }
    Ok(recipes)
}

fn datasets<'a>(
    data: &'a Map<String, Value>,
    parameters: &mut Parameters<'a>,
) -> Result<BTreeMap<i64, Dataset<'a>>, ExportError> {
    let storages = by_id(table(data, "storagelocations")?);
    let rows = table(data, "datasources")?;
    let ids: std::collections::BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    let by_dataset = |name| {
        let mut all = BTreeMap::new();
        for row in table(data, name)? {
            let id = row.int("datasourceId")?;
            if !ids.contains(&id) {
                return Err(row.dangling("datasourceId", "datasources", id));
            }
            all.insert(id, row);
        }
        Ok(all)
    };
    let mut relational = by_dataset("relationalsources")?;
    let mut converted = by_dataset("convertedsources")?;
    let mut datasets = BTreeMap::new();
    for row in rows {
        let storage = match row.maybe_int("storageLocationId")? {
            Some(id) => Some(
                *storages
                    .get(&id)
                    .ok_or_else(|| row.dangling("storageLocationId", "storagelocations", id))?,
            ),
            None => None,
        };
        let dataset = Dataset {
            row,
            storage,
            relational: relational.remove(&row.id),
            converted: converted.remove(&row.id),
            parameters: parameters.take("datasourceId", row.id),
        };
        if datasets.insert(row.int("parsingScriptId")?, dataset).is_some() {
            return Err(row.fault("parsingScriptId", "a recipe of its own"));
        }
    }
    Ok(datasets)
}

fn outputs<'a>(
    data: &'a Map<String, Value>,
    places: &BTreeMap<i64, usize>,
    parameters: &mut Parameters<'a>,
) -> Result<Vec<OutputObject<'a>>, ExportError> {
    let rows = table(data, "outputobjects")?;
    let ids: std::collections::BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    let group = |rows: Vec<Row<'a>>| {
        let mut groups: Groups<'_, Row<'_>> = BTreeMap::new();
        for row in rows {
            let id = row.int("outputObjectId")?;
            if !ids.contains(&id) {
                return Err(row.dangling("outputObjectId", "outputobjects", id));
            }
            groups.entry(id).or_default().push(row);
        }
        Ok(groups)
    };
    let mut write_settings = group(table(data, "writesettings")?)?;
    let mut publications = group(table(data, "publications")?)?;
    let mut scripts = group(maybe_table(data, "sqlscripts")?)?;
    let mut options = Vec::new();
    for (name, travels_as) in OPTION_TABLES {
        options.push((travels_as, group(maybe_table(data, name)?)?));
    }
    let mut targets = |groups: &mut Groups<'_, Row<'a>>, object: i64, owner| {
        let rows = groups.remove(&object).unwrap_or_default().into_iter();
        rows.map(|row| Target { row, parameters: parameters.take(owner, row.id) }).collect()
    };
    let mut outputs = Vec::new();
    for row in rows {
        let id = row.int("flowNodeId")?;
        let node = places.get(&id).copied();
        outputs.push(OutputObject {
            row,
            node: node.ok_or_else(|| row.dangling("flowNodeId", "flownodes", id))?,
            write_settings: targets(&mut write_settings, row.id, "writesettingId"),
            publications: targets(&mut publications, row.id, "publicationId"),
            scripts: targets(&mut scripts, row.id, "sqlscriptId"),
            options: options
                .iter_mut()
                .map(|(name, groups)| (*name, groups.remove(&row.id).unwrap_or_default()))
                .collect(),
        });
    }
    Ok(outputs)
}
