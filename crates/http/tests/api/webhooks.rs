//! Webhooks over HTTP: who may make them, what is refused, what is shown. That they are sent is
//! tested where they are sent.

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_adapters::MockExecutor;
use jobwright_core::DeploymentId;
use jobwright_core::webhook::{Answer, Call, UrlRefused, WebhookSender};
use jobwright_http::Options;
use serde_json::{Value, json};

use crate::server::Server;

/// Sends nothing, and refuses one host.
struct Fake;

#[async_trait]
impl WebhookSender for Fake {
    fn check(&self, url: &str) -> Result<(), UrlRefused> {
        let refused = UrlRefused { reason: "it is here".to_owned() };
        if url.contains("127.0.0.1") { Err(refused) } else { Ok(()) }
    }

    async fn test(&self, _: DeploymentId, call: &Call) -> Answer {
        match call.url.contains("down") {
            true => Answer { status: None, error: Some("nobody is there".to_owned()) },
            false => Answer { status: Some(200), error: None },
        }
    }
}

fn hook() -> Value {
    json!({ "flowId": 1, "name": "tell", "url": "https://example.org/hook" })
}

#[tokio::test]
async fn webhooks_are_kept_without_their_keys() {
    let options = Options::default().webhooks(Arc::new(Fake));
    let server = Server::with(MockExecutor::new(), options).await;
    server.deploy().await;
    let path = "/v4/webhookFlowTasks";
    let mut body = hook();
    body["secretKey"] = json!("secret:hook-key");
    body["triggerEvent"] = json!("onJobFailure");
    body["outputs"] = json!(["report"]);
    body["headers"] = json!({ "authorization": "secret:hook-token" });
    body["body"] = json!(r#"{"job_id":"$jobId"}"#);
    let made = server.post(path, &body).await.expect(201);
    assert_eq!(made.header("location"), "/v4/webhookFlowTasks/1");
    let kept = server.get("/v4/webhookFlowTasks/1").await.expect(200);
    assert_eq!((&kept.json(), kept.text.contains("hook-key")), (&made.json(), false));
    let kept = kept.json();
    assert_eq!((&kept["signed"], &kept["triggerObject"]), (&json!(true), &json!("some")));
    assert_eq!((&kept["flowId"], &kept["method"]), (&json!(1), &json!("post")));
    let changed = json!({ "triggerObject": "any", "method": "put" });
    let changed = server.patch("/v4/webhookFlowTasks/1", &changed).await.expect(200).json();
    assert_eq!((&changed["method"], &changed["outputs"]), (&json!("put"), &json!([])));
    assert_eq!((&changed["signed"], &changed["body"]), (&json!(true), &kept["body"]));
    let old = server.get("/v3/webhookFlowTasks?flowId=1").await.expect(200);
    assert!(!old.text.contains("hook-key"), "{}", old.text);
    assert_eq!(old.json()["data"][0]["createdBy"], 1);

    // The end of a group is announced in its own commit, for whoever sends.
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(1).await;
    server.ended(2).await;
    let told = server.engine.announcements().await.unwrap();
    let told: Vec<_> = told.iter().map(|it| it.group.get()).collect();
    assert_eq!(told, [1, 2]);
    let none = server.get("/v4/webhookDeliveries?webhookFlowTaskId=1").await.expect(200);
    assert_eq!(none.json(), json!({ "data": [] }));

    server.delete("/v4/webhookFlowTasks/1").await.expect(204);
    server.get("/v4/webhookFlowTasks/1").await.expect(404);
    server.delete("/v4/webhookFlowTasks/1").await.expect(404);
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(3).await;
    assert_eq!(server.engine.announcements().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let options = Options::default().webhooks(Arc::new(Fake));
    let server = Server::with(MockExecutor::new(), options).await;
    server.deploy().await;
    let with = |name: &str, value: Value| {
        let mut body = hook();
        body[name] = value;
        body
    };
    for (body, pointer) in [
        (with("url", json!("http://127.0.0.1/")), "#/url"),
        (with("url", json!("ftp://a")), "#/url"),
        (with("name", json!("")), "#/name"),
        (with("body", json!("$jobIdd")), "#/body"),
        (with("headers", json!({ "host": "a" })), "#/headers"),
        (with("headers", json!({ "cookie": "a=b" })), "#/headers"),
        (with("secretKey", json!("s3cr3t-k3y")), "#/secretKey"),
        (with("sslVerification", json!(false)), "#/sslVerification"),
        (with("flowNodeIds", json!([7])), "#/flowNodeIds"),
        (with("triggerObject", json!("some")), "#/outputs"),
    ] {
        for path in ["/v4/webhookFlowTasks", "/v4/webhooks/test"] {
            let refused = server.post(path, &body).await.expect(400);
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}");
            assert!(!refused.text.contains("s3cr3t"), "{}", refused.text);
        }
    }
    for body in [with("secret_key", json!("x")), with("method", json!("head"))] {
        server.post("/v4/webhookFlowTasks", &body).await.expect(400);
    }
    server.post("/v4/webhookFlowTasks", &with("flowId", json!(9))).await.expect(404);
    let test = server.post("/v4/webhooks/test", &hook()).await.expect(200).json();
    assert_eq!(test, json!({ "statusCode": 200, "error": null }));
    let down = with("url", json!("https://down.example.org"));
    let test = server.post("/v4/webhooks/test", &down).await.expect(200).json();
    assert_eq!(test, json!({ "statusCode": null, "error": "nobody is there" }));
    for _ in 0..50 {
        server.post("/v4/webhookFlowTasks", &hook()).await.expect(201);
    }
    server.post("/v4/webhookFlowTasks", &hook()).await.expect(409);

    let silent = Server::start().await;
    silent.deploy().await;
    let none = silent.post("/v4/webhookFlowTasks", &hook()).await.expect(409).json();
    assert_eq!(none["detail"], "this server sends no webhooks");
}
