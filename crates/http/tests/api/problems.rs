//! Every refusal has its own status, name and message, in both versions.

use jobwright_adapters::MockExecutor;
use jobwright_http::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

/// The whole body of a refusal.
fn problem(status: u16, slug: &str, name: &str, title: &str, path: &str, detail: &str) -> Value {
    json!({
        "type": format!("urn:jobwright:problem:{slug}"),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
        "requestId": "r-1",
        "exception": { "name": name, "message": title, "details": detail },
    })
}

fn check(answer: &Answer, expect: &Value) {
    assert_eq!(answer.json(), *expect);
    assert_eq!(Value::from(answer.status), expect["status"]);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-request-id"), "r-1");
    assert_eq!(answer.header("x-trifacta-request-id"), "r-1");
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let server = Server::start().await;
    server.post("/v4/deployments", &json!({ "name": "sales" })).await.expect(201);
    let invalid = |path: &str, detail: &str| {
        problem(400, "validation", "ValidationFailed", "Input validation failed", path, detail)
    };
    let missing = |path: &str, detail: &str| {
        let title = "The resource does not exist";
        problem(404, "not-found", "DataNotFoundException", title, path, detail)
    };
    for version in ["v3", "v4"] {
        let path = format!("/{version}/deployments/1/run");
        let run = async |body: Value| server.post(&path, &body).await;
        let nothing =
            "deployment `sales` has no active release: import one, or activate one of its releases";
        check(&run(json!({})).await, &invalid(&path, nothing));
        let unknown = format!("/{version}/deployments/9/run");
        check(
            &server.post(&unknown, &json!({})).await,
            &missing(&unknown, "deployment 9 does not exist"),
        );
        for (at, what) in [
            ("jobGroups", "job group"),
            ("jobs", "job"),
            ("flowRuns", "run"),
            ("releases", "release"),
        ] {
            let path = format!("/{version}/{at}/77");
            check(&server.get(&path).await, &missing(&path, &format!("{what} 77 does not exist")));
        }
    }
    let scheduled = "jobwright: 1\nname: n\nflows:\n  f:\n    executor: mock\n    steps: { s: { payload: {} } }\n    outputs: { o: { steps: [s], trigger: scheduled } }\n";
    server.upload("/v4/deployments/1/releases", scheduled).await.expect(201);
    for version in ["v3", "v4"] {
        let path = format!("/{version}/deployments/1/run");
        let detail = "the release has no manual output in its primary flow; it has `o`";
        check(&server.post(&path, &json!({})).await, &invalid(&path, detail));
    }
}

#[tokio::test]
async fn wrong_overrides_are_told_with_their_places() {
    let server = Server::start().await;
    server.deploy().await;
    for version in ["v3", "v4"] {
        let path = format!("/{version}/deployments/1/run");
        let run = async |body: Value| server.post(&path, &body).await.expect(400).json();
        let data = json!([
            { "key": "rows", "value": "11" }, { "key": "Region", "value": "north" },
            { "key": "region", "value": "west" },
        ]);
        let body = run(json!({ "runParameters": { "overrides": { "data": data } } })).await;
        let places: Vec<_> =
            body["errors"].as_array().unwrap().iter().map(|it| &it["pointer"]).collect();
        let at = |place: &str| format!("#/runParameters/overrides/data/{place}");
        assert_eq!(
            places,
            [&json!(at("1/key")), &json!(at("2/value")), &json!(at("0/value"))],
            "{body}"
        );
        let unknown = "unknown parameter `Region` in the values of the run; did you mean `region`?";
        assert_eq!(body["errors"][0]["detail"], unknown);
        assert_eq!(body["exception"]["name"], "ValidationFailed");

        let twice = json!([{ "key": "rows", "value": "1" }, { "key": "rows", "value": "2" }]);
        let body = run(json!({ "runParameters": { "overrides": { "data": twice } } })).await;
        assert_eq!(body["detail"], "parameter `rows` is given twice");
        let wrapped = json!({ "overrides": { "runParameters": {} } });
        let body = run(wrapped).await;
        assert_eq!(body["errors"][0]["pointer"], "#/overrides");
        let body = run(json!([{}])).await;
        assert_eq!(body["detail"], "invalid type: sequence, expected an object at line 1 column 0");
        let body = run(json!({ "runParameters": [{ "data": [] }] })).await;
        assert_eq!(body["errors"][0]["pointer"], "#/runParameters");
        let body = run(json!({ "runParameters": { "referenceDate": "tomorrow" } })).await;
        assert_eq!(body["errors"][0]["pointer"], "#/runParameters/referenceDate");
    }
}

#[tokio::test]
async fn strangers_and_wrong_ways_are_refused() {
    let server = Server::start().await;
    server.deploy().await;
    for version in ["v3", "v4"] {
        let path = format!("/{version}/deployments");
        let stranger = server.send(server.bare(Method::GET, &path)).await;
        let title = "Authentication is required";
        let unauthenticated = |detail: &str| {
            problem(401, "unauthenticated", "AuthenticationException", title, &path, detail)
        };
        check(&stranger, &unauthenticated("show an access token: `Authorization: Bearer <token>`"));
        assert_eq!(stranger.header("www-authenticate"), "Bearer realm=\"jobwright\"");
        let cut = &server.token[..40];
        let wrong = server.send(server.bare(Method::GET, &path).bearer_auth(cut)).await;
        check(&wrong, &unauthenticated("an access token begins with `jw_` and has 51 characters"));
        let other = jobwright_http::Secret::draw().unwrap();
        let wrong = server.send(server.bare(Method::GET, &path).bearer_auth(other.reveal())).await;
        check(&wrong, &unauthenticated("the access token is unknown or revoked"));
        let basic = server.bare(Method::GET, &path).basic_auth("anybody", Some(&server.token));
        server.send(basic).await.expect(200);

        let lost = |method: &str, path: &str| {
            let detail = format!("Cannot {method} {path}");
            let title = "This route does not exist";
            problem(404, "no-route", "RouteNotFoundException", title, path, &detail)
        };
        let nowhere = format!("/{version}/nowhere");
        check(&server.get(&nowhere).await, &lost("GET", &nowhere));
        let wrong = server.send(server.request(Method::PUT, &path)).await;
        check(&wrong, &lost("PUT", &path));

        let text =
            server.request(Method::POST, &path).header("content-type", "text/plain").body("{}");
        let title = "The media type does not fit";
        let detail = "the body must be `application/json`";
        let name = "UnsupportedMediaTypeException";
        check(&server.send(text).await, &problem(415, "media-type", name, title, &path, detail));
        let release = format!("{path}/1/releases");
        server.post(&release, &json!({})).await.expect(415);

        let taken = server.post(&path, &json!({ "name": "sales" })).await;
        let title = "The state does not allow it now";
        let detail = "deployment 1 is already named `sales`";
        check(&taken, &problem(409, "conflict", "ConflictException", title, &path, detail));

        let one = format!("{path}/1");
        let stale = server.request(Method::PATCH, &one).header("if-match", "\"1\"");
        let stale = server.send(stale.json(&json!({ "limit": 2 }))).await;
        let revision = server.get(&one).await.header("etag").trim_matches('"').to_owned();
        let title = "The resource has changed";
        let detail = format!("deployment 1 is at revision {revision}, not 1: read it again");
        let name = "PreconditionFailedException";
        check(&stale, &problem(412, "stale", name, title, &one, &detail));
    }
    let typed = server.request(Method::GET, "/v4/x").header("accept", "application/problem+json");
    assert_eq!(server.send(typed).await.header("content-type"), "application/problem+json");
    let body = server.post("/v4/deployments", &json!({ "nom": "x" })).await.expect(400).json();
    assert_eq!(body["errors"][0]["pointer"], "#/nom");
    server.get("/v4/jobGroups/0").await.expect(400);
    server.get("/v4/jobGroups/x/status").await.expect(400);
}

#[tokio::test]
async fn limits_are_kept_and_named() {
    let options =
        Options::default().body_bytes(100).upload_bytes(500).requests_per_minute(Some(40));
    let server = Server::with(MockExecutor::new(), options).await;
    for version in ["v3", "v4"] {
        let path = format!("/{version}/deployments");
        let large = server.post(&path, &json!({ "name": "x".repeat(200) })).await;
        let title = "The body is too large";
        let detail = "the body has more than 100 bytes";
        let name = "PayloadTooLargeException";
        check(&large, &problem(413, "too-large", name, title, &path, detail));
        let path = format!("/{version}/deployments/1/releases");
        let package = "#".repeat(600);
        assert_eq!(
            server.upload(&path, &package).await.expect(413).json()["detail"],
            "the body has more than 500 bytes"
        );
    }
    let first = server.get("/v4/deployments").await;
    assert_eq!(first.header("x-rate-limit-user-limit"), "40");
    // A minute may end in between: then the next one is used up.
    let mut refused = None;
    for at in 0..90 {
        let path = if at % 2 == 0 { "/v3/deployments" } else { "/v4/deployments" };
        let answer = server.get(path).await;
        if answer.status == 429 {
            refused = Some((path, answer));
            if at % 2 == 1 {
                break;
            }
        }
    }
    let (path, refused) = refused.unwrap();
    let seconds = refused.header("retry-after");
    assert_eq!(refused.header("x-retry-after"), seconds);
    assert_eq!(refused.header("x-rate-limit-user-remaining"), "0");
    let detail =
        format!("requests of one token are limited to 40 a minute: try again in {seconds} s");
    let title = "Too many requests";
    check(&refused, &problem(429, "too-many", "TooManyRequestsException", title, path, &detail));
}
