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
    let cases: [(Method, &str, Value, [u16; 4]); 13] = [
        (Method::GET, "/v4/deployments", Value::Null, [200, 200, 200, 200]),
        (Method::GET, "/v3/deployments/1/explain", Value::Null, [200, 200, 200, 200]),
        (Method::POST, "/v3/deployments/1/run", json!({}), [403, 201, 201, 201]),
        (Method::POST, "/v4/jobGroups/1/rerun", Value::Null, [403, 409, 409, 409]),
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
