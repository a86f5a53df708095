//! What takes longer over a real Slurm cluster, each in one of its own:
//!
//! ```text
//! rig kill [N]         an engine is killed N times with 50 jobs in flight (20)
//! rig nodes [N]        one of two engines on one PostgreSQL is killed N times (5)
//! rig measure [N]      N trivial jobs through the engine and through Slurm's own client (200)
//! rig with COMMAND…    a command that finds a cluster in its environment
//! ```
//!
//! `JOBWRIGHT_KILL_SEED` repeats the moments of an earlier call, though not to the millisecond.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of the tests: it may fail, and it speaks"
)]

#[path = "../support/cluster.rs"]
#[allow(dead_code, reason = "other tests use it all")]
mod cluster;
mod kill;
mod measure;
#[path = "../../../postgres/tests/support/cluster.rs"]
#[allow(dead_code, reason = "the tests of the store use all of it")]
mod postgres;

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use cluster::Cluster;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = |otherwise| arguments.next().map_or(Ok(otherwise), |it| it.parse::<usize>());
    let runtime = tokio::runtime::Runtime::new()?;
    match what.as_str() {
        "kill" => runtime.block_on(kill::kill(number(20)?))?,
        "nodes" => runtime.block_on(kill::nodes(number(5)?))?,
        "engine" => runtime.block_on(kill::engine(number(0)?))?,
        "measure" => runtime.block_on(measure::measure(number(200)?))?,
        "with" => return with(arguments.collect()),
        _ => bail!("usage: rig kill [N] | nodes [N] | measure [N] | with COMMAND…"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command with a cluster in its environment.
fn with(command: Vec<String>) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("usage: rig with COMMAND…")?;
    let cluster = Cluster::start(4);
    let mut command = Command::new(program);
    command.args(arguments).env("SLURM_CONF", cluster.conf()).env("SLURM_JWT", cluster.token());
    command.env("SLURMRESTD_URL", cluster.url()).env("SLURM_SHARED", cluster.shared());
    let status = command.status().with_context(|| format!("`{program}` cannot be started"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
