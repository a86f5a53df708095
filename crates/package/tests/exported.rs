//! Exported packages: a small one in each layout with everything that the layouts know, and each
//! fault with its text.

#![cfg(test)]

use std::io::{Cursor, Write};

use jobwright_core::{Bundle, Flow};
use jobwright_package::{Limits, read, read_within};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

fn pack(document: &str, text: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [(document, text), ("artifact_900.data", "{\"input\":1}\n")] {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn load(document: &Value) -> Bundle {
    let packed = pack("flow.json", &document.to_string());
    let bundle = read(&packed).unwrap();
    assert_eq!(read(&packed).unwrap().package.digest(), bundle.package.digest());
    bundle
}

/// Flow 1 reads files, a converted file, a table, and a recipe of flow 2, which reads SQL.
fn nested() -> Value {
    serde_json::from_str(include_str!("fixtures/exported/nested.json")).unwrap()
}

/// One flow with a table that is read through SQL, in the tables of a release that joins little.
fn flat() -> Value {
    serde_json::from_str(include_str!("fixtures/exported/flat.json")).unwrap()
}

/// Shows a flow as lines: parameters, steps with what they need, outputs.
fn lines(flow: &Flow) -> String {
    let mut lines = vec![format!("flow {}", flow.name)];
    for parameter in &flow.parameters {
        lines.push(format!("parameter {}", serde_json::to_string(parameter).unwrap()));
    }
    for step in &flow.steps {
        let needs: Vec<_> = step.needs.iter().map(|need| need.on.to_string()).collect();
        let (kind, executor) = (step.kind, &step.executor);
        lines.push(format!("{} [{kind}] on {executor} <- {}", step.name, needs.join(" + ")));
    }
    for output in &flow.outputs {
        let steps: Vec<_> = output.steps.iter().map(jobwright_core::StepName::as_str).collect();
        lines.push(format!("output {} {:?} <- {}", output.name, output.trigger, steps.join(" + ")));
    }
    lines.join("\n")
}

#[test]
fn the_nested_layout_is_expanded() {
    let bundle = load(&nested());
    let package = &bundle.package;
    let flows: Vec<_> = package.flows.iter().map(lines).collect();
    insta::assert_snapshot!("nested_flows", flows.join("\n\n"));
    let payloads: Vec<_> = package.flows[0]
        .steps
        .iter()
        .filter(|step| !step.name.as_str().contains("scheduled"))
        .map(|step| format!("{}\n{:#}", step.name, step.payload))
        .collect();
    insta::assert_snapshot!("nested_payloads", payloads.join("\n\n"));
    assert_eq!(package.name.as_str(), "Sales");
    assert_eq!(package.artifacts[0].path, "artifact_900.data");
    let origin = package.origin.as_ref().unwrap();
    assert_eq!((origin.edition.as_str(), origin.comment.as_str()), ("Enterprise", "for the test"));
}

#[test]
fn the_flat_layout_is_expanded() {
    let bundle = load(&flat());
    let flow = &bundle.package.flows[0];
    let payloads: Vec<_> = flow.steps.iter().map(|step| format!("{:#}", step.payload)).collect();
    insta::assert_snapshot!(format!("{}\n\n{}", lines(flow), payloads.join("\n\n")));
}

#[test]
fn json5_and_a_bare_document_are_read_too() {
    let strict = nested().to_string();
    let text = strict.replace("\"type\":", "type:").replace("\"id\":", "'id' : ");
    let text = text.replace("}]", "},\n/* last */]");
    let relaxed = read(&pack("flow.json5", &format!("// exported\n{text}"))).unwrap();
    assert_eq!(relaxed, read(&pack("flow.json", &strict)).unwrap());
    let bare = read(flat().to_string().as_bytes()).unwrap();
    assert_eq!(bare.package.flows, load(&flat()).package.flows);
}

/// Reads a document with one value changed, which must be refused so.
fn check(mut document: Value, at: &str, value: Value, expect: &str) {
    *document.pointer_mut(at).unwrap() = value;
    let error = read(&pack("flow.json", &document.to_string())).unwrap_err().to_string();
    assert_eq!(error.strip_prefix("`flow.json`: "), Some(expect), "{at}");
}

#[test]
fn faults_of_the_frame_are_named() {
    let old = "/metadata/trifactaVersion";
    check(
        flat(),
        old,
        json!("5.1.0"),
        "the package was exported by release `5.1.0`, this engine reads 6.0 to 8.6",
    );
    check(
        flat(),
        old,
        json!("8.7.0+1"),
        "the package was exported by release `8.7.0+1`, this engine reads 6.0 to 8.6",
    );
    check(flat(), old, json!("new"), "`metadata.trifactaVersion` is missing or no version");
    check(flat(), old, json!(null), "`metadata.trifactaVersion` is missing or no version");
    check(flat(), "/metadata/primaryFlowIds", json!([]), "`metadata.primaryFlowIds` names no flow");
    check(
        flat(),
        "/metadata/primaryFlowIds",
        json!([9]),
        "`metadata.primaryFlowIds` names 9, which is not among flows",
    );
    check(flat(), "/data/flows", json!(null), "table `flows` is missing");
    check(flat(), "/data/scriptlines", json!({}), "table `scriptlines` is missing");
    check(flat(), "/data/edits", json!([7]), "a row of table `edits` is no object");
    check(
        flat(),
        "/data/edits",
        json!([{"id": "x"}]),
        "a row of table `edits` has no whole number as `id`",
    );
}

#[test]
fn faults_of_the_graph_are_named() {
    check(flat(), "/data/flownodes/1/id", json!(11), "flownodes 11 occurs twice");
    check(
        flat(),
        "/data/flownodes/1/flowId",
        json!(9),
        "flownodes 12: `flowId` is 9, which is not among flows",
    );
    check(
        flat(),
        "/data/flownodes/1/scriptId",
        json!(9),
        "flownodes 12: `scriptId` is 9, which is not among recipes",
    );
    check(
        flat(),
        "/data/flownodes/0/scriptId",
        json!(9),
        "flownodes 11: `scriptId` is 9, which is not among datasources",
    );
    check(
        flat(),
        "/data/flownodes/0/scriptId",
        json!(null),
        "flownodes 11: `scriptId` is not a recipe, a dataset or a referenced node",
    );
    check(
        flat(),
        "/data/flowedges/0/inFlowNodeId",
        json!(99),
        "flowedges 1: `inFlowNodeId` is 99, which is not among flownodes",
    );
    check(
        flat(),
        "/data/flowedges/0/outFlowNodeId",
        json!("12"),
        "flowedges 1: `outFlowNodeId` is not a whole number",
    );
    check(
        flat(),
        "/data/flowedges/0/inFlowNodeId",
        json!(12),
        "the recipes form a cycle: Tidy → Tidy",
    );
}

#[test]
fn faults_of_recipes_and_outputs_are_named() {
    check(
        flat(),
        "/data/editablescripts/1/currentEditId",
        json!(9),
        "editablescripts 22: `currentEditId` is 9, which is not among edits",
    );
    check(
        flat(),
        "/data/editsscriptlines/0/scriptlineId",
        json!(9),
        "editsscriptlines 32: `scriptlineId` is 9, which is not among scriptlines",
    );
    check(
        flat(),
        "/data/outputobjects/0/flowNodeId",
        json!(9),
        "outputobjects 81: `flowNodeId` is 9, which is not among flownodes",
    );
    check(
        flat(),
        "/data/outputobjects/0/execution",
        json!(null),
        "outputobjects 81: `execution` is not a text",
    );
    check(
        flat(),
        "/data/outputobjects/0/execution",
        json!(""),
        "outputobjects 81: a executor name is empty",
    );
    check(
        flat(),
        "/data/outputobjects/0/profiler",
        json!("yes"),
        "outputobjects 81: `profiler` is not true or false",
    );
    check(
        flat(),
        "/data/writesettings/0/outputObjectId",
        json!(9),
        "writesettings 91: `outputObjectId` is 9, which is not among outputobjects",
    );
}

#[test]
fn faults_of_datasets_and_parameters_are_named() {
    check(
        flat(),
        "/data/datasources/0/connectionId",
        json!(9),
        "datasources 51: `connectionId` is 9, which is not among connections",
    );
    check(
        flat(),
        "/data/datasources/0/storageLocationId",
        json!(9),
        "datasources 51: `storageLocationId` is 9, which is not among storagelocations",
    );
    check(
        flat(),
        "/data/relationalsources/0/datasourceId",
        json!(9),
        "relationalsources 1: `datasourceId` is 9, which is not among datasources",
    );
    check(
        flat(),
        "/data/runparameters/0/runParameterEditId",
        json!(9),
        "runparameters 1: `runParameterEditId` is 9, which is not among runparameteredits",
    );
    check(
        flat(),
        "/data/runparameters/0/datasourceId",
        json!(null),
        "runparameters 1: `datasourceId` is not the id of an owner",
    );
    check(
        flat(),
        "/data/runparameteredits/0/insertionIndices/0/index",
        json!(15),
        "runparameters 1: index 15 of `insertionIndices` lies outside its text",
    );
    check(
        flat(),
        "/data/runparameteredits/0/overrideKey",
        json!("a}b"),
        "runparameters 1: `overrideKey` is not a name without `$`, `{` and `}`",
    );
    check(
        flat(),
        "/data/runparameteredits/0/value",
        json!({"range": 1}),
        "runparameters 1: `value` is not a variable, selector, timestamp, dateRange or pattern",
    );
}

#[test]
fn faults_of_the_nested_layout_are_named() {
    let flow = |rest: &str| format!("/data/flows/0/{rest}");
    check(
        nested(),
        &flow("flownodes/4/flowNodeId"),
        json!(999),
        "flownodes 105: `flowNodeId` is 999, which is not among flownodes",
    );
    check(nested(), &flow("recipes"), json!(null), "table `recipes` is missing");
    check(nested(), &flow("flownodes/0/id"), json!(111), "flownodes 111 occurs twice");
    check(nested(), &flow("recipes/3/id"), json!(301), "recipes 301 occurs twice");
    check(nested(), "/data/flows/1/recipes/0/id", json!(301), "recipes 301 occurs twice");
    check(nested(), &flow("outputobjects/1/id"), json!(601), "outputobjects 601 occurs twice");
    check(
        nested(),
        &flow("outputobjects/0/sqlscripts/0/type"),
        json!("during"),
        "sqlscripts 1: `type` is not `pre` or `post`",
    );
    check(
        nested(),
        "/data/artifacts/0/artifactStorageId",
        json!(901),
        "artifacts 90: the package has no file `artifact_901.data`",
    );
    check(
        nested(),
        "/data/artifacts",
        json!([]),
        "recipes 401: `artifactId` is 90, which is not among artifacts",
    );
    let format = "datasources/0/runParameters/0/runParameterEdit/value/timestamp/format";
    check(
        nested(),
        &flow(format),
        json!("YYYY-Q"),
        "runparameters 1: date format `YYYY-Q` is not understood from `Q` on",
    );
    let unit =
        "datasources/0/runParameters/0/runParameterEdit/value/timestamp/timestampOffset/unit";
    check(
        nested(),
        &flow(unit),
        json!("moons"),
        "runparameters 1: `value` is not a timestamp with a known offset",
    );
    let mut circle = nested();
    circle["data"]["flows"][1]["flowedges"][0]["inFlowNodeId"] = json!(104);
    check(circle, "/type", json!("flow"), "the recipes form a cycle: Join → Clean → Join");
}

#[test]
fn a_reference_may_name_what_another_node_publishes() {
    let mut document = nested();
    document["data"]["flows"][0]["flownodes"][4]["flowNodeId"] = json!(null);
    document["data"]["flows"][0]["flownodes"][4]["referenceId"] = json!(33);
    document["data"]["flows"][1]["flownodes"][1]["referenceId"] = json!(33);
    assert_eq!(load(&document).package.flows, load(&nested()).package.flows);
}

#[test]
fn a_small_document_does_not_become_a_large_package() {
    let mut document = flat();
    let object = document["data"]["outputobjects"][0].clone();
    let objects = (0..1000).map(|id| {
        let mut object = object.clone();
        object["id"] = json!(81 + id);
        object
    });
    document["data"]["outputobjects"] = objects.collect();
    document["data"]["scriptlines"][0]["task"] = json!("x".repeat(100_000));
    let text = document.to_string();
    let mut limits = Limits::default();
    limits.total_bytes = 10_000_000;
    let error = read_within(text.as_bytes(), &limits).unwrap_err().to_string();
    let expect = "with it, the steps of the package hold more than 10000000 bytes";
    assert!(error.ends_with(expect), "{error}");
}

#[test]
fn long_chains_and_bad_names_are_no_trouble() {
    let count = 3_000;
    let mut document = flat();
    let data = &mut document["data"];
    let ids = || 1000..1000 + count;
    let nodes: Vec<_> =
        ids().map(|id| json!({"id": id, "scriptId": id, "flowId": 1, "wrangled": true})).collect();
    let edges: Vec<_> = ids()
        .skip(1)
        .map(|id| json!({"id": id, "flowId": 1, "inFlowNodeId": id - 1, "outFlowNodeId": id}))
        .collect();
    let name = "line\nbreak ".repeat(30);
    data["editablescripts"] =
        ids().map(|id| json!({"id": id, "name": name, "currentEditId": null})).collect();
    data["flownodes"] = nodes.into();
    data["flowedges"] = edges.into();
    for table in ["datasources", "relationalsources", "runparameters"] {
        data[table] = json!([]);
    }
    let object = |id: i64| json!({"id": id, "execution": "photon", "flowNodeId": 1000 + count - id, "isAdhoc": true});
    data["outputobjects"] = (1..=3).map(object).collect();
    data["writesettings"] = json!([]);
    let flow = &load(&document).package.flows[0];
    let recipes = flow.steps[0].payload["recipes"].as_array().unwrap();
    assert_eq!(recipes.len(), usize::try_from(count).unwrap());
    let names: std::collections::BTreeSet<_> = flow.outputs.iter().map(|it| &it.name).collect();
    assert_eq!(names.len(), 3);
}
