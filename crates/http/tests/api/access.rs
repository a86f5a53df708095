//! Tokens and roles: who may do what, and what is recorded of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

async fn token(server: &Server, role: &str) -> String {
    let body = json!({ "description": role, "role": role, "lifetimeInDays": 1 });
    let made = server.post("/v4/apiAccessTokens", &body).await.expect(201).json();
    assert_eq!(made["tokenInfo"]["role"], role);
    made["tokenValue"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_role_may_do_what_it_says_and_no_more() {
    let server = Server::hanging().await;
    server.deploy().await;
    let mut tokens = Vec::new();
    for role in ["viewer", "operator", "deployer", "admin"] {
        tokens.push(token(&server, role).await);
    }
    let cases: [(Method, &str, Value, [u16; 4]); 14] = [
        (Method::GET, "/v4/deployments", Value::Null, [200, 200, 200, 200]),
        (Method::GET, "/v3/deployments/1/explain", Value::Null, [200, 200, 200, 200]),
        (Method::POST, "/v3/deployments/1/run", json!({}), [403, 201, 201, 201]),
        (Method::POST, "/v4/jobGroups/1/rerun", Value::Null, [403, 409, 409, 409]),
        (Method::PUT, "/v4/jobGroups/1/publish", Value::Null, [403, 409, 409, 409]),
        (Method::POST, "/v4/jobGroups/1/cancel", Value::Null, [403, 200, 200, 200]),
        (Method::POST, "/v4/deployments/1/pause", Value::Null, [403, 200, 200, 200]),
        (Method::PATCH, "/v4/deployments/1", json!({ "paused": false }), [403, 403, 200, 200]),
        (Method::POST, "/v4/deployments/1/releases", Value::Null, [403, 403, 415, 415]),
        (Method::PATCH, "/v3/releases/1", json!({ "active": true }), [403, 403, 200, 200]),
        (
            Method::POST,
            "/v4/environmentParameters/package",
            json!({ "environmentParameters": [] }),
            [403, 403, 403, 201],
        ),
        (
            Method::POST,
            "/v4/flowRunParameterOverrides",
            json!({ "flowId": 99, "overrideKey": "rows", "value": 1 }),
            [403, 403, 404, 404],
        ),
        (
            Method::POST,
            "/v4/webhookFlowTasks",
            json!({ "flowId": 1, "name": "a", "url": "https://example.org" }),
            [403, 403, 409, 409],
        ),
        (Method::GET, "/v4/apiAccessTokens", Value::Null, [403, 403, 403, 200]),
    ];
    for (method, path, body, expect) in cases {
        let mut found = Vec::new();
        for token in &tokens {
            let mut request = server.bare(method.clone(), path).bearer_auth(token);
            if !body.is_null() {
                request = request.json(&body);
            }
            found.push(server.send(request).await.status);
        }
        assert_eq!(found, expect, "{method} {path}");
    }
    for version in ["v3", "v4"] {
        let path = format!("/{version}/deployments/1/run");
        let denied = server.send(server.bare(Method::POST, &path).bearer_auth(&tokens[0])).await;
        let detail = "this needs the role `operator`, the token has `viewer`";
        let title = "This is not allowed";
        let expect = json!({
            "type": "urn:jobwright:problem:denied", "title": title, "status": 403,
            "detail": detail, "instance": path, "requestId": "r-1",
            "exception": { "name": "AccessControlException", "message": title, "details": detail },
        });
        assert_eq!(denied.expect(403).json(), expect);
    }
    let audit = server.get("/v4/auditRecords").await.expect(200).json();
    let newest = &audit["data"][0];
    assert_eq!(newest["request"], "POST /v4/deployments/1/run");
    assert_eq!(newest["creator"], json!({ "id": 2 }));
    assert_eq!(newest["deeds"], json!([{ "verb": "denied", "kind": "deployment", "id": 1 }]));
    let ran = audit["data"].as_array().unwrap().iter().find(|it| it["deeds"][0]["kind"] == "run");
    assert_eq!(ran.unwrap()["deeds"], json!([{ "verb": "create", "kind": "run", "id": 3 }]));
}

#[tokio::test]
async fn a_cancellation_is_recorded_once_and_where_it_happened() {
    let server = Server::hanging().await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(2).await;
    for group in [1, 1, 2] {
        server.post(&format!("/v4/jobGroups/{group}/cancel"), &json!({})).await.expect(200);
    }
    assert_eq!(server.ended(1).await, "\"Canceled\"");
    let engine = server.engine.acting_for(jobwright_scheduler::Actor::new(None, "again"));
    for group in [1, 2] {
        engine.cancel(jobwright_core::GroupId::new(group).unwrap(), "late").await.unwrap();
    }
    let audit = server.get("/v4/auditRecords").await.expect(200).json();
    let deeds = audit["data"].as_array().unwrap().iter().flat_map(|it| it["deeds"].as_array());
    let cancels: Vec<_> = deeds.flatten().filter(|deed| deed["verb"] == "cancel").collect();
    assert_eq!(cancels, [&json!({ "verb": "cancel", "kind": "group", "id": 1 })]);
}

#[tokio::test]
async fn audit_records_are_sealed_and_what_was_changed_is_found() {
    let store = std::sync::Arc::new(jobwright_store::MemoryStore::new());
    let server = Server::on(store.clone()).await;
    let check = async || server.get("/v4/auditRecords/check").await.expect(200).json();
    let seal = async || server.post("/v4/auditRecords/seal", &json!({})).await.expect(200).json();
    assert_eq!(check().await["unsealed"], 0);
    assert_eq!(seal().await["last"], Value::Null);
    server.deploy().await;
    assert_eq!((&check().await["sealed"], &check().await["unsealed"]), (&json!(0), &json!(2)));
    let first = seal().await;
    assert_eq!((&first["sealed"], &first["unsealed"]), (&json!(2), &json!(1)));
    // Nothing but the seal is new.
    assert_eq!(seal().await, first);
    server.post("/v3/deployments/1/run", &json!({})).await.expect(201);
    let second = seal().await;
    assert_eq!((&second["sealed"], &second["intact"]), (&json!(4), &json!(true)));
    assert_ne!(second["last"], first["last"]);

    // Somebody with the database changes a record that the first seal covers.
    let key = jobwright_core::AuditId::new(2).unwrap().into();
    let found = jobwright_core::Store::find(&*store, key).await.unwrap().unwrap();
    let jobwright_core::Document::Audit(mut record) = found.document else { panic!("a record") };
    record.by = None;
    let change =
        jobwright_core::Change::update(jobwright_core::Document::Audit(record), found.revision);
    let commit = jobwright_core::Commit { catalog: vec![change], ..Default::default() };
    jobwright_core::Store::commit(&*store, std::sync::Arc::new(commit)).await.unwrap();
    let broken = check().await;
    assert_eq!((&broken["intact"], &broken["broken"]), (&json!(false), &json!(3)));
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends_when_revoked() {
    let server = Server::start().await;
    let secret = token(&server, "viewer").await;
    let with = |secret: &str| server.bare(Method::GET, "/v4/deployments").bearer_auth(secret);
    server.send(with(&secret)).await.expect(200);
    let listed = server.get("/v4/apiAccessTokens").await.expect(200);
    assert!(!listed.text.contains(&secret) && !listed.text.contains("hash"), "{}", listed.text);
    assert_eq!(listed.json()["data"][1]["createdTime"].as_str().unwrap().len(), 24);
    server.delete("/v4/apiAccessTokens/2").await.expect(204);
    server.send(with(&secret)).await.expect(401);
    server.delete("/v4/apiAccessTokens/2").await.expect(404);
    let last = server.delete("/v4/apiAccessTokens/1").await.expect(409).json();
    assert_eq!(last["exception"]["name"], "ConflictException");
    for days in [0, -2, 40_000] {
        let body = json!({ "description": "x", "lifetimeInDays": days });
        let refused = server.post("/v4/apiAccessTokens", &body).await.expect(400).json();
        assert_eq!(refused["errors"][0]["pointer"], "#/lifetimeInDays");
    }
}

#[tokio::test]
async fn anybody_may_do_what_the_embedder_says() {
    let options = jobwright_http::Options::default().anonymous(Some(jobwright_core::Role::Viewer));
    let server = Server::with(jobwright_adapters::MockExecutor::new(), options).await;
    server.send(server.bare(Method::GET, "/v4/deployments")).await.expect(200);
    let make = server.bare(Method::POST, "/v4/deployments").json(&json!({ "name": "x" }));
    server.send(make).await.expect(403);
    let wrong = server.bare(Method::GET, "/v4/deployments").bearer_auth("jw_wrong");
    server.send(wrong).await.expect(401);
}
