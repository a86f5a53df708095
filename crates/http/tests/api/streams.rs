//! Streams of events, health and metrics.

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{AttemptId, Role, Timestamp};
use jobwright_http::{LogLine, LogSource, LogSourceError, Options};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// The events of a stream's text: name, id, body.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let member = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim_start().to_owned()
    };
    let blocks = text.split("\n\n").filter(|block| block.contains("event"));
    blocks
        .map(|block| {
            let body = serde_json::from_str(&member(block, "data")).unwrap();
            (member(block, "event"), member(block, "id"), body)
        })
        .collect()
}

#[tokio::test]
async fn a_group_is_told_from_where_the_reader_was() {
    let server = Server::start().await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    let stream = server.get("/v4/jobGroups/1/events").await.expect(200);
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    let all = events(&stream.text);
    let ids: Vec<_> = all.iter().filter(|it| it.0 != "bye").map(|it| it.1.clone()).collect();
    let expect: Vec<_> = (1..=ids.len()).map(|id| id.to_string()).collect();
    assert_eq!(ids, expect);
    assert_eq!((&*all[0].0, &all[0].2["type"]), ("jobGroup", &json!("accepted")));
    let ended = &all[all.len() - 2];
    assert_eq!((&ended.2["type"], &ended.2["status"]), (&json!("groupEnded"), &json!("Complete")));
    let (name, _, body) = all.last().unwrap();
    assert_eq!((&**name, body), ("bye", &json!({ "reason": "ended" })));
    assert!(
        all.iter().any(|it| it.0 == "job" && it.2["jobId"] == 3 && it.2["status"] == "Complete")
    );

    let again = server.request(Method::GET, "/v4/events?jobGroup=1").header("last-event-id", "4");
    let again = events(&server.send(again).await.expect(200).text);
    assert_eq!(again[..], all[4..]);
    server.get("/v4/jobGroups/9/events").await.expect(404);
}

#[tokio::test]
async fn everything_is_told_until_the_server_drains() {
    let drain = CancellationToken::new();
    let mock = MockExecutor::new().on("read", [Act::hangs()]);
    let server = Server::with(mock, Options::default().drain(drain.clone())).await;
    server.deploy().await;
    assert_eq!(
        server.send(server.bare(Method::GET, "/readyz")).await.expect(200).text,
        "{\"status\":\"ready\"}"
    );
    let back = server.request(Method::GET, "/v4/events").header("last-event-id", "1-5");
    let mut stream = back.send().await.unwrap();
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(2).await;
    let mut text = String::new();
    let closed = |text: &str| text.contains("groupEnded");
    while let Some(chunk) = stream.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        if closed(&text) {
            drain.cancel();
        }
    }
    let told = events(&text);
    assert_eq!((&*told[0].0, &told[0].2), ("gap", &json!({ "missed": 0 })));
    assert_eq!((&*told[1].1, &told[1].2["type"]), ("1-1", &json!("accepted")));
    assert_eq!(told.last().unwrap().2, json!({ "reason": "draining" }));
    server.send(server.bare(Method::GET, "/readyz")).await.expect(503);
    assert_eq!(server.send(server.bare(Method::GET, "/livez")).await.expect(200).text, "ok");
    let metrics = server.send(server.bare(Method::GET, "/metrics")).await.expect(200).text;
    let line = "jobwright_http_request_duration_seconds_count{route=\"/v4/deployments/{id}/run\",method=\"POST\",status_class=\"2xx\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    // A wait ends at once too.
    assert_eq!(server.get("/v4/jobGroups/1/status?wait=60").await.text, "\"InProgress\"");
}

#[tokio::test]
async fn a_stream_and_a_wait_end_with_their_token() {
    let server = Server::hanging().await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(2).await;
    let body = json!({ "description": "watches", "role": "viewer" });
    let made = server.post("/v4/apiAccessTokens", &body).await.expect(201).json();
    let with = |secret: &str, path: &str| server.bare(Method::GET, path).bearer_auth(secret);
    let secret = made["tokenValue"].as_str().unwrap();
    // The stream is there when its first event is, so the token lives until both have begun.
    let mut stream = with(secret, "/v4/jobGroups/1/events").send().await.unwrap();
    let first = stream.chunk().await.unwrap().unwrap();
    let all = with(secret, "/v4/events").send().await.unwrap();
    let waits = server.send(with(secret, "/v4/jobGroups/1/status?wait=60s"));
    let revoked = async {
        assert_eq!(server.delete("/v4/apiAccessTokens/2").await.status, 204);
    };
    let (waited, ()) = tokio::join!(waits, revoked);
    // The revocation may have come before the wait.
    let detail = waited.expect(401).json()["detail"].clone();
    let told = ["the access token was revoked", "the access token is unknown or revoked"];
    assert!(told.contains(&detail.as_str().unwrap()), "{detail}");
    let mut text = String::from_utf8(first.to_vec()).unwrap();
    text.push_str(&stream.text().await.unwrap());
    assert_eq!(events(&text).last().unwrap().2, json!({ "reason": "revoked" }));
    assert_eq!(events(&all.text().await.unwrap())[0].2, json!({ "reason": "revoked" }));

    let short = jobwright_http::Secret::draw().unwrap();
    let life = Some(std::time::Duration::from_millis(400));
    server.engine.create_token("short", Role::Viewer, short.hash(), life).await.unwrap();
    let stream = with(short.reveal(), "/v4/events").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let told = events(&stream.text().await.unwrap());
    assert_eq!(told[0].2, json!({ "reason": "expired" }));
    let late = server.send(with(short.reveal(), "/v4/jobs/1")).await.expect(401).json();
    assert_eq!(late["detail"], "the access token has expired");
    let metrics = server.send(server.bare(Method::GET, "/metrics")).await.expect(200).text;
    assert!(metrics.contains("jobwright_sse_clients 0"), "{metrics}");
}

#[tokio::test]
async fn a_token_has_so_many_streams_and_each_has_an_age() {
    let options = Options::default().streams(1);
    let options = options.stream_time(Some(std::time::Duration::from_millis(300)));
    let server = Server::with(MockExecutor::new(), options).await;
    let open = server.request(Method::GET, "/v4/events").send().await.unwrap();
    let full = server.get("/v4/events").await.expect(429);
    assert_eq!(full.json()["detail"], "a token may have 1 event streams open: close one first");
    assert_eq!(full.header("retry-after"), "1");
    assert_eq!(events(&open.text().await.unwrap())[0].2, json!({ "reason": "age" }));
    let again = server.get("/v4/events").await.expect(200);
    assert_eq!(events(&again.text)[0].2, json!({ "reason": "age" }));
}

/// A log of five lines for the first attempt of job 1.
struct Five;

#[async_trait::async_trait]
impl LogSource for Five {
    async fn read(
        &self,
        attempt: AttemptId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogLine>, LogSourceError> {
        assert_eq!(attempt.to_string(), "1-1");
        let line = |seq| LogLine::new(seq, Timestamp::from_millis(0), "out", format!("line {seq}"));
        Ok((after + 1..=5).map(line).take(limit as usize).collect())
    }
}

#[tokio::test]
async fn a_log_is_read_in_parts_and_followed() {
    let server = Server::with(MockExecutor::new(), Options::default().logs(Five)).await;
    server.deploy().await;
    server.get("/v4/jobs/1/logs").await.expect(404);
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(1).await;
    let part = server.get("/v4/jobs/1/logs?after=2&limit=1").await.expect(200).json();
    let line =
        json!({ "seq": 3, "at": "1970-01-01T00:00:00.000Z", "stream": "out", "text": "line 3" });
    assert_eq!(part, json!({ "attempt": 1, "data": [line] }));
    let missing = server.get("/v3/jobs/1/logs?attempt=2").await.expect(404).json();
    assert_eq!(missing["detail"], "job 1 has no attempt 2");
    let followed = events(&server.get("/v4/jobs/1/logs?follow=true&after=3").await.text);
    let ids: Vec<_> = followed.iter().map(|it| (&*it.0, &*it.1)).collect();
    assert_eq!(ids, [("log", "4"), ("log", "5"), ("bye", "")]);
}
