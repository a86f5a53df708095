//! The command line: what stands before a command's own arguments. Each command declares its own
//! beside its code.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    cancel, check, completions, deployments, env, events, explain, groups, jobs, logs, man,
    releases, retry, rules, run, runs, schedules, tokens,
};
use crate::guard::Watch;
use crate::serve::Serve;

/// Runs and watches job groups of deployments.
///
/// Without `--server` a command opens the data directory itself and needs no server; with it, or
/// with JOBWRIGHT_SERVER, it talks to one. Everything else is the same.
#[derive(Debug, Parser)]
#[command(name = "jobwright", version, max_term_width = 100)]
#[command(
    after_help = "`jobwright help COMMAND` says more; `jobwright help exit-codes` lists how \
                        it ends."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the HTTP API, and run what is asked for
    Serve(Serve),
    #[command(hide = true)]
    Guard(Watch),
    /// Deployments: named containers of releases
    #[command(visible_alias = "deployment")]
    Deployments(deployments::Deployments),
    /// Releases: packages imported into a deployment
    #[command(visible_alias = "release")]
    Releases(releases::Releases),
    /// Rules that replace values and connections at import
    Rules(rules::Rules),
    /// Schedules: when deployments run by themselves
    #[command(visible_alias = "schedule")]
    Schedules(schedules::Schedules),
    /// Run the active release of a deployment
    Run(run::Run),
    /// Say what a run would do, and where each value would come from
    Explain(explain::Explain),
    /// Runs: one request each, with one or more job groups
    Runs(runs::Runs),
    /// Job groups: what a run started
    #[command(visible_alias = "group")]
    Groups(groups::Groups),
    /// Jobs of a job group
    #[command(visible_alias = "job")]
    Jobs(jobs::Jobs),
    /// Show what a job wrote
    Logs(logs::Logs),
    /// Cancel job groups
    Cancel(cancel::Cancel),
    /// Run again only what failed in a job group
    Retry(retry::Retry),
    /// Show what happens, as it happens
    Events(events::Events),
    /// Access tokens
    #[command(visible_alias = "token")]
    Tokens(tokens::Tokens),
    /// Parameters of the environment: values that every run sees
    Env(env::Env),
    /// Check a package, without a server and without importing it
    Check(check::Check),
    /// Print the completions of a shell
    Completions(completions::Completions),
    /// Print the manual page, or write those of all commands
    Man(man::Man),
    /// List the exit codes
    #[command(name = "exit-codes", long_about = exit_codes(), help_template = "{about}")]
    ExitCodes,
}

fn exit_codes() -> String {
    format!("Exit codes:\n\n{}", crate::exit::table())
}

/// Where to find the engine, and how to show what it answers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The server to talk to; without it, the data directory is opened here
    #[arg(long, env = "JOBWRIGHT_SERVER", value_name = "URL", global = true)]
    #[arg(hide_env_values = true, help_heading = "Engine")]
    pub(crate) server: Option<String>,
    /// The file with the access token; or give the token in JOBWRIGHT_TOKEN
    #[arg(long, env = "JOBWRIGHT_TOKEN_FILE", value_name = "FILE", global = true)]
    #[arg(hide_env_values = true, help_heading = "Engine")]
    pub(crate) token_file: Option<PathBuf>,
    /// The data directory, where there is no server
    #[arg(long, env = "JOBWRIGHT_DATA", value_name = "DIR", global = true)]
    #[arg(hide_env_values = true, help_heading = "Engine")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration, where there is no server
    #[arg(long, env = "JOBWRIGHT_CONFIG", value_name = "FILE", global = true)]
    #[arg(hide_env_values = true, help_heading = "Engine")]
    pub(crate) config: Option<PathBuf>,
    /// How to print what is found
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, global = true)]
    #[arg(help_heading = "Output")]
    pub(crate) output: Format,
    /// The same as `--output json`
    #[arg(long, global = true, overrides_with = "output", help_heading = "Output")]
    pub(crate) json: bool,
    /// Print tables without their first line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_headers: bool,
    /// Answer questions by yes
    #[arg(short, long, global = true, help_heading = "Output")]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One document, or one object per line where things happen
    Json,
    /// Only the ids, one per line
    Id,
}

impl Options {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// Which part of a list is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct Part {
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 25)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// The member to sort by, as in JSON; `-` before it for the greatest first
    #[arg(long, value_name = "MEMBER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
}

/// A `name=value` from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl std::str::FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            Some(_) | None => Err("write it as `name=value`".to_owned()),
        }
    }
}

/// A duration from the command line: `90s`, `10m`, or seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    jobwright_core::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let found = text.parse::<Pair>().ok();
            let found = found.as_ref().map(|it| (it.key.as_str(), it.value.as_str()));
            assert_eq!(found, expect, "{text}");
        };
        check("a=b", Some(("a", "b")));
        check("a=b=c", Some(("a", "b=c")));
        check("a=", Some(("a", "")));
        check("=b", None);
        check("ab", None);
    }
}
