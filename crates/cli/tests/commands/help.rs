//! The help of every command, and what wrong usage is told.

use super::shell::{Shell, text};

/// The help of a command and of all below it, each once.
fn walk(shell: &Shell, path: &[String], pages: &mut Vec<String>) {
    let mut args: Vec<_> = path.iter().map(String::as_str).collect();
    args.push("--help");
    let output = shell.output(&args);
    assert!(output.status.success(), "{path:?}");
    let page = text(&output.stdout).replace(&*shell.path("").to_string_lossy(), "<dir>/");
    let commands = page.split_once("\nCommands:\n").map(|(_, rest)| rest.split("\n\n").next());
    let below: Vec<String> = commands
        .flatten()
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect();
    pages.push(format!("$ jobwright {}\n{}", args.join(" "), own(&page, path.is_empty())));
    for word in below {
        let path: Vec<_> = path.iter().cloned().chain([word]).collect();
        walk(shell, &path, pages);
    }
}

/// A page without the options that all commands have; they are shown once.
fn own(page: &str, all: bool) -> String {
    let end = page.find("\nEngine:\n").filter(|_| !all);
    end.map_or(page, |end| &page[..end]).to_owned()
}

#[test]
fn every_command_has_its_help() {
    let shell = Shell::local();
    let mut pages = Vec::new();
    walk(&shell, &[], &mut pages);
    assert!(pages.len() > 70, "{} pages", pages.len());
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn wrong_usage_suggests_the_right_one() {
    let mut shell = Shell::local();
    for line in [
        "deploments list",
        "deployments lst",
        "run",
        "run report --sett a=b",
        "run report --set a",
        "run report --timeout soon",
        "groups list --limit 0",
        "run report --wait --detach",
        "--server localhost:8080 deployments list",
        "--server http://me:secret@localhost deployments list",
        "help exit-codes",
    ] {
        shell.run(line);
    }
    insta::assert_snapshot!(shell.transcript());
    let nothing = shell.output(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("Usage: jobwright [OPTIONS] <COMMAND>"));
}

/// Every command is suggested where a letter is too much, and an option where one is missing.
#[test]
fn every_command_is_suggested_where_it_is_mistyped() {
    let shell = Shell::local();
    let mut pages = Vec::new();
    walk(&shell, &[], &mut pages);
    let lines = pages.iter().filter_map(|page| page.lines().next());
    let paths = lines.filter_map(|line| line.strip_prefix("$ jobwright "));
    let paths = paths.filter_map(|line| line.strip_suffix(" --help"));
    let check = |args: &[&str], expect: &str| {
        let output = shell.output(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expect), "{args:?}: {said}");
    };
    let mut count = 0;
    for path in paths {
        let mut args: Vec<_> = path.split(' ').collect();
        let right = args.pop().unwrap();
        let wrong = format!("{right}x");
        args.push(&wrong);
        check(&args, &format!("'{right}'"));
        args.pop();
        args.extend([right, "--jsn"]);
        check(&args, "'--json'");
        count += 1;
    }
    assert!(count > 70, "{count} commands");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let shell = Shell::local();
    let check = |args: &[&str], expect: &str| {
        let output = shell.output(args);
        assert!(output.status.success(), "{args:?}");
        assert!(text(&output.stdout).contains(expect), "{args:?}");
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        check(&["completions", shell], "rollback");
    }
    check(&["man"], ".TH jobwright 1");
    let dir = shell.path("man");
    std::fs::create_dir(&dir).unwrap();
    check(&["man", "--dir", dir.to_str().unwrap()], "");
    assert!(dir.join("jobwright-releases-rollback.1").is_file());
    assert_eq!(shell.output(&["man", "--dir", "nowhere"]).status.code(), Some(1));
    assert_eq!(shell.output(&["completions", "dos"]).status.code(), Some(2));
}
