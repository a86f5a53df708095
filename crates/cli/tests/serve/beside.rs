//! Servers on one PostgreSQL: what each can say of what another one did, and what the command does
//! there without a server.

use std::path::Path;

use reqwest::{Method, Response};
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::server::{Place, Server, soon};

const CONFIG: &str = "[engine]\nlease = \"3s\"\n[executors.local]\nkind = \"local\"\n";

const PACKAGE: &str = "
jobwright: 1
name: p
flows:
  f:
    executor: local
    steps:
      a: { payload: { command: [sh, -c, 'echo one; echo two'] } }
    outputs: { o: { steps: [a] } }
";

async fn cluster() -> (Cluster, String) {
    let started = tokio::task::spawn_blocking(|| {
        let cluster = Cluster::start(&[]);
        let address = cluster.database();
        (cluster, address)
    });
    started.await.unwrap()
}

async fn start(place: &Place, address: &str) -> Server {
    let mut command = place.command("127.0.0.1:0");
    command.env("JOBWRIGHT_STORE", address);
    place.start_as(command).await
}

/// Runs a command that opens the store itself; returns what it prints.
async fn here(data: &Path, token: &Path, address: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobwright"));
    command.arg("--data").arg(data).arg("--token-file").arg(token).args(arguments);
    command.env("JOBWRIGHT_STORE", address).env_remove("JOBWRIGHT_SERVER");
    let output = soon("the command", command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Reads a stream until it says something.
async fn read_until(mut stream: Response, says: &str) -> String {
    let mut told = String::new();
    while !told.contains(says) {
        let chunk = stream.chunk().await.unwrap().expect("it goes on");
        told.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_ran_is_told_by_another_and_by_the_command() {
    let (_cluster, address) = cluster().await;
    let places = [Place::new(CONFIG), Place::new(CONFIG)];
    // At once, on an empty database: one of them makes the first token.
    let (mut one, mut two) = tokio::join!(start(&places[0], &address), start(&places[1], &address));
    let written: Vec<_> = places.iter().filter(|place| place.path("token").exists()).collect();
    assert_eq!(written.len(), 1);
    let file = written[0].path("token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    (one.token, two.token) = (token.clone(), token);
    one.deploy(PACKAGE).await;
    // A stream that is answered hears what comes after.
    let all = two.request(Method::GET, "/v4/events").send().await.unwrap();
    let (group, jobs) = one.run().await;
    assert_eq!(two.ended(group).await, "\"Complete\"");
    let of_group = two.request(Method::GET, &format!("/v4/jobGroups/{group}/events"));
    for stream in [all, of_group.send().await.unwrap()] {
        let told = soon("the end of the group", read_until(stream, "groupEnded")).await;
        assert!(told.contains("accepted") && told.contains("attemptEnded"), "{told}");
    }
    let path = format!("/v4/jobs/{}/logs?attempt=1", jobs[0]);
    let (own, other) = (one.get(&path).await.expect(200), two.get(&path).await.expect(200));
    assert!(own.text.contains("\"one\""), "{}", own.text);
    assert_eq!(own.json(), other.json());
    // A command opens the same store beside the servers, only to look or to change documents.
    let data = places[0].path("looks");
    std::fs::create_dir(&data).unwrap();
    let listed = here(&data, &file, &address, &["deployments", "list", "-o", "id"]).await;
    assert_eq!(listed, "1");
    let job = jobs[0].to_string();
    let log = here(&data, &file, &address, &["logs", &job]).await;
    assert!(log.contains("one") && log.contains("two"), "{log}");
    let create = ["deployments", "create", "another", "-o", "id"];
    let made = here(&data, &file, &address, &create).await;
    two.get(&format!("/v4/deployments/{made}")).await.expect(200);
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn processes_cannot_be_left_where_other_servers_start_them_again() {
    let place = Place::new("[engine]\non-shutdown = \"leave\"\n");
    let mut command = place.command("127.0.0.1:0");
    command.env("JOBWRIGHT_STORE", "postgres://nobody@127.0.0.1:1/none");
    let (code, said) = place.refused(command).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("on-shutdown = \"leave\""), "{said}");
}
