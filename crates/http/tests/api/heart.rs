//! The heart: running a deployment, watching it, cancelling it.

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_http::Options;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::server::{Server, without_session};

fn overrides(pairs: &[(&str, Value)]) -> Value {
    let data = pairs.iter().map(|(key, value)| json!({ "key": key, "value": value }));
    json!({ "runParameters": { "overrides": { "data": data.collect::<Vec<_>>() } } })
}

#[tokio::test]
async fn a_run_answers_as_clients_expect_it() {
    let server = Server::hanging().await;
    server.deploy().await;
    let empty =
        server.send(server.request(Method::POST, "/v3/deployments/1/run")).await.expect(201);
    assert!(empty.text.starts_with(r#"{"data":[{"reason":"JobStarted","sessionId":""#));
    assert_eq!(empty.header("location"), "/v3/flowRuns/1");
    assert_eq!(
        without_session(empty.json()),
        json!({ "data": [
            { "reason": "JobStarted", "id": 1, "jobs": { "data": [{ "id": 1 }, { "id": 2 }, { "id": 3 }] } },
            { "reason": "JobStarted", "id": 2, "jobs": { "data": [{ "id": 4 }] } },
        ] })
    );
    let body = overrides(&[("region", json!("north")), ("rows", json!("7"))]);
    let given = server.post("/v4/deployments/1/run", &body).await.expect(201);
    assert_eq!(
        without_session(given.json()),
        json!({ "data": [
            {
                "reason": "JobStarted", "id": 3,
                "jobs": { "data": [{ "id": 5 }, { "id": 6 }, { "id": 7 }] },
                "jobGraph": {
                    "vertices": [5, 6, 7],
                    "edges": [{ "source": 5, "target": 6 }, { "source": 6, "target": 7 }],
                },
                "flowRun": { "id": 2 },
            },
            {
                "reason": "JobStarted", "id": 4, "jobs": { "data": [{ "id": 8 }] },
                "jobGraph": { "vertices": [8], "edges": [] }, "flowRun": { "id": 2 },
            },
        ] })
    );
    assert_eq!(server.ended(2).await, "\"Complete\"");
    assert_eq!(server.get("/v3/jobs/4/status").await.text, "\"Complete\"");
    let outputs = server.get("/v4/jobGroups/3/outputs").await.expect(200).json();
    assert_eq!(outputs["files"][0]["uri"], "/out/north.csv");
    let inputs = server.get("/v4/jobGroups/3/inputs").await.expect(200).json();
    assert_eq!(inputs["data"][0]["name"], "tills");
    assert_eq!(inputs["data"][0]["inputs"][0]["path"], "/in/north");
}

#[tokio::test]
async fn a_group_is_watched_and_cancelled() {
    let server = Server::hanging().await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(2).await;
    assert_eq!(server.get("/v4/flowRuns/1/status").await.text, "\"InProgress\"");
    for (at, expect) in [(1, json!([1, 2, 3])), (2, json!([]))] {
        let canceled = server.post(&format!("/v4/jobGroups/{at}/cancel"), &json!({})).await;
        assert_eq!(canceled.expect(200).json(), json!({ "jobIds": expect, "jobgroupId": at }));
    }
    assert_eq!(server.ended(1).await, "\"Canceled\"");
    let again = server.post("/v3/jobGroups/1/cancel", &json!({})).await.expect(200);
    assert_eq!(again.json(), json!({ "jobIds": [], "jobgroupId": 1 }));
    assert_eq!(server.get("/v4/flowRuns/1/status?wait=9").await.text, "\"Canceled\"");
    let jobs = server.get("/v4/jobGroups/1/jobs").await.expect(200).json();
    let jobs: Vec<_> = jobs["data"].as_array().unwrap().iter().collect();
    let members = |job: &Value| (job["id"].clone(), job["status"].clone(), job["jobType"].clone());
    assert_eq!(members(jobs[0]), (json!(1), json!("Canceled"), json!("ingest")));
    assert_eq!(members(jobs[2]), (json!(3), json!("Canceled"), json!("filewriter")));
    let group = server.get("/v4/jobGroups/1?embed=jobs(limit=1,fields=status)").await.expect(200);
    let group = group.json();
    assert_eq!((&group["status"], &group["terminal"]), (&json!("Canceled"), &json!(true)));
    assert_eq!(group["jobs"], json!({ "data": [{ "id": 1, "status": "Canceled" }] }));
    assert_eq!((&group["creator"], &group["flowrun"]), (&json!({ "id": 1 }), &json!({ "id": 1 })));
    let old = server.get("/v3/jobGroups/1").await.expect(200).json();
    assert_eq!((&old["createdBy"], &old["jobs"]), (&json!(1), &json!({ "data": null })));
    assert_eq!(old.get("creator"), None);
}

#[tokio::test]
async fn what_did_not_succeed_is_run_again() {
    let hangs = MockExecutor::new().on("sum", [Act::hangs()]);
    let server = Server::with(hangs, Options::default()).await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(2).await;
    let (path, key) = ("/v4/jobGroups/1/rerun", "idempotency-key");
    let ask = |path: &str| server.request(Method::POST, path);
    let busy = server.send(ask(path)).await.expect(409).json();
    assert_eq!(busy["exception"]["name"], "ConflictException");
    server.post("/v4/jobGroups/1/cancel", &json!({})).await.expect(200);
    server.ended(1).await;
    let complete = server.send(ask("/v3/jobGroups/2/rerun")).await.expect(409).json();
    assert_eq!(complete["detail"], "job group 2 is Complete: there is nothing to run again");
    server.send(ask("/v4/jobGroups/99/rerun")).await.expect(404);

    let started = server.send(ask(path).header(key, "again")).await.expect(201);
    assert_eq!(started.header("location"), "/v4/flowRuns/2");
    let expect = json!({ "data": [{
        "reason": "JobStarted", "id": 3,
        "jobs": { "data": [{ "id": 5 }, { "id": 6 }, { "id": 7 }] },
        "jobGraph": {
            "vertices": [5, 6, 7],
            "edges": [{ "source": 5, "target": 6 }, { "source": 6, "target": 7 }],
        },
        "flowRun": { "id": 2 },
    }] });
    assert_eq!(without_session(started.json()), expect);
    let again = server.send(ask(path).header(key, "again")).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &started.text));
    let other = server.send(ask("/v4/deployments/1/run").header(key, "again")).await.expect(422);
    assert_eq!(other.json()["exception"]["name"], "IdempotencyKeyReusedException");
    let old = server.send(ask("/v3/jobGroups/1/rerun").header("x-execution-id", "e")).await;
    let old = without_session(old.expect(201).json());
    let ids = json!([{ "id": 8 }, { "id": 9 }, { "id": 10 }]);
    assert_eq!(
        old,
        json!({ "data": [{ "reason": "JobStarted", "id": 4, "jobs": { "data": ids } }] })
    );
    server.send(ask(path).header("x-execution-id", "e")).await.expect(304);

    let run = server.get("/v4/flowRuns/2").await.expect(200).json();
    assert_eq!(run["rerunOf"], json!({ "id": 1 }));
    let jobs = server.get("/v4/jobGroups/3/jobs").await.expect(200).json();
    let told =
        |at: usize| (jobs["data"][at]["status"].clone(), jobs["data"][at]["carriedFrom"].clone());
    assert_eq!(told(0), (json!("Complete"), json!({ "id": 1 })));
    assert_eq!(told(1), (json!("InProgress"), Value::Null));
}

#[tokio::test]
async fn a_repeated_request_starts_nothing() {
    let server = Server::start().await;
    server.deploy().await;
    let ask = |header: &'static str, value: &'static str, body: Value| {
        let request = server.request(Method::POST, "/v4/deployments/1/run");
        server.send(request.header(header, value).json(&body))
    };
    let first = ask("idempotency-key", "k", json!({})).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = ask("idempotency-key", "k", json!({})).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    let other = overrides(&[("rows", json!("4"))]);
    let reused = ask("idempotency-key", "k", other.clone()).await.expect(422).json();
    assert_eq!(reused["exception"]["name"], "IdempotencyKeyReusedException");

    // The same word as an execution id is another name.
    let first = ask("x-execution-id", "k", json!({})).await.expect(201);
    assert_ne!(first.text, again.text);
    assert_eq!(ask("x-execution-id", "k", json!({})).await.expect(304).text, "");
    assert_eq!(ask("x-execution-id", "k", other).await.expect(304).text, "");
    ask("x-execution-id", "", json!({})).await.expect(400);
    let runs = server.get("/v4/flowRuns?fields=requestId&includeCount=true").await.expect(200);
    let expect = json!({ "count": 2, "data": [{ "id": 2, "requestId": "k" }, { "id": 1, "requestId": "k" }] });
    assert_eq!(runs.json(), expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_once_is_one_run() {
    let server = std::sync::Arc::new(Server::start().await);
    server.deploy().await;
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let server = std::sync::Arc::clone(&server);
        asking.spawn(async move {
            let request = server.request(Method::POST, "/v4/deployments/1/run");
            server
                .send(request.header("idempotency-key", "one").json(&json!({})))
                .await
                .expect(201)
                .text
        });
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let count = server.get("/v4/jobLibrary/count").await.expect(200).json();
    assert_eq!(count, json!({ "count": 2 }));
    assert_eq!(
        server.engine.runs(jobwright_core::DeploymentId::new(1).unwrap(), 10).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_run_is_explained_and_a_deployment_paused() {
    let server = Server::start().await;
    server.deploy().await;
    let explained = server.get("/v4/deployments/1/explain").await.expect(200).json();
    let region = |layer: &str, value: &str| json!({ "name": "region", "flow": "sales", "value": value, "layer": layer, "shadowed": [] });
    assert_eq!(explained["parameters"][0], region("default", "all"));
    assert_eq!(explained["jobGroups"][0]["outputs"], json!(["report"]));
    assert_eq!(explained["jobGroups"][0]["jobs"][1]["needs"], json!([0]));
    let body = overrides(&[("region", json!("south"))]);
    let explained = server.post("/v4/deployments/1/explain", &body).await.expect(200).json();
    assert_eq!(explained["parameters"][0]["layer"], "run");
    assert_eq!(
        explained["parameters"][0]["shadowed"],
        json!([{ "layer": "default", "value": "all" }])
    );
    assert_eq!(server.get("/v4/flowRuns").await.json(), json!({ "data": [] }));

    let one = json!({ "deployment": { "id": 1 }, "output": { "name": "table" } });
    let started = server.post("/v4/jobGroups", &one).await.expect(201).json();
    assert_eq!((&started["id"], &started["jobs"]["data"]), (&json!(1), &json!([{ "id": 1 }])));

    server.post("/v4/deployments/1/pause", &json!({})).await.expect(200);
    let refused = server.post("/v4/deployments/1/run", &json!({})).await.expect(409).json();
    assert_eq!(refused["detail"], "deployment `sales` is paused: resume it first");
    server.post("/v4/deployments/1/resume", &json!({})).await.expect(200);
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
}

#[tokio::test]
async fn what_a_group_published_and_its_profile_are_read() {
    let profile = json!({ "columns": 2 });
    let mock = MockExecutor::new();
    let mock = mock.on("look", [Act::succeeds_with(profile.clone())]);
    let server = Server::with(mock, Options::default()).await;
    let package = "jobwright: 1\nname: p\nflows:\n  f:\n    executor: mock\n    steps:\n      load: { kind: publish, payload: { tableName: sales, relationalPath: [dwh], action: append } }\n      look: { kind: profile, needs: [load], payload: {} }\n    outputs: { o: { steps: [look] }, table: { steps: [load], trigger: scheduled } }\n";
    server.post("/v4/deployments", &json!({ "name": "p" })).await.expect(201);
    server.upload("/v4/deployments/1/releases", package).await.expect(201);
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    assert_eq!(server.ended(1).await, "\"Complete\"");
    let started = server.post("/v4/deployments/1/run", &json!({})).await.expect(201).json();
    assert_eq!(started["data"][0]["id"], 2);
    for version in ["v3", "v4"] {
        let read = async |what: &str| {
            server.get(&format!("/{version}/jobGroups/1/{what}")).await.expect(200).json()
        };
        let published = json!({
            "id": 1, "jobGroup": { "id": 1 }, "status": "Complete", "tableName": "sales",
            "relationalPath": ["dwh"], "action": "append",
        });
        assert_eq!(read("publications").await, json!({ "data": [published] }));
        assert_eq!(read("profile").await, json!({ "profilerResults": profile }));
        assert_eq!(read("profileResults").await, json!({ "2": profile }));
    }
    let server = Server::start().await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    for version in ["v3", "v4"] {
        let path = format!("/{version}/jobGroups/1/profile");
        let refused = server.get(&path).await.expect(400).json();
        assert_eq!(refused["exception"]["name"], "ProfilingDataNotFoundException");
        assert_eq!(refused["detail"], "job group 1 was not profiled");
    }
}

#[tokio::test]
async fn live_groups_are_cancelled_together() {
    let server = Server::hanging().await;
    server.deploy().await;
    for _ in 0..2 {
        server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    }
    for group in [2, 4] {
        server.ended(group).await;
    }
    let waiting = server.get("/v4/jobs/2/waiting").await.expect(200).json();
    assert_eq!(waiting, json!({ "id": 2, "waiting": { "reason": "needs", "jobIds": [1] } }));
    let canceled = server.post("/v4/jobGroups/cancel?flowRunId=2", &json!({})).await.expect(200);
    assert_eq!(canceled.json()["data"], json!([{ "jobIds": [5, 6, 7], "jobgroupId": 3 }]));
    let canceled = server.post("/v4/jobGroups/cancel", &json!({})).await.expect(200).json();
    assert_eq!(canceled["data"].as_array().unwrap().last().unwrap()["jobgroupId"], 1);
    assert_eq!(server.ended(1).await, "\"Canceled\"");
}
