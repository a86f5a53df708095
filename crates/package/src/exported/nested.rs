//! Layout B, from 6.8 on: `data` holds connections, artifacts and flows, and each flow holds what
//! belongs to it.

use std::collections::{BTreeMap, btree_map};

use serde_json::{Map, Value};

use super::ExportError;
use super::model::{
    Dataset, Export, ExportedFlow, FlowNodes, OPTION_TABLES, OutputObject, Recipe, RunParameter,
    Target, connect, overrides, step_artifacts,
};
use super::row::{Row, by_id, maybe_table, rows, table};

/// Reads the nested layout.
pub(super) fn read(data: &Map<String, Value>) -> Result<Export<'_>, ExportError> {
    let flow_rows = table(data, "flows")?;
    let mut recipes = BTreeMap::new();
    let mut datasets = BTreeMap::new();
    let mut parts = Vec::new();
    for (flow, row) in flow_rows.iter().enumerate() {
        for recipe in table(row.fields, "recipes")? {
            add(&mut recipes, recipe.id, self::recipe(recipe)?, |recipe| recipe.row)?;
        }
        for dataset in table(row.fields, "datasources")? {
            let script = dataset.int("parsingScriptId")?;
            add(&mut datasets, script, self::dataset(dataset)?, |dataset| dataset.row)?;
        }
        let nodes = table(row.fields, "flownodes")?;
        parts.push(FlowNodes { flow, nodes, edges: table(row.fields, "flowedges")? });
    }
    let (nodes, places) = connect(&parts, &recipes, &datasets)?;
    let mut flows = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for row in flow_rows {
        let mut outputs = Vec::new();
        for object in table(row.fields, "outputobjects")? {
            if !seen.insert(object.id) {
                return Err(ExportError::Duplicate { table: "outputobjects", id: object.id });
            }
            outputs.push(output(object, &places)?);
        }
        flows.push(ExportedFlow {
            row,
            parameters: parameters(row, "runparameters")?,
            overrides: overrides(maybe_table(row.fields, "flowrunparameteroverrides")?)?,
            outputs,
        });
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

/// Adds what several flows may hold: a dataset that two flows use lies in both, and must be the
/// same in both.
fn add<'a, T>(
    all: &mut BTreeMap<i64, T>,
    key: i64,
    item: T,
    row: impl Fn(&T) -> Row<'a>,
) -> Result<(), ExportError> {
    let new = row(&item);
    match all.entry(key) {
        btree_map::Entry::Vacant(place) => {
            place.insert(item);
            Ok(())
        }
        btree_map::Entry::Occupied(old) if row(old.get()).fields == new.fields => Ok(()),
        btree_map::Entry::Occupied(_) => {
            Err(ExportError::Duplicate { table: new.table, id: new.id })
        }
    }
}

fn recipe(row: Row<'_>) -> Result<Recipe<'_>, ExportError> {
    let steps = row.list("steps")?.iter().map(|step| Row::new("steps", step));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    let mut artifacts = Vec::new();
    for &step in &steps {
        artifacts.extend(step_artifacts(step)?);
    }
    Ok(Recipe { row, steps, artifacts })
}

fn dataset(row: Row<'_>) -> Result<Dataset<'_>, ExportError> {
    let either = |table, one, other| match row.nested(table, one)? {
        Some(found) => Ok::<_, ExportError>(Some(found)),
        None => row.nested(table, other),
    };
    Ok(Dataset {
        row,
        storage: either("storagelocations", "storageLocation", "storagelocation")?,
        relational: either("relationalsources", "relationalsource", "relationalSource")?,
        converted: either("convertedsources", "convertedSource", "convertedsource")?,
        parameters: parameters(row, "runParameters")?,
    })
}

fn output<'a>(
    row: Row<'a>,
    places: &BTreeMap<i64, usize>,
) -> Result<OutputObject<'a>, ExportError> {
    let id = row.int("flowNodeId")?;
    let node = places.get(&id).copied();
    let targets = |table| {
        let rows = rows(table, row.list(table)?)?.into_iter();
        let target = |row| Ok(Target { row, parameters: parameters(row, "runParameters")? });
        rows.map(target).collect::<Result<Vec<_>, ExportError>>()
    };
    let mut options = Vec::new();
    for (table, name) in OPTION_TABLES {
        options.push((name, rows(table, row.list(table)?)?));
    }
    Ok(OutputObject {
        row,
        node: node.ok_or_else(|| row.dangling("flowNodeId", "flownodes", id))?,
        write_settings: targets("writesettings")?,
        publications: targets("publications")?,
        scripts: targets("sqlscripts")?,
        options,
    })
}

fn parameters<'a>(
    owner: Row<'a>,
    field: &'static str,
) -> Result<Vec<RunParameter<'a>>, ExportError> {
    let values = match owner.value(field) {
        Some(Value::Object(wrapped)) => match wrapped.get("data") {
            Some(Value::Array(values)) => values.as_slice(),
            _ => return Err(owner.fault(field, "a list")),
        },
        _ => owner.list(field)?,
    };
    let joined = |row: Row<'a>| {
        let edit = row.nested("runparameteredits", "runParameterEdit")?;
        RunParameter::new(row, edit.unwrap_or(row))
    };
    rows("runparameters", values)?.into_iter().map(joined).collect()
}
