//! The command `jobwright`.
#![allow(dead_code, reason = "its clients come apart")]

mod compose;
mod config;
mod serve;
mod telemetry;
mod tls;

use std::process::ExitCode;

use clap::Parser;

/// The command line.
#[derive(clap::Parser)]
#[command(name = "jobwright", version)]
struct Args {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// See `serve`.
    Serve(serve::Serve),
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is the program's door")]
async fn main() -> ExitCode {
    let Args { json, command: Command::Serve(mut args) } = Args::parse();
    args.json = json;
    match serve::serve(args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
