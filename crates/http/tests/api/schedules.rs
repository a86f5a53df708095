//! Schedules and backfills over HTTP: bodies, faults with their place, who may.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

const PACKAGE: &str = r#"
jobwright: 1
name: sales
flows:
  sales:
    executor: mock
    steps:
      sum: { kind: wrangle }
    outputs:
      nightly: { trigger: scheduled, steps: [sum] }
"#;

/// A body without times.
fn timeless(mut body: Value) -> Value {
    for member in ["createdAt", "updatedAt", "nextFiring"] {
        if let Some(time) = body.get_mut(member).filter(|it| it.is_string()) {
            *time = "T".into();
        }
    }
    body
}

#[tokio::test]
async fn a_schedule_is_made_read_changed_paused_and_deleted() {
    let server = Server::start().await;
    server.deploy_package(PACKAGE).await;
    let at = "/v4/deployments/1/schedules";
    let body = json!({ "name": "nightly", "cron": "30 2 * * MON-FRI", "zone": "europe/berlin",
                       "catchUp": "all", "window": "90m", "jitter": "10m" });
    let made = server.post(at, &body).await.expect(201);
    assert_eq!((made.header("location"), made.header("etag")), ("/v4/schedules/1", "\"1\""));
    let expect = json!({
        "id": 1, "deployment": { "id": 1 }, "name": "nightly", "cron": "30 2 * * MON-FRI",
        "zone": "Europe/Berlin",
        "description": "At 02:30, on Monday, Tuesday, Wednesday, Thursday, and Friday.",
        "parameters": {}, "runPolicy": null, "catchUp": "all", "window": "1h 30m",
        "jitter": "10m", "paused": false, "nextFiring": "T", "lastFiring": null,
        "createdAt": "T", "updatedAt": "T", "creator": { "id": 1 }, "updater": { "id": 1 },
    });
    assert_eq!(timeless(made.json()), expect);
    let read = server.get("/v4/schedules/1").await.expect(200);
    assert_eq!(timeless(read.json()), expect);

    let path = "/v4/schedules/1/next?count=3&after=2026-03-26T12:00:00Z";
    let next = server.get(path).await.expect(200).json();
    let local: Vec<_> = next["data"].as_array().unwrap().iter().map(|it| &it["local"]).collect();
    assert_eq!(
        json!(local),
        json!([
            "2026-03-27T02:30:00+01:00",
            "2026-03-30T02:30:00+02:00",
            "2026-03-31T02:30:00+02:00"
        ])
    );
    let changed = json!({ "runPolicy": "skip", "parameters": { "day": 1 }, "zone": "UTC" });
    let patch = server.request(Method::PATCH, "/v4/schedules/1").header("if-match", "\"1\"");
    let answer = server.send(patch.json(&changed)).await.expect(200).json();
    assert_eq!((&answer["runPolicy"], &answer["zone"]), (&json!("skip"), &json!("UTC")));
    let patch = server.request(Method::PATCH, "/v4/schedules/1").header("if-match", "\"1\"");
    server.send(patch.json(&json!({ "name": "x" }))).await.expect(412);
    let answer = server.patch("/v4/schedules/1", &json!({ "runPolicy": null })).await.expect(200);
    assert_eq!(answer.json()["runPolicy"], Value::Null);
    let paused = server.post("/v4/schedules/1/pause", &json!({})).await.expect(200).json();
    assert_eq!((&paused["paused"], &paused["nextFiring"]), (&json!(true), &Value::Null));
    server.post("/v4/schedules/1/resume", &json!({})).await.expect(200);
    let listed = server.get(at).await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    server.get("/v3/schedules").await.expect(404);

    server.delete("/v4/schedules/1").await.expect(204);
    server.get("/v4/schedules/1").await.expect(404);
    let audit = server.get("/v4/auditRecords").await.expect(200).text;
    assert!(audit.contains("schedule") && audit.contains("POST /v4/deployments/1/schedules"));
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_has_its_place() {
    let server = Server::start().await;
    server.deploy_package(PACKAGE).await;
    let check = async |change: Value, status: u16, expect: &str| {
        let mut body = json!({ "name": "a", "cron": "@daily" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = server.post("/v4/deployments/1/schedules", &body).await.expect(status).json();
        let told = format!("{} {}", answer["errors"][0]["pointer"], answer["detail"]);
        assert!(told.contains(expect), "{told}");
    };
    check(json!({ "cron": "0 0 30 2 *" }), 400, "\"#/cron\" \"cron pattern `0 0 30 2 *` never")
        .await;
    check(json!({ "cron": "* * * * * *" }), 400, "it has 6 fields").await;
    check(json!({ "zone": "Mars" }), 400, "\"#/zone\" \"`Mars` is not a time zone").await;
    check(json!({ "window": "soon" }), 400, "\"#/window\" \"`soon` is not a duration").await;
    check(json!({ "jitter": "2d" }), 400, "\"#/jitter\" \"a schedule's jitter is at most 1d").await;
    check(json!({ "name": " " }), 400, "\"#/name\"").await;
    server.post("/v4/deployments/1/schedules", &json!({ "name": "a", "cron": "@daily" })).await;
    check(json!({}), 409, "schedule 2 of the deployment is already named `a`").await;
    server
        .post("/v4/deployments/9/schedules", &json!({ "name": "a", "cron": "@daily" }))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_backfill_is_begun_watched_and_over() {
    let server = Server::start().await;
    server.deploy_package(PACKAGE).await;
    let body = json!({ "name": "a", "cron": "@daily", "paused": true });
    server.post("/v4/deployments/1/schedules", &body).await.expect(201);
    let at = "/v4/schedules/1/backfills";
    let range =
        json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-04T00:00:00Z", "parallel": 3 });
    let begun = server.post(at, &range).await.expect(201).json();
    assert_eq!((&begun["total"], &begun["state"]), (&json!(3), &json!("running")));
    let mut runs = server.get("/v4/backfills/1").await.expect(200).json();
    for _ in 0..200 {
        if runs["state"] == "done" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        runs = server.get("/v4/backfills/1").await.expect(200).json();
    }
    let run = |day: i64| {
        json!({ "nominal": format!("2026-01-0{day}T00:00:00.000Z"), "run": { "id": day },
                "status": "Complete" })
    };
    assert_eq!(runs["runs"], json!([run(1), run(2), run(3)]));
    server.post("/v4/backfills/1/cancel", &json!({})).await.expect(409);
    let ahead = json!({ "from": "2026-01-01T00:00:00Z", "to": "9026-01-04T00:00:00Z" });
    server.post(at, &ahead).await.expect(400);
}

#[tokio::test]
async fn a_deployment_says_how_long_its_runs_are_kept() {
    let server = Server::start().await;
    server.deploy_package(PACKAGE).await;
    let check = async |given: Value, status: u16, expect: Value| {
        server.patch("/v4/deployments/1", &json!({ "retention": given })).await.expect(status);
        let found = server.get("/v4/deployments/1").await.expect(200).json();
        assert_eq!(found["retention"], expect);
    };
    check(json!("36h"), 200, json!("1d 12h")).await;
    check(json!("soon"), 400, json!("1d 12h")).await;
    check(json!("forever"), 200, json!("forever")).await;
    check(Value::Null, 200, Value::Null).await;
}
