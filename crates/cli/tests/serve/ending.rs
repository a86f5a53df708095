//! How a server ends: in order at the first signal, at once at the second.

use reqwest::Method;
use rustix::process::{Signal, test_kill_process};
use serde_json::json;

use crate::server::{Place, let_go, soon};

/// A package of one step that says `ready`, waits for the pipe and says what it read.
fn waiting(pipe: &std::path::Path, extra: &str) -> String {
    format!(
        "
jobwright: 1
name: p
flows:
  f:
    steps:
      s:
        executor: local
        payload: {{ command: [sh, -c, 'echo ready; read word < {}; {extra}'] }}
        retry: {{ max_attempts: 9 }}
        grace: 1s
    outputs: {{ o: {{ steps: [s] }} }}
",
        pipe.display(),
    )
}

#[tokio::test]
async fn the_first_signal_lets_what_runs_end() {
    let place = Place::new("[engine]\ngrace = \"1h\"\n");
    let pipe = place.pipe("pipe");
    let server = place.start().await;
    server.deploy(&waiting(&pipe, "echo $$word")).await;
    let (group, jobs) = server.run().await;
    server.says(jobs[0], "ready").await;
    let events = server.request(Method::GET, &format!("/v4/jobGroups/{group}/events"));
    let events = events.send().await.unwrap();

    server.signal(Signal::TERM);
    server.until("/readyz", |it| it.status == 503).await;
    let told = soon("the end of the events", events.text()).await.unwrap();
    assert!(told.contains("event: bye") && told.contains("draining"), "{told}");
    let path = "/v4/deployments/1/run";
    server.post(path, &json!({})).await.expect(503);
    let status = server.get(&format!("/v4/jobGroups/{group}/status")).await.expect(200);
    assert_eq!(status.text, "\"InProgress\"");

    let_go(&pipe).await;
    assert_eq!(server.exited().await.code(), Some(0));
    let server = place.start().await;
    assert_eq!(server.ended(group).await, "\"Complete\"");
    server.says(jobs[0], "go").await;
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_stopped_and_runs_anew() {
    let place = Place::new("[engine]\ngrace = \"50ms\"\n");
    let pipe = place.pipe("pipe");
    let server = place.start().await;
    server.deploy(&waiting(&pipe, "true")).await;
    let (group, jobs) = server.run().await;
    server.says(jobs[0], "ready").await;
    server.stop().await;

    let server = place.start().await;
    let_go(&pipe).await;
    assert_eq!(server.ended(group).await, "\"Complete\"");
    server.stop().await;
}

#[tokio::test]
async fn what_runs_can_be_left_and_is_taken_up() {
    let place = Place::new("[engine]\ngrace = \"0s\"\non-shutdown = \"leave\"\n");
    let pipe = place.pipe("pipe");
    let server = place.start().await;
    server.deploy(&waiting(&pipe, "echo 1 > \"$$JOBWRIGHT_OUTPUT\"")).await;
    let (group, jobs) = server.run().await;
    let said = server.says(jobs[0], "ready").await.json();
    let process = said["data"][0]["text"].as_str().unwrap().to_owned();
    let pid: i32 = process.split(' ').nth(2).unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    server.stop().await;
    test_kill_process(pid).expect("the process goes on");

    let server = place.start().await;
    let_go(&pipe).await;
    assert_eq!(server.ended(group).await, "\"Complete\"");
    let job = server.get(&format!("/v4/jobs/{}/logs?attempt=2", jobs[0])).await;
    assert_eq!(job.status, 404, "it was run twice: {}", job.text);
    server.stop().await;
}

#[tokio::test]
async fn the_second_signal_ends_it_at_once() {
    for (second, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let place = Place::new("[engine]\ngrace = \"1h\"\n");
        let pipe = place.pipe("pipe");
        let server = place.start().await;
        server.deploy(&waiting(&pipe, "true")).await;
        let (_, jobs) = server.run().await;
        server.says(jobs[0], "ready").await;
        server.signal(Signal::TERM);
        server.until("/readyz", |it| it.status == 503).await;
        server.signal(second);
        assert_eq!(server.exited().await.code(), Some(code));
        // The process that was left ends with its pipe.
        let_go(&pipe).await;
    }
}
