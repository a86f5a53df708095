//! Single outputs: run by their numbers, compared with what clients believe of them, published
//! again, drawn.

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_http::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{PACKAGE, Server};

/// An output whose results are published and profiled.
const PUBLISHED: &str = r"
jobwright: 1
name: p
flows:
  f:
    executor: mock
    steps:
      read: { kind: ingest, payload: {} }
      load: { kind: publish, needs: [read], payload: { tableName: sales } }
      look: { kind: profile, needs: [read], payload: {} }
      idle: { payload: {} }
    outputs:
      o: { steps: [load, look] }
      bare: { steps: [idle], trigger: scheduled }
";

/// The number of the second output of release 1: `table`.
const TABLE: i64 = (1 << 20) + 1;

fn without_session(mut body: Value) -> Value {
    let session = body.as_object_mut().unwrap().remove("sessionId").unwrap();
    assert_eq!(session.as_str().unwrap().len(), 36);
    body
}

fn pointer(body: &Value) -> &Value {
    &body["errors"][0]["pointer"]
}

#[tokio::test]
async fn an_output_is_run_by_its_number() {
    let server = Server::start().await;
    server.post("/v4/deployments", &json!({ "name": "sales" })).await.expect(201);
    let path = "/v4/deployments/1/releases";
    let tried = server.upload(&format!("{path}/dryRun"), PACKAGE).await.expect(200).json();
    assert_eq!(tried["outputobjects"][0].get("id"), None);
    let imported = server.upload(path, PACKAGE).await.expect(201).json();
    let outputs = imported["outputobjects"].as_array().unwrap();
    let ids: Vec<_> = outputs.iter().map(|it| (&it["name"], &it["id"])).collect();
    assert_eq!(ids, [(&json!("report"), &json!(TABLE - 1)), (&json!("table"), &json!(TABLE))]);

    let body = json!({ "wrangledDataset": { "id": TABLE }, "ranfrom": "cli" });
    let old = server.post("/v3/jobGroups", &body).await.expect(201).json();
    let expect = json!({ "reason": "JobStarted", "id": 1, "jobs": { "data": [{ "id": 1 }] } });
    assert_eq!(without_session(old), expect);
    let new = server.post("/v4/jobGroups", &body).await.expect(201).json();
    let expect = json!({
        "reason": "JobStarted", "id": 2, "jobs": { "data": [{ "id": 2 }] },
        "jobGraph": { "vertices": [2], "edges": [] }, "flowRun": { "id": 2 },
    });
    assert_eq!(without_session(new), expect);
    let shown = server.get("/v3/jobGroups/1").await.expect(200).json();
    assert_eq!(shown["wrangleScript"], json!({ "id": TABLE }));
    let shown = server.get("/v4/jobGroups/1").await.expect(200).json();
    assert_eq!(shown["wrangledDataset"], json!({ "id": TABLE }));
    let shown = server.get("/v4/jobGroups/2?embed=wrangledDataset").await.expect(200).json();
    let recipe = json!({ "id": TABLE, "name": "table", "wrangled": true, "flow": { "id": 1 } });
    assert_eq!(shown["wrangledDataset"], recipe);

    server.upload(path, PACKAGE).await.expect(201);
    for version in ["v3", "v4"] {
        let path = format!("/{version}/jobGroups");
        let refused = server.post(&path, &body).await.expect(409).json();
        let detail = "release 1 is not the active one of deployment `sales`: activate it first";
        assert_eq!(refused["detail"], detail);
        for id in [TABLE + 1, 7, 9 << 20] {
            let unknown = json!({ "wrangledDataset": { "id": id } });
            let refused = server.post(&path, &unknown).await.expect(404).json();
            assert_eq!(refused["exception"]["name"], "DataNotFoundException");
            let detail = format!(
                "wrangled dataset {id} does not exist: imports and job groups show the ids of outputs"
            );
            assert_eq!(refused["detail"], detail);
        }
        let both = json!({ "wrangledDataset": { "id": TABLE }, "output": { "name": "table" } });
        for body in [json!({}), both] {
            assert_eq!(pointer(&server.post(&path, &body).await.expect(400).json()), "#");
        }
    }
    let deleted = server.delete("/v4/releases/1").await;
    deleted.expect(204);
    let shown = server.get("/v4/jobGroups/1").await.expect(200).json();
    assert_eq!(shown.get("wrangledDataset"), None);
}

#[tokio::test]
async fn a_test_starts_nothing_and_overrides_are_compared() {
    let server = Server::start().await;
    server.deploy().await;
    for version in ["v3", "v4"] {
        let path = format!("/{version}/jobGroups");
        let ask = async |with: Value| {
            let mut body = json!({ "wrangledDataset": { "id": TABLE }, "testMode": true });
            body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
            server.post(&path, &body).await
        };
        let tested = ask(json!({})).await.expect(200).json();
        let expect = json!({ "datasetId": TABLE, "datasetName": "table" });
        assert_eq!(without_session(tested), expect);
        let right = json!({
            "execution": "photon", "profiler": false, "writeSettings": [],
            "publications": [{ "tableName": "sales", "action": "append" }],
        });
        ask(json!({ "overrides": right })).await.expect(200);
        let named =
            json!({ "deployment": { "id": 1 }, "output": { "name": "table" }, "testMode": true });
        assert_eq!(server.post(&path, &named).await.expect(200).json()["datasetId"], TABLE);
        let refused = [
            (json!({ "overrides": { "profiler": true } }), "#/overrides/profiler"),
            (json!({ "overrides": { "writesettings": [{}] } }), "#/overrides/writesettings"),
            (
                json!({ "overrides": { "publications": [{ "action": "create" }] } }),
                "#/overrides/publications/0/action",
            ),
            (json!({ "ignoreRecipeErrors": true }), "#/ignoreRecipeErrors"),
            (json!({ "workspaceId": 2 }), "#/workspaceId"),
            (json!({ "ranfrom": "home" }), "#/ranfrom"),
        ];
        for (with, place) in refused {
            let found = ask(with).await.expect(400).json();
            assert_eq!(pointer(&found), place, "{found}");
        }
        let wrong =
            json!({ "runParameters": { "overrides": { "data": [{ "key": "x", "value": 1 }] } } });
        ask(wrong).await.expect(400);
        let counted = server.get("/v4/jobLibrary/count").await.expect(200).json();
        assert_eq!(counted, json!({ "count": 0 }));
    }
    let report = json!({
        "wrangledDataset": { "id": TABLE - 1 },
        "overrides": { "execution": "spark" },
    });
    server.post("/v4/jobGroups", &report).await.expect(400);
}

#[tokio::test]
async fn results_are_published_again() {
    let fails = MockExecutor::new();
    let fails = fails.on("look", [Act::succeeds_with(json!({ "rows": 3 }))]);
    let server = Server::with(fails, Options::default()).await;
    server.deploy_package(PUBLISHED).await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    assert_eq!(server.ended(1).await, "\"Complete\"");
    let ask = |path: &str| server.request(Method::PUT, path);
    let old = ask("/v3/jobGroups/1/publish").header("x-execution-id", "e");
    let old = server.send(old).await.expect(201);
    assert_eq!(old.header("location"), "/v3/flowRuns/2");
    let ids = json!([{ "id": 4 }, { "id": 5 }, { "id": 6 }]);
    let expect = json!({ "data": [{ "reason": "JobStarted", "id": 2, "jobs": { "data": ids } }] });
    assert_eq!(crate::server::without_session(old.json()), expect);
    let again = ask("/v4/jobGroups/1/publish").header("x-execution-id", "e");
    server.send(again).await.expect(304);
    let new = server.send(ask("/v4/jobGroups/1/publish").header("idempotency-key", "k")).await;
    let new = new.expect(201).json();
    assert_eq!(
        (&new["data"][0]["id"], &new["data"][0]["flowRun"]),
        (&json!(3), &json!({ "id": 3 }))
    );
    assert_eq!(server.ended(3).await, "\"Complete\"");
    let jobs = server.get("/v4/jobGroups/3/jobs").await.expect(200).json();
    let carried: Vec<_> = jobs["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| (job["name"].as_str().unwrap(), job["carriedFrom"]["id"].clone()))
        .collect();
    assert_eq!(carried, [("read", json!(1)), ("load", Value::Null), ("look", json!(3))]);
}

#[tokio::test]
async fn what_cannot_be_published_again_says_why() {
    let hangs = MockExecutor::new().on("read", [Act::hangs()]);
    let server = Server::with(hangs, Options::default()).await;
    server.deploy_package(PUBLISHED).await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    let bare = json!({ "deployment": { "id": 1 }, "output": { "name": "bare" } });
    for version in ["v3", "v4"] {
        let path = format!("/{version}/jobGroups/1/publish");
        let ask = async |path: &str| server.send(server.request(Method::PUT, path)).await;
        if version == "v3" {
            let busy = ask(&path).await.expect(409).json();
            let detail = busy["detail"].as_str().unwrap();
            assert!(detail.ends_with("wait for its end, or cancel it, before it is run again"));
            server.post("/v4/jobGroups/1/cancel", &json!({})).await.expect(200);
            server.ended(1).await;
        }
        let nothing = ask(&path).await.expect(409).json();
        let detail = "step `load` of job group 1 has nothing to publish, since what it needs did not succeed: run the job group again instead";
        assert_eq!(nothing["detail"], detail);
        let started = server.post("/v4/jobGroups", &bare).await.expect(201).json();
        let id = started["id"].as_i64().unwrap();
        assert_eq!(server.ended(id).await, "\"Complete\"");
        let path = format!("/{version}/jobGroups/{id}/publish");
        let detail =
            format!("no job of job group {id} publishes: there is nothing to publish again");
        assert_eq!(ask(&path).await.expect(409).json()["detail"], detail);
        ask(&format!("/{version}/jobGroups/99/publish")).await.expect(404);
    }
}

#[tokio::test]
async fn a_profile_is_drawn() {
    let profile = json!({ "rows": 3, "columns": ["a", "b"] });
    let mock = MockExecutor::new().on("look", [Act::succeeds_with(profile)]);
    let server = Server::with(mock, Options::default()).await;
    server.deploy_package(PUBLISHED).await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(1).await;
    let bare = json!({ "deployment": { "id": 1 }, "output": { "name": "bare" } });
    server.post("/v4/jobGroups", &bare).await.expect(201);
    for version in ["v3", "v4"] {
        let drawn = server.get(&format!("/{version}/jobGroups/1/pdfResults")).await.expect(200);
        assert_eq!(drawn.header("content-type"), "application/pdf");
        assert_eq!(drawn.header("content-disposition"), "inline; filename=\"job-group-1.pdf\"");
        assert!(drawn.text.starts_with("%PDF-1.7") && drawn.text.contains("\"rows\": 3"));
        let path = format!("/{version}/jobGroups/2/pdfResults");
        let refused = server.get(&path).await.expect(400).json();
        assert_eq!(refused["exception"]["name"], "ProfilingDataNotFoundException");
        server.get(&format!("/{version}/jobGroups/99/pdfResults")).await.expect(404);
    }
}

#[tokio::test]
async fn job_groups_are_found_by_who_ran_them_and_by_what_they_are_called() {
    let server = Server::start().await;
    server.deploy().await;
    let body = json!({ "description": "x", "role": "operator" });
    let other = server.post("/v4/apiAccessTokens", &body).await.expect(201).json();
    let other = other["tokenValue"].as_str().unwrap();
    let path = "/v4/deployments/1/run";
    server.send(server.bare(Method::POST, path).bearer_auth(other)).await.expect(201);
    server.post(path, &json!({})).await.expect(201);
    for group in 1..=4 {
        server.ended(group).await;
    }
    let check = async |query: &str, expect: &[i64]| {
        for list in ["/v3/jobGroups", "/v4/jobLibrary"] {
            let path = format!("{list}?sort=id&fields=id&{query}");
            let found = server.get(&path).await.expect(200).json();
            let ids: Vec<_> = found["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["id"].as_i64().unwrap())
                .collect();
            assert_eq!(ids, expect, "{path}");
        }
        let counted = server.get(&format!("/v4/jobLibrary/count?{query}")).await.expect(200).json();
        if !query.starts_with("filter") {
            assert_eq!(counted, json!({ "count": expect.len() }), "{query}");
        }
    };
    check("runBy=currentUser", &[3, 4]).await;
    check("runBy=all", &[1, 2, 3, 4]).await;
    check("ranfrom=api&ranfor=recipe", &[1, 2, 3, 4]).await;
    check("ranfrom=schedule", &[]).await;
    check("ranfrom=ui", &[]).await;
    check("ranfor=plan,sampling", &[]).await;
    check("filter=tabl", &[2, 4]).await;
    check("filter=3", &[3]).await;
    check("filter=report&filterFields=name&runBy=currentUser", &[3]).await;
    for wrong in ["runBy=me", "ranfrom=home"] {
        server.get(&format!("/v4/jobGroups?{wrong}")).await.expect(400);
    }
    let nobody = server.post("/v4/jobGroups/cancel?ranfrom=schedule", &json!({})).await.expect(200);
    assert_eq!(nobody.json(), json!({ "data": [] }));
}
