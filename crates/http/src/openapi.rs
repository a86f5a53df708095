//! The OpenAPI document, made from the same registrations as the routes. What holds for every
//! operation, such as the error body, is said once here and not at each of them.

use jobwright_core::ID_LIMIT;
use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::problem::ProblemBody;
use crate::{deployments, groups, releases, router, runs};

/// What does not belong to one operation.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Jobwright",
        description = "Deployments, releases, runs and job groups. `/v4` is the present version; `/v3` has other names for who made things.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ProblemBody))
)]
struct Frame;

pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// Returns the OpenAPI document of the API as JSON, as `/openapi.json` serves it.
#[must_use]
pub fn openapi() -> String {
    let (_, document) = router::api().split_for_parts();
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    // The present version of the format is too new for most tools.
    document["openapi"] = json!("3.1.0");
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer" },
        "basic": { "type": "http", "scheme": "basic" },
    });
    document["security"] = json!([{ "bearer": [] }, { "basic": [] }]);
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            let Some(operations) = item.as_object_mut() else { continue };
            for (_, operation) in operations.iter_mut().filter(|(_, it)| it.is_object()) {
                complete(path, operation);
            }
        }
    }
    sharpen(&mut document["components"]["schemas"]);
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Says what the derived schemas cannot: how members are named that have no fixed names, and gaps
/// in ranges.
fn sharpen(schemas: &mut Value) {
    let name = schemas["Override"]["properties"]["key"].clone();
    let name = json!({ "pattern": name["pattern"], "maxLength": name["maxLength"] });
    for body in ["ChangeDeployment", "CreateSchedule", "ChangeSchedule"] {
        schemas[body]["properties"]["parameters"]["propertyNames"] = name.clone();
    }
    for member in ["onCondition", "withCondition"] {
        let fields = &mut schemas["ObjectImportRule"]["properties"][member];
        fields["minProperties"] = 1.into();
        fields["additionalProperties"] = json!({ "type": ["string", "number", "boolean"] });
    }
    schemas["RunOutput"]["oneOf"] = json!([
        {
            "required": ["wrangledDataset"],
            "properties": { "deployment": false, "output": false },
        },
        { "required": ["deployment", "output"], "properties": { "wrangledDataset": false } },
    ]);
    schemas["RunOutput"]["properties"]["ignoreRecipeErrors"] = json!({ "const": false });
    let lifetime = &mut schemas["CreateToken"]["properties"]["lifetimeInDays"];
    lifetime["anyOf"] = json!([{ "const": -1 }, { "minimum": 1 }]);
}

/// Says what holds for every operation.
fn complete(path: &str, operation: &mut Value) {
    if path.starts_with("/v3/")
        && let Some(id) = operation["operationId"].as_str()
    {
        operation["operationId"] = format!("{id}V3").into();
        operation["deprecated"] = true.into();
    }
    operation["responses"]["default"] = json!({
        "description": "What is wrong",
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } },
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    });
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    if operation["parameters"].as_array().into_iter().flatten().any(|it| it["name"] == "fields") {
        let schema = &mut operation["responses"]["200"]["content"]["application/json"]["schema"];
        let some = json!({ "type": "object", "description": "With `fields`, only those" });
        *schema = json!({ "anyOf": [schema.take(), some] });
    }
    let Some(parameters) = operation["parameters"].as_array_mut() else { return };
    // What is absent is no null: a header or a query has no such thing.
    for parameter in parameters.iter_mut() {
        if let Some(kind) = parameter["schema"]["type"].get(0).cloned() {
            parameter["schema"]["type"] = kind;
        }
    }
    for parameter in parameters.iter_mut().filter(|it| it["name"] == "embed") {
        if let Some(pattern) = embeds(path) {
            parameter["schema"]["pattern"] = pattern.into();
        }
    }
    for name in path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}')) {
        if !parameters.iter().any(|it| it["name"] == name) {
            parameters.push(json!({
                "name": name, "in": "path", "required": true,
                "schema": { "type": "integer", "format": "int64", "minimum": 1, "maximum": ID_LIMIT - 1 },
            }));
        }
    }
}

/// What `embed` may be on a path; none where nothing can be embedded, and it is not looked at.
fn embeds(path: &str) -> Option<String> {
    let known: &[(&str, &[&str])] =
        if path.ends_with("/flowRuns") || path.ends_with("/flowRuns/{id}") {
            &runs::ASSOCIATIONS
        } else if path.ends_with("/schedules") {
            &[]
        } else if path.contains("releases") {
            &releases::ASSOCIATIONS
        } else if path.contains("deployments") {
            &deployments::ASSOCIATIONS
        } else if path.contains("jobGroups") || path.contains("jobLibrary") {
            &groups::ASSOCIATIONS
        } else {
            &[]
        };
    let options = r"(\((limit=[0-9]{1,9}|fields=[A-Za-z;]+|sort=-?[A-Za-z]+)(,(limit=[0-9]{1,9}|fields=[A-Za-z;]+|sort=-?[A-Za-z]+))*\))?";
    let one = known.iter().map(|(name, nested)| {
        let nested = nested.join("|");
        if nested.is_empty() { (*name).to_owned() } else { format!(r"{name}(\.({nested}))?") }
    });
    let one = format!("({}){options}", one.collect::<Vec<_>>().join("|"));
    (!known.is_empty()).then(|| format!("^({one}(,{one})*)?$"))
}
