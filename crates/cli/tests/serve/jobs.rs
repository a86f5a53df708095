//! What a server's jobs say, and what becomes of them when it is killed.

use crate::server::{Answer, Place};

#[tokio::test]
async fn the_log_of_a_job_is_found_whichever_executor_ran_it() {
    let config = "[executors.one]\nkind = \"local\"\n[executors.two]\nkind = \"local\"\nfolder = \"elsewhere\"\n";
    let place = Place::new(config);
    let server = place.start().await;
    let package = "
jobwright: 1
name: p
flows:
  f:
    steps:
      a: { executor: one, payload: { command: [sh, -c, 'echo to you; echo and you >&2'] } }
      b: { executor: two, needs: [a], payload: { command: [sh, -c, 'echo $$JOBWRIGHT_STEP'] } }
    outputs: { o: { steps: [b] } }
";
    server.deploy(package).await;
    let (group, jobs) = server.run().await;
    assert_eq!(server.ended(group).await, "\"Complete\"");
    let log = async |job: i64, part: &str| {
        let body = server.get(&format!("/v4/jobs/{job}/logs{part}")).await.expect(200).json();
        let lines = body["data"].as_array().unwrap().iter().map(|line| {
            let (stream, text) = (line["stream"].as_str().unwrap(), line["text"].as_str().unwrap());
            format!("{} {stream} {text}", line["seq"])
        });
        lines.collect::<Vec<_>>()
    };
    let lines = log(jobs[0], "").await;
    assert!(lines[0].starts_with("1 engine process pid "), "{lines:?}");
    let mut said: Vec<_> = lines[1..3].iter().map(|line| &line[2..]).collect();
    said.sort_unstable();
    assert_eq!((said, &*lines[3]), (vec!["err and you", "out to you"], "4 engine exit 0"));
    assert_eq!(log(jobs[0], "?after=3").await, ["4 engine exit 0"]);
    assert_eq!(log(jobs[1], "?after=1&limit=1").await, ["2 out b"]);
    assert!(place.path("data/elsewhere").join(format!("{group}/{}-1", jobs[1])).is_dir());
    server.stop().await;
}

#[tokio::test]
async fn a_run_goes_on_after_the_server_was_killed() {
    let config = "[executors.photon]\nkind = \"mock\"\nlatency = \"200ms\"\n[executors.local]\nkind = \"local\"\n";
    let place = Place::new(config);
    let package = "
jobwright: 1
name: p
flows:
  f:
    executor: photon
    steps:
      a: {}
      b: { needs: [a], executor: local, payload: { command: [sleep, '0.3'] }, retry: { max_attempts: 9 } }
      c: { needs: [b] }
    outputs: { o: { steps: [c] } }
";
    let mut server = place.start().await;
    server.deploy(package).await;
    let (group, jobs) = server.run().await;
    for job in &jobs {
        // As soon as a job is on its way, and the ones before it are done.
        let path = format!("/v4/jobs/{job}/status?wait=5s");
        server.until(&path, |it: &Answer| !it.text.contains("Created")).await.expect(200);
        server.kill().await;
        server = place.start().await;
    }
    assert_eq!(server.ended(group).await, "\"Complete\"");
    server.stop().await;
    assert!(place.log().contains("unfinished job groups are taken up"), "{}", place.log());
}
