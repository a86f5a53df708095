//! The transcript of the README in both versions: each answer, member by member, as clients of the
//! product expect it. `tests/transcript.sh` compares the words of the README itself.

use jobwright_adapters::MockExecutor;
use jobwright_http::Options;
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

/// A package as the product exports it.
const ORDERS: &str = include_str!("../../../../tests/packages/orders.json");

/// The body without what differs from time to time, which has the right form.
fn plain(answer: &Answer) -> Value {
    let mut body = answer.json();
    if let Some(members) = body.as_object_mut() {
        for (name, value) in members {
            let Some(text) = value.as_str() else { continue };
            if name.ends_with("At") {
                assert!(text.len() == 24 && text.ends_with('Z'), "{name}: {text}");
                *value = "[time]".into();
            } else if name == "sessionId" {
                assert_eq!(text.len(), 36, "{text}");
                *value = "[uuid]".into();
            }
        }
    }
    body
}

/// The members, with those of one version only.
fn of(version: &str, both: Value, v3: Value, v4: Value) -> Value {
    let mut body = both;
    let own = if version == "v3" { v3 } else { v4 };
    body.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    body
}

fn ids(ids: std::ops::RangeInclusive<i64>) -> Value {
    json!({ "data": ids.map(|id| json!({ "id": id })).collect::<Vec<_>>() })
}

#[tokio::test]
async fn each_answer_of_the_transcript_is_as_clients_expect() {
    for version in ["v3", "v4"] {
        let mock = MockExecutor::new();
        let engine = Engine::builder().store(MemoryStore::new());
        let engine = engine.executor("photon", mock.clone()).executor("spark", mock);
        let server = Server::over(engine, Options::default()).await;
        prologue(&server, version).await;
        cancelled(&server, version).await;
    }
}

/// A deployment, a release, a run that succeeds.
async fn prologue(server: &Server, version: &str) {
    let at = |path: &str| format!("/{version}{path}");
    let made = server.post(&at("/deployments"), &json!({ "name": "orders" })).await.expect(201);
    let both = json!({
        "id": 1, "name": "orders", "createdAt": "[time]", "updatedAt": "[time]",
        "activeRelease": null, "paused": false, "runPolicy": "allow", "limit": null,
        "retention": null, "parameters": {},
    });
    let old = json!({ "createdBy": 1, "updatedBy": 1 });
    let new = json!({ "creator": { "id": 1 }, "updater": { "id": 1 } });
    assert_eq!(plain(&made), of(version, both, old, new));

    let imported = server.upload(&at("/deployments/1/releases"), ORDERS).await.expect(201).json();
    let members: Vec<_> = imported.as_object().unwrap().keys().map(String::as_str).collect();
    let new = [
        "createdObjectMapping",
        "datasources",
        "deletedObjects",
        "flowName",
        "flowedges",
        "flownodes",
        "flows",
        "importRuleChanges",
        "outputobjects",
        "primaryFlowIds",
        "recipes",
        "release",
        "webhookflowtasks",
    ];
    let old = ["flowName", "importRuleChanges"];
    assert_eq!(members, if version == "v3" { &old[..] } else { &new[..] });
    assert_eq!(imported["importRuleChanges"], json!({ "object": [], "value": [] }));
    assert_eq!(imported["flowName"], "Orders");

    let data = json!([{ "key": "region", "value": "south" }]);
    let body = json!({ "runParameters": { "overrides": { "data": data } } });
    let mut run = server.post(&at("/deployments/1/run"), &body).await.expect(201).json();
    for (group, jobs) in run["data"].as_array_mut().unwrap().iter_mut().zip([1..=6, 7..=8]) {
        let group = group.as_object_mut().unwrap();
        assert_eq!(group.remove("sessionId").unwrap().as_str().unwrap().len(), 36);
        let Some(graph) = group.remove("jobGraph") else { continue };
        assert_eq!(graph["vertices"], json!(jobs.collect::<Vec<_>>()));
        let edges = graph["edges"].as_array().unwrap();
        assert!(edges.iter().all(|it| it["source"].as_i64() < it["target"].as_i64()), "{graph}");
    }
    let group = |id: i64, jobs: Value| {
        let both = json!({ "reason": "JobStarted", "id": id, "jobs": jobs });
        of(version, both, json!({}), json!({ "flowRun": { "id": 1 } }))
    };
    assert_eq!(run, json!({ "data": [group(1, ids(1..=6)), group(2, ids(7..=8))] }));
    for group in [1, 2] {
        assert_eq!(server.ended(group).await, "\"Complete\"");
        let word = server.get(&at(&format!("/jobGroups/{group}/status"))).await.expect(200);
        assert_eq!((word.text.as_str(), word.header("x-terminal")), ("\"Complete\"", "true"));
        assert_eq!(word.header("content-type"), "application/json");
    }
    assert_eq!(server.get(&at("/flowRuns/1/status")).await.expect(200).text, "\"Complete\"");
}

/// A run that waits and is cancelled, and a group that is not there.
async fn cancelled(server: &Server, version: &str) {
    let at = |path: &str| format!("/{version}{path}");
    let limited = server.patch(&at("/deployments/1"), &json!({ "limit": 0 })).await.expect(200);
    let both = json!({ "id": 1, "updatedAt": "[time]" });
    let updater = (json!({ "updatedBy": 1 }), json!({ "updater": { "id": 1 } }));
    assert_eq!(plain(&limited), of(version, both, updater.0, updater.1));

    let body = json!({ "deployment": { "id": 1 }, "output": { "name": "Rejected" } });
    let started = server.post(&at("/jobGroups"), &body).await.expect(201);
    let both =
        json!({ "reason": "JobStarted", "sessionId": "[uuid]", "id": 3, "jobs": ids(9..=10) });
    let graph = json!({ "vertices": [9, 10], "edges": [{ "source": 9, "target": 10 }] });
    let new = json!({ "jobGraph": graph, "flowRun": { "id": 2 } });
    assert_eq!(plain(&started), of(version, both, json!({}), new));
    let status = async |query: &str| server.get(&at(&format!("/jobGroups/3/status{query}"))).await;
    assert_eq!(status("").await.expect(200).text, "\"Created\"");
    let canceled = server.post(&at("/jobGroups/3/cancel"), &json!({})).await.expect(200);
    assert_eq!(canceled.text, r#"{"jobIds":[9,10],"jobgroupId":3}"#);
    assert_eq!(status("?wait=30s").await.expect(200).text, "\"Canceled\"");

    let path = at("/jobGroups/9/status");
    let (title, detail) = ("The resource does not exist", "job group 9 does not exist");
    let expect = json!({
        "type": "urn:jobwright:problem:not-found", "title": title, "status": 404, "detail": detail,
        "instance": path, "requestId": "r-1",
        "exception": { "name": "DataNotFoundException", "message": title, "details": detail },
    });
    assert_eq!(server.get(&path).await.expect(404).json(), expect);
}
