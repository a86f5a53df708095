//! How a server starts: its first token, its data, and who else may have them.

use std::os::unix::fs::PermissionsExt;

use jobwright_http::Secret;
use serde_json::json;

use crate::server::{Place, refused, soon};

#[tokio::test]
async fn the_first_start_makes_a_token_and_later_ones_keep_everything() {
    let place = Place::new("");
    let server = place.start().await;
    let mode = std::fs::metadata(place.path("token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mode = std::fs::metadata(place.path("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let secret = Secret::parse(&server.token).unwrap();
    server.post("/v4/deployments", &json!({ "name": "kept" })).await.expect(201);

    let (code, said) = place.refused(place.command("127.0.0.1:0")).await;
    let (database, pid) = (place.path("data/jobwright.db"), server.pid().as_raw_nonzero());
    let expect =
        format!("error: `{}` is in use by process {pid}, stop it first", database.display());
    assert_eq!((code, said), (Some(1), expect));
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let (code, said) = place.refused(place.command(&address)).await;
    assert_eq!(code, Some(1));
    assert!(said.starts_with(&format!("error: another program listens on `{address}`")), "{said}");
    server.stop().await;

    let server = place.start().await;
    assert_eq!(Secret::parse(&server.token), Ok(secret));
    let body = server.get("/v4/deployments/1").await.expect(200).json();
    assert_eq!(body["name"], "kept");
    let tokens = server.get("/v4/apiAccessTokens").await.expect(200).json();
    assert_eq!(tokens["data"].as_array().unwrap().len(), 1, "{tokens}");
    let token = server.token.clone();
    server.stop().await;

    // All levels were logged.
    let log = place.log();
    assert!(log.contains("DEBUG"), "{log}");
    assert!(!log.contains(&token[..12]), "the token is in the log");
}

#[tokio::test]
async fn a_start_that_died_between_file_and_store_is_completed_by_the_next() {
    let place = Place::new("");
    let secret = Secret::draw().unwrap();
    std::fs::write(place.path("token"), secret.reveal()).unwrap();
    let server = place.start().await;
    server.get("/v4/apiAccessTokens").await.expect(200);
    server.kill().await;
    let server = place.start().await;
    server.get("/v4/apiAccessTokens").await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn the_first_start_dies_anywhere_and_the_next_one_has_a_token() {
    // What a start leaves, step by step: the folder, the store, the file, the store that knows it.
    for after in ["data", "data/jobwright.db", "data/jobwright.db-wal", "token"] {
        let place = Place::new("");
        let mut command = place.command("127.0.0.1:0");
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let appears = async {
            while !place.path(after).exists() {
                tokio::task::yield_now().await;
            }
        };
        soon(after, appears).await;
        child.kill().await.unwrap();
        let server = place.start().await;
        server.get("/v4/apiAccessTokens").await.expect(200);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_token_that_nobody_would_get_is_not_made() {
    let place = Place::new("");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_jobwright"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).arg("--data").arg(place.path("data"));
    command.stdin(std::process::Stdio::null());
    let (code, said) = refused(command).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("name a file for it with `--token-file FILE`"), "{said}");

    std::fs::write(place.path("token"), "jw_not-a-token").unwrap();
    let (code, said) = place.refused(place.command("127.0.0.1:0")).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("holds no access token: name another file, or remove it"), "{said}");
    assert_eq!(std::fs::read_to_string(place.path("token")).unwrap(), "jw_not-a-token");
}
