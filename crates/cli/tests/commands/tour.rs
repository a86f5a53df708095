//! Every command once as it should go and once as it should not, without a server and with one.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::shell::Shell;

/// What a new user does, in the order of the manual.
fn deployments(shell: &mut Shell) {
    for line in [
        "deployments list",
        "deployments create report",
        "deployments create report",
        "deployments show report",
        "deployments show reprot",
        "deployments rename report greetings",
        "deployments pause greetings",
        "deployments resume 1",
        "deployments policy greetings queue",
        "deployments retention greetings 7d",
        "deployments retention greetings soon",
        "deployments parameters set greetings who=you",
        "deployments parameters set greetings who=you times=2 --unset who",
        "deployments parameters set greetings",
        "deployments parameters list greetings",
        "deployments list --filter greet",
        "deployments create empty -o id",
        "deployments delete empty",
        "deployments delete empty --yes",
        "deployments delete 99 --yes",
    ] {
        shell.run(line);
    }
}

fn releases(shell: &mut Shell) {
    shell.run("deployments create report");
    for line in [
        "releases list report",
        "releases dry-run report greet.yaml",
        "releases import report greet.yaml",
        "releases import report missing.yaml",
        "releases import report nothing.yaml",
        "releases import report folder",
        "releases list report",
        "releases list --sort id --limit 1 -o id",
        "releases show 99",
        "rules list report",
        "rules set report rules.json",
        "rules list report --kind object",
        "rules set report greet.yaml",
        "env set env.region=north env.count=3",
        "env set region=north",
        "env list",
        "env export",
        "env delete env.reigon --yes",
        "env delete env.region --yes",
        "env import environment.json",
    ] {
        shell.run(line);
    }
}

fn schedules(shell: &mut Shell) {
    shell.run("deployments create report");
    shell.run("releases import report greet.yaml -o id");
    for line in [
        "schedules create report yearly @yearly --zone Europe/Berlin --set who=you --jitter 5m",
        "schedules create report yearly @daily",
        "schedules create report never 0_0_30_2_*",
        "schedules list report",
        "schedules show yearly",
        "schedules show yaerly",
        "schedules next yearly --after 2026-01-01T00:00:00Z --count 2",
        "schedules edit yearly",
        "schedules edit yearly --policy skip --catch-up all --window 2h --set times=2 --unset who",
        "schedules show 1 --json",
        "schedules pause yearly",
        "schedules resume yearly",
        "schedules backfill yearly --from 2023-01-01T00:00:00Z --to 2025-12-31T00:00:00Z --wait",
        "schedules backfill yearly --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z",
        "schedules backfills yearly",
        "schedules cancel-backfill 1",
        "schedules delete yearly --yes",
        "schedules list",
    ] {
        shell.run(line);
    }
}

fn runs(shell: &mut Shell) {
    shell.run("deployments create report");
    shell.run("releases import report greet.yaml -o id");
    for line in [
        "explain report --set who=you",
        "explain report --set whom=you --set times=9",
        "run report --only greeting --set who=you --wait",
        "run report --only greting",
        "run report --set whom=you",
        "run 99",
        "runs list",
        "runs show 1",
        "runs show 99",
        "groups list --status Complete",
        "groups list --status Done",
        "groups show 1",
        "groups wait 1",
        "groups wait 99",
        "jobs list 1",
        "jobs show 1",
        "jobs why 1",
        "jobs why 99",
        "logs 2",
        "logs --group 1 --tail 1",
        "logs 2 --follow",
        "logs 99",
        "events --group 1",
        "events --group 99",
        "cancel 1",
        "cancel 1 --yes",
        "cancel",
        "deployments create broken",
        "releases import broken broken.yaml -o id",
        "run broken --wait",
        "retry 2 -o id",
        "groups wait 3",
        "jobs list 3",
        "retry 1",
        "retry 99",
    ] {
        shell.run(line);
    }
}

fn tokens(shell: &mut Shell) {
    for line in [
        "tokens list",
        "tokens create ci --role operator --days 7",
        "tokens create ci --role boss",
        "tokens create ci --days 0",
        "tokens show 2",
        "tokens revoke 2 --yes",
        "tokens show 2",
        "tokens revoke 1 --yes",
    ] {
        shell.run(line);
    }
}

/// Each command that the other tours do not see fail, asked for what is not there, and those that
/// they do not see succeed.
fn missing(shell: &mut Shell) {
    shell.run("deployments create report");
    shell.run("releases import report greet.yaml -o id");
    shell.run("run report --only greeting --wait");
    for line in [
        "deployments rename reprot x",
        "deployments pause reprot",
        "deployments resume reprot",
        "deployments policy reprot queue",
        "deployments parameters list reprot",
        "releases list reprot",
        "releases show 1",
        "releases dry-run reprot greet.yaml",
        "releases activate 99",
        "releases activate 1",
        "releases rollback report --yes",
        "releases export 99",
        "releases diff 1 1",
        "releases delete 99 --yes",
        "rules list reprot",
        "schedules list reprot",
        "schedules create reprot daily @daily",
        "schedules next 99",
        "schedules edit 99 --policy skip",
        "schedules pause 99",
        "schedules resume 99",
        "schedules backfill 99 --from 2023-01-01T00:00:00Z --to 2023-12-31T00:00:00Z",
        "schedules backfills 99",
        "schedules cancel-backfill 99",
        "schedules delete 99 --yes",
        "runs list --sort nothing!",
        "groups show 99",
        "groups cancel 99 --yes",
        "groups cancel 1 --yes",
        "jobs list 99",
        "jobs show 99",
        "cancel 99 --yes",
        "explain reprot",
        "tokens show 99",
        "tokens revoke 99 --yes",
        "env import nowhere.json",
    ] {
        shell.run(line);
    }
}

#[test]
fn everything_works_without_a_server() {
    for (name, tour) in [
        ("local_deployments", deployments as fn(&mut Shell)),
        ("local_releases", releases),
        ("local_schedules", schedules),
        ("local_runs", runs),
        ("local_tokens", tokens),
        ("local_missing", missing),
    ] {
        let mut shell = Shell::local();
        tour(&mut shell);
        insta::assert_snapshot!(name, shell.transcript());
    }
}

#[test]
fn who_looks_leaves_unfinished_work_alone() {
    let mut shell = Shell::local();
    shell.run("deployments create slow");
    shell.run("releases import slow slow.yaml");
    let mut engine = shell.command(&["run", "slow"]);
    let mut engine = engine.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(engine.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().ends_with("begins")), "the job never began");
    engine.kill().unwrap();
    engine.wait().unwrap();
    let left = shell.run("jobs show 1 --json");
    for line in ["groups list", "groups show 1", "jobs list 1", "jobs why 1", "explain slow"] {
        shell.run(line);
    }
    assert_eq!(shell.run("jobs show 1 --json"), left, "somebody took the group up");
    shell.run("cancel 1 --yes");
    assert!(shell.run("groups wait 1 -o json").contains("Canceled"), "{}", shell.transcript());
}

#[test]
fn everything_works_with_a_server() {
    for (name, tour) in [
        ("remote_deployments", deployments as fn(&mut Shell)),
        ("remote_releases", releases),
        ("remote_schedules", schedules),
        ("remote_runs", runs),
        ("remote_tokens", tokens),
        ("remote_missing", missing),
    ] {
        let mut shell = Shell::remote();
        tour(&mut shell);
        insta::assert_snapshot!(name, shell.transcript());
    }
}

#[test]
fn two_releases_are_compared_and_one_is_rolled_back() {
    let mut shell = Shell::remote();
    for line in [
        "deployments create report -o id",
        "releases import report greet.yaml -o id",
        "releases import report broken.yaml -o id",
        "releases diff 1 2",
        "releases diff 1 99",
        "releases rollback report",
        "releases rollback report --yes",
        "releases rollback report --yes",
        "releases activate 2",
        "releases delete 1",
        "releases delete 1 --yes",
        "releases export 2",
        "run report --wait",
        "logs",
        "cancel --deployment report --yes",
    ] {
        shell.run(line);
    }
    let to = shell.path("package.json");
    shell.run(&format!("releases export 2 --to {}", to.display()));
    insta::assert_snapshot!(shell.transcript());
    let package: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(to).unwrap()).unwrap();
    assert_eq!(package["name"], "broken");
}

#[test]
fn packages_are_checked_with_carets_at_the_place() {
    let mut shell = Shell::local();
    for line in [
        "check greet.yaml",
        "check folder",
        "check typo.yaml",
        "check missing.yaml",
        "check circle.yaml",
        "check cut.json",
        "check nothing.yaml",
        "check greet.yaml --json",
        "check typo.yaml --json",
    ] {
        shell.run(line);
    }
    insta::assert_snapshot!(shell.transcript());
}
