//! Every status of a refusal, in both versions, with its whole body.

use std::fmt::Write;

use jobwright_adapters::MockExecutor;
use jobwright_http::Options;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

/// What is refused, in the order of the table; `{v}` is the version.
const CASES: [(&str, Method, &str); 14] = [
    ("400 a member that is unknown", Method::POST, "/{v}/deployments"),
    ("400 an id that is none", Method::GET, "/{v}/jobGroups/0"),
    ("401 no token", Method::GET, "/{v}/deployments"),
    ("401 a token that is unknown", Method::GET, "/{v}/jobGroups/1/status"),
    ("403 the role", Method::POST, "/{v}/deployments/1/run"),
    ("404 an unknown id", Method::POST, "/{v}/deployments/9/run"),
    ("404 an unknown route", Method::GET, "/{v}/nowhere"),
    ("404 a wrong method", Method::PUT, "/{v}/deployments"),
    ("409 the state", Method::POST, "/{v}/deployments/2/run"),
    ("412 another revision", Method::PATCH, "/{v}/deployments/1"),
    ("413 a long body", Method::POST, "/{v}/deployments"),
    ("415 another media type", Method::POST, "/{v}/deployments/1/releases"),
    ("422 a key of another request", Method::POST, "/{v}/deployments/1/run"),
    ("429 too many requests", Method::GET, "/{v}/jobGroups/1/status"),
];

/// The request of a case.
fn request(
    server: &Server,
    viewer: &str,
    case: (&str, Method, &str),
    version: &str,
) -> RequestBuilder {
    let (name, method, path) = case;
    let path = path.replace("{v}", version);
    let asked = server.request(method.clone(), &path);
    match name {
        "400 a member that is unknown" => asked.json(&json!({ "nom": "x" })),
        "401 no token" => server.bare(method, &path),
        "401 a token that is unknown" => {
            let other = jobwright_http::Secret::draw().unwrap();
            server.bare(method, &path).bearer_auth(other.reveal())
        }
        "403 the role" => server.bare(method, &path).bearer_auth(viewer),
        "412 another revision" => asked.header("if-match", "\"99\"").json(&json!({ "limit": 2 })),
        "413 a long body" => asked.json(&json!({ "name": "x".repeat(2_000) })),
        "415 another media type" => asked.json(&json!({})),
        "422 a key of another request" => {
            let data = json!([{ "key": "region", "value": "north" }]);
            let body = json!({ "runParameters": { "overrides": { "data": data } } });
            asked.header("idempotency-key", "k").json(&body)
        }
        _ => asked,
    }
}

/// The case and its whole body, without what depends on the second.
fn row(table: &mut String, name: &str, version: &str, answer: &Answer) {
    let found: Value = answer.json();
    assert_eq!(name.split(' ').next(), Some(&*answer.status.to_string()), "{name}: {found}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-request-id"), "r-1");
    let mut body = serde_json::to_string_pretty(&found).unwrap();
    let seconds = answer.header("retry-after");
    if !seconds.is_empty() {
        assert_eq!(answer.header("x-retry-after"), seconds);
        body = body.replace(&format!(" {seconds} s"), " [seconds] s");
    }
    writeln!(table, "{version} {name}\n{body}\n").unwrap();
}

#[tokio::test]
async fn every_refusal_has_its_body() {
    let limited = Options::default().body_bytes(1_000).requests_per_minute(Some(100));
    let server = Server::with(MockExecutor::new(), limited).await;
    server.deploy().await;
    server.post("/v4/deployments", &json!({ "name": "stock" })).await.expect(201);
    server.upload("/v4/deployments/2/releases", crate::server::PACKAGE).await.expect(201);
    server.post("/v4/deployments/2/pause", &json!({})).await.expect(200);
    let first = server.request(Method::POST, "/v4/deployments/1/run");
    server.send(first.header("idempotency-key", "k")).await.expect(201);
    let body = json!({ "description": "reads", "role": "viewer" });
    let viewer = server.post("/v4/apiAccessTokens", &body).await.expect(201).json();
    let viewer = viewer["tokenValue"].as_str().unwrap().to_owned();
    let mut table = String::new();
    for case in CASES {
        for version in ["v3", "v4"] {
            let mut answer = server.send(request(&server, &viewer, case.clone(), version)).await;
            // The last rows of the table: until the minute's requests are used up.
            for _ in 0..300 {
                if !case.0.starts_with("429") || answer.status == 429 {
                    break;
                }
                answer = server.send(request(&server, &viewer, case.clone(), version)).await;
            }
            row(&mut table, case.0, version, &answer);
        }
    }
    insta::assert_snapshot!("statuses", table);
}

#[tokio::test]
async fn wrong_tokens_are_counted_and_right_ones_are_not_locked_out() {
    let options = Options::default().failures_per_minute(Some(3));
    let server = Server::with(MockExecutor::new(), options).await;
    let shown = async |secret: &str| {
        let asked = server.bare(Method::GET, "/v4/deployments").bearer_auth(secret);
        server.send(asked).await.status
    };
    let mut found = Vec::new();
    for _ in 0..9 {
        found.push(shown("jw_wrong").await);
        assert_eq!(shown(&server.token).await, 200);
    }
    // A minute may end in between.
    assert!(found.starts_with(&[401]) && found.contains(&429), "{found:?}");
    // One minute and one peer: this one is refused with the others, unless a minute has ended.
    let unknown = jobwright_http::Secret::draw().unwrap();
    assert!([401, 429].contains(&shown(unknown.reveal()).await));
}
