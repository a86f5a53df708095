//! Every exit code, each by the thing that causes it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::shell::{Shell, text};

fn ready(shell: &mut Shell) {
    for (deployment, package) in [("good", "greet"), ("bad", "broken"), ("slow", "slow")] {
        shell.run(&format!("deployments create {deployment} -o id"));
        shell.run(&format!("releases import {deployment} {package}.yaml -o id"));
    }
}

#[test]
fn each_end_has_its_code() {
    let mut shell = Shell::remote();
    ready(&mut shell);
    let check = |line: &str, expect: i32, says: &str| {
        let output = shell.output(&line.split_whitespace().collect::<Vec<_>>());
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(expect), "{line}: {err}");
        assert!(err.contains(says), "{line}: {err}");
    };
    check("run good --wait", 0, "");
    check("releases import good typo.yaml", 1, "unknown field `neds`");
    check("runs", 2, "Usage: jobwright runs");
    check("run slow --timeout 0s", 3, "gave up waiting for job group");
    check("--token-file cut.json deployments list", 4, "access token begins with `jw_`");
    check("run bad --wait", 5, "bad: Failed");
    check("cancel --deployment slow --yes", 0, "");
    let slow = text(&shell.output(&["groups", "list", "--deployment", "slow", "-o", "id"]).stdout);
    check(&format!("groups wait {slow}"), 6, "Canceled");
    check("jobs show 99999", 7, "job 99999 does not exist");
    check("deployments create good", 8, "is already");
    check("--server http://127.0.0.1:1 deployments list", 9, "hint: is `jobwright serve` running");
    // The server has the data directory.
    let held = shell.command(&["deployments", "list"]).env_remove("JOBWRIGHT_SERVER").output();
    let held = held.unwrap();
    assert_eq!(held.status.code(), Some(8), "{}", text(&held.stderr));
    assert!(text(&held.stderr).contains("hint: talk to the server that holds it: `--server"));
    let mut bare = shell.command(&["deployments", "list"]);
    let bare = bare.env_remove("JOBWRIGHT_TOKEN_FILE").output().unwrap();
    assert_eq!(bare.status.code(), Some(4));
    assert!(text(&bare.stderr).contains("JOBWRIGHT_TOKEN"));
    let mut wrong = shell.command(&["deployments", "list"]);
    let wrong = wrong.env_remove("JOBWRIGHT_TOKEN_FILE").env("JOBWRIGHT_TOKEN", "jw_tüp fel");
    let wrong = wrong.output().unwrap();
    assert_eq!(wrong.status.code(), Some(4));
    assert!(!text(&wrong.stderr).contains("fel"));
}

#[test]
fn a_role_that_does_not_suffice_is_denied() {
    let mut shell = Shell::remote();
    let secret = shell.run("tokens create reader --role viewer");
    let as_reader = |line: &str| {
        let mut command = shell.command(&line.split_whitespace().collect::<Vec<_>>());
        let command = command.env_remove("JOBWRIGHT_TOKEN_FILE");
        command.env("JOBWRIGHT_TOKEN", secret.trim()).output().unwrap()
    };
    assert_eq!(as_reader("deployments list").status.code(), Some(0));
    let denied = as_reader("deployments create report");
    assert_eq!(denied.status.code(), Some(4));
    assert!(!text(&denied.stderr).contains("jw_"));
}

/// Waits for the line of a job that begins, sends the signal, and returns how the command ended.
fn signalled(shell: &Shell, line: &str, signal: Signal) -> (Option<i32>, String) {
    let args: Vec<_> = line.split_whitespace().collect();
    let mut child = shell.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begins = lines.by_ref().map(Result::unwrap).find(|line| line.contains("begins"));
    assert!(begins.is_some(), "{line}");
    kill_process(Pid::from_child(&child), signal).unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    (child.wait().unwrap().code(), rest.join("\n"))
}

#[test]
fn signals_detach_from_a_server() {
    let mut shell = Shell::remote();
    ready(&mut shell);
    let (code, said) = signalled(&shell, "run slow --wait", Signal::INT);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("no longer waiting for job group 1"), "{said}");
    let (code, said) = signalled(&shell, "groups wait 1", Signal::TERM);
    assert_eq!(code, Some(143), "{said}");
    let status = shell.output(&["groups", "show", "1", "--json"]);
    assert!(text(&status.stdout).contains("\"status\":\"InProgress\""));
}

#[test]
fn signals_cancel_what_runs_here() {
    let mut shell = Shell::local();
    ready(&mut shell);
    let (code, said) = signalled(&shell, "run slow", Signal::INT);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("job group 1: Canceled"), "{said}");
    let output = shell.output(&["run", "slow", "--timeout", "0s", "--detach"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = shell.output(&["run", "slow", "--timeout", "0s"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let output = shell.output(&["run", "bad", "--detach"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("waiting for its end"));
}
