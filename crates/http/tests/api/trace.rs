//! A trace goes through: from the header of a request to the environment of a process.

use jobwright_adapters::LocalProcessExecutor;
use jobwright_core::{AttemptId, GroupId, JobId, Plan, TraceParent};
use jobwright_http::Options;
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use reqwest::Method;

use crate::server::Server;

/// Two processes that leave their `TRACEPARENT` as their result, one needing the other.
const PACKAGE: &str = r#"
jobwright: 1
name: traced
flows:
  traced:
    executor: local
    steps:
      one: { payload: { command: [sh, -c, &say 'printf "\"%s\"" "$$TRACEPARENT" > "$$JOBWRIGHT_OUTPUT"'] } }
      two: { needs: [one], payload: { command: [sh, -c, *say] } }
    outputs:
      both: { steps: [two] }
"#;

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Runs the package with these `traceparent` headers, and returns what its processes were given.
async fn given(server: &Server, group: i64, headers: &[&str]) -> (TraceParent, Vec<TraceParent>) {
    let request = server.request(Method::POST, "/v4/deployments/1/run");
    let request = headers.iter().fold(request, |request, it| request.header("traceparent", *it));
    let started = server.send(request).await.expect(201).json();
    assert_eq!(server.ended(group).await, "\"Complete\"");
    let view = server.engine.group(GroupId::new(group).unwrap()).await.unwrap();
    let results = view.jobs.iter().map(|job| job.result.as_ref().unwrap().as_str().unwrap());
    let of_session = started["data"][0]["sessionId"].as_str().unwrap().parse().unwrap();
    (TraceParent::of_session(of_session), results.map(|it| it.parse().unwrap()).collect())
}

fn attempts(run: TraceParent, jobs: [i64; 2]) -> Vec<TraceParent> {
    let id = |job| AttemptId { job: JobId::new(job).unwrap(), number: 1 };
    jobs.into_iter().map(|job| run.of_attempt(id(job))).collect()
}

#[tokio::test]
async fn processes_are_told_their_place_in_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::builder().store(MemoryStore::new());
    let engine = engine.executor("local", LocalProcessExecutor::new(folder.path()));
    let server = Server::over(engine, Options::default()).await;
    server.deploy_package(PACKAGE).await;

    let (_, told) = given(&server, 1, &[GIVEN]).await;
    assert_eq!(told, attempts(GIVEN.parse().unwrap(), [1, 2]));
    assert!(told.iter().all(|it| !it.is_sampled()), "the caller does not record");

    // It is kept with the run, in a form that lasts.
    let plan = server.engine.group(GroupId::new(1).unwrap()).await.unwrap().plan;
    let kept = serde_json::to_value(&*plan).unwrap();
    assert_eq!(kept["run"]["traceparent"], GIVEN);
    assert_eq!(serde_json::from_value::<Plan>(kept).unwrap(), *plan);

    let (session, told) = given(&server, 2, &[]).await;
    assert_eq!(told, attempts(session, [3, 4]));
    assert_ne!(told[0].span_id(), told[1].span_id());

    // What cannot be read is as if it were not there, and two are one too many.
    let (session, told) = given(&server, 3, &[&GIVEN.to_uppercase()]).await;
    assert_eq!(told, attempts(session, [5, 6]));
    let (session, told) = given(&server, 4, &[GIVEN, GIVEN]).await;
    assert_eq!(told, attempts(session, [7, 8]));
}
