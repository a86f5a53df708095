//! What a configuration says, where it is wrong, and what a run says where it lacks something.

use std::process::Stdio;

use serde_json::json;

use crate::server::Place;

#[tokio::test]
async fn a_wrong_configuration_shows_its_place() {
    let check = async |config: &str, expect: &str| {
        let place = Place::new(config);
        let (code, said) = place.refused(place.command("127.0.0.1:0")).await;
        assert_eq!(code, Some(1), "{said}");
        let path = place.path("jobwright.toml").display().to_string();
        assert_eq!(
            said.replace(&path, "FILE"),
            format!("error: the configuration is wrong: {expect}")
        );
        assert!(!place.path("data").exists());
    };
    let expect = "\
unknown kind of executor `mok`, there are `kubernetes`, `local`, `mock`, `slurm`, `spark` and `spark-submit`, did you mean `mock`?
 --> FILE:3:8
  |
3 | kind = \"mok\"
  |        ^^^^^";
    check("\n[executors.photon]\nkind = \"mok\"\n", expect).await;
    let expect = "\
invalid type: string \"8080\", expected u32
 --> FILE:2:11
  |
2 | streams = \"8080\"
  |           ^^^^^^";
    check("[server]\nstreams = \"8080\"\n", expect).await;
}

#[tokio::test]
async fn other_machines_are_let_in_only_by_plain_words() {
    let place = Place::new("[server]\nlisten = \"0.0.0.0:0\"\n");
    for (listen, address) in [("[::]:0", "[::]:0"), ("0.0.0.0:0", "0.0.0.0:0")] {
        let (code, said) = place.refused(place.command(listen)).await;
        assert_eq!(code, Some(1));
        let expect = format!("error: `{address}` can be reached from other machines");
        assert!(said.starts_with(&expect), "{said}");
    }
    let mut command = place.command("0.0.0.0:0");
    command.arg("--allow-remote");
    place.start_as(command).await.stop().await;
}

#[tokio::test]
async fn a_flag_is_stronger_than_a_variable_which_is_stronger_than_the_file() {
    let check = async |flag: Option<&str>, variable: Option<&str>, file: &str, expect: &str| {
        let place = Place::new(&format!("[server]\nlisten = \"{file}\"\n"));
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_jobwright"));
        command.arg("serve").args(flag.map(|it| format!("--listen={it}")));
        command.env("JOBWRIGHT_DATA", place.path("data"));
        command.env("JOBWRIGHT_CONFIG", place.path("jobwright.toml"));
        command.env("JOBWRIGHT_TOKEN_FILE", place.path("token"));
        command.envs(variable.map(|it| ("JOBWRIGHT_LISTEN", it)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let server = place.start_as(command).await;
        assert!(server.base.starts_with(&format!("http://{expect}:")), "{}", server.base);
        server.stop().await;
    };
    let (one, two, three) = ("127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0");
    check(None, None, two, "127.0.0.2").await;
    check(None, Some(three), two, "127.0.0.3").await;
    check(Some(one), Some(three), two, "127.0.0.1").await;

    // What the file allows a variable can forbid, and a flag can allow it again.
    let place = Place::new("[server]\nallow-remote = true\n");
    let mut command = place.command("0.0.0.0:0");
    command.env("JOBWRIGHT_ALLOW_REMOTE", "off");
    let (_, said) = place.refused(command).await;
    assert!(said.contains("can be reached from other machines"), "{said}");
    let mut command = place.command("0.0.0.0:0");
    command.env("JOBWRIGHT_ALLOW_REMOTE", "off").arg("--allow-remote");
    place.start_as(command).await.stop().await;
}

/// One step on an executor that exported packages name.
const PHOTON: &str = "
jobwright: 1
name: p
flows: { f: { steps: { s: { executor: photon } }, outputs: { o: { steps: [s] } } } }
";

#[tokio::test]
async fn a_run_says_which_executor_is_missing_and_what_to_write() {
    let place = Place::new("");
    let server = place.start().await;
    server.deploy(PHOTON).await;
    let refused = server.post("/v4/deployments/1/run", &json!({})).await.expect(400).json();
    let detail = refused["detail"].as_str().unwrap();
    let expect = "step `s` of flow `f` runs on `photon`, which this engine does not have; it has `local`: add the table `[executors.photon]` to the server's configuration, with `kind = \"local\"` to run its steps as processes, or `kind = \"mock\"` to pretend them";
    assert_eq!(detail, expect);
    server.stop().await;

    std::fs::write(place.path("jobwright.toml"), "[executors.photon]\nkind = \"mock\"\n").unwrap();
    let server = place.start().await;
    let (group, _) = server.run().await;
    assert_eq!(server.ended(group).await, "\"Complete\"");
    server.stop().await;
}
