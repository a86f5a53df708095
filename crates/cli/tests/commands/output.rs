//! How things are shown: for programs, for narrow screens, with and without colour.

use serde_json::Value;

use super::shell::{Shell, text};

fn ready() -> Shell {
    let mut shell = Shell::remote();
    for line in [
        "deployments create report",
        "releases import report broken.yaml",
        "run report --wait",
        "env set env.a=b",
    ] {
        shell.run(line);
    }
    shell
}

#[test]
fn json_is_one_document_or_one_per_line() {
    let shell = ready();
    let lines = |line: &str| -> Vec<Value> {
        let output = shell.output(&line.split_whitespace().collect::<Vec<_>>());
        let out = text(&output.stdout);
        out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    };
    for line in [
        "deployments list --json",
        "--json deployments show report",
        "deployments parameters list report -o json",
        "releases list --json",
        "releases show 1 --json",
        "releases dry-run report greet.yaml --json",
        "releases diff 1 1 --json",
        "rules list report --json",
        "explain report --json",
        "runs list --json",
        "groups show 1 --json",
        "groups wait 1 --json",
        "run report --json",
        "run report --wait --json",
        "jobs list 1 --json",
        "jobs show 1 --json",
        "jobs why 1 --json",
        "tokens list --json",
        "tokens create ci --json",
        "env list --json",
        "env export",
        "check greet.yaml --json",
    ] {
        let found = lines(line);
        assert_eq!(found.len(), 1, "{line}");
        assert!(found[0].is_object(), "{line}");
    }
    for line in ["events --group 1 --json", "logs 2 --json", "logs 2 -f --json"] {
        assert!(lines(line).len() > 1, "{line}");
    }
    let groups = lines("groups list --json").remove(0);
    assert_eq!(groups["data"][0]["status"], "Failed");

    let refused = shell.output(&["jobs", "show", "99999", "--json"]);
    let problem: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(
        (&problem["status"], &problem["title"]),
        (&404.into(), &"The resource does not exist".into())
    );
    let unknown = shell.output(&["deployments", "show", "reprot", "--json"]);
    let problem: Value = serde_json::from_slice(&unknown.stderr).unwrap();
    assert_eq!(problem["type"], "urn:jobwright:problem:not-found");
}

#[test]
fn colour_comes_and_goes_but_words_stay() {
    let shell = ready();
    let shown = |variables: &[(&str, &str)]| {
        let mut command = shell.command(&["jobs", "list", "1"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        text(&output.stdout)
    };
    let (plain, forced) = (shown(&[]), shown(&[("CLICOLOR_FORCE", "1")]));
    let never = shown(&[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}') && !never.contains('\u{1b}'), "{plain}{never}");
    assert!(forced.contains("\u{1b}["), "{forced}");
    for shown in [plain, forced, never] {
        for word in ["Complete", "Failed", "Canceled"] {
            assert!(shown.contains(word), "{shown}");
        }
    }
}

#[test]
fn tables_fit_the_screen() {
    let shell = ready();
    let mut shown = String::new();
    for width in ["160", "100", "40"] {
        let mut command = shell.command(&["jobs", "list", "1"]);
        let out = text(&command.env("COLUMNS", width).output().unwrap().stdout);
        let fits = |line: &str| line.chars().count() <= width.parse().unwrap();
        assert!(out.lines().all(fits), "{width}:\n{out}");
        shown.push_str(&format!("{width} columns:\n{out}\n"));
    }
    let spans = regex_lite::Regex::new(r"\d\.\ds").unwrap();
    insta::assert_snapshot!(spans.replace_all(&shown, "0.0s"));
}

#[test]
fn lists_are_followed_page_by_page() {
    let mut shell = Shell::remote();
    let names: Vec<_> = (1..=203)
        .map(|it| format!("{{\"overrideKey\":\"env.p{it}\",\"value\":\"{it}\"}}"))
        .collect();
    let file = shell.path("environment.json");
    std::fs::write(&file, format!("{{\"environmentParameters\":[{}]}}", names.join(","))).unwrap();
    shell.run(&format!("env import {}", file.display()));
    let mut count = |line: &str, expect: usize| {
        let out = shell.run(line);
        assert_eq!(out.lines().count(), expect, "{line}");
        let mut ids: Vec<_> = out.lines().collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), expect, "{line}: each once");
    };
    count("env list -o id", 25);
    count("env list -o id --limit 201", 201);
    count("env list -o id --limit 10000", 203);
    count("env list -o id --limit 202 --sort overrideKey", 202);
    count("env list --limit 3", 4);
    count("env list --limit 3 --no-headers", 3);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let shell = ready();
    let mut child = shell
        .command(&["releases", "export", "1"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
