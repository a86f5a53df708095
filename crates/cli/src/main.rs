//! The program `jobwright`: a server, and the commands that talk to one or do without.
//!
//! ```text
//!   args ──▶ serve ──▶ compose ──▶ engine, router          the server
//!     │                   ▲
//!     └──▶ commands ──▶ client ──▶ a server over HTTP      everything else
//!             │
//!             └──▶ render                                  tables, JSON, progress
//! ```
//!
//! It is the composition root: the only place that knows stores, executors and configuration. A
//! command knows the HTTP API and nothing else of the engine.

mod args;
mod client;
mod commands;
mod compose;
mod config;
mod exit;
mod guard;
mod render;
mod serve;
mod telemetry;
mod tls;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command, Format};
use exit::{Exit, Failure};

fn main() -> ExitCode {
    if std::env::args_os().len() < 2 {
        // Clap shows its help by itself only where no variable says anything.
        render::note(&Cli::command().render_help().ansi().to_string());
        return Exit::Usage.into();
    }
    let cli = Cli::parse();
    if let Command::Guard(args) = &cli.command {
        return guard::guard(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::Other(error.into()), Format::Table),
    };
    let format = cli.options.format();
    let code = runtime.block_on(async {
        match cli.command {
            Command::Serve(mut serve) => {
                serve.json = format == Format::Json;
                match serve::serve(serve).await {
                    Ok(code) => code,
                    Err(error) => failed(&error.into(), format),
                }
            }
            command => match commands::perform(&cli.options, command).await {
                Ok(exit) => exit.into(),
                Err(failure) => failed(&failure, format),
            },
        }
    });
    // What still reads standard input would keep the program.
    runtime.shutdown_background();
    code
}

/// Tells a failure on standard error, and ends.
fn failed(failure: &Failure, format: Format) -> ExitCode {
    let exit = failure.exit();
    match (failure, format) {
        (Failure::Closed, _) => {}
        (_, Format::Json) => render::note(&failure.problem().to_string()),
        (Failure::Package(refused), _) => render::note(&refused.shown()),
        (Failure::Signal { .. }, _) => render::note(&failure.to_string()),
        (_, Format::Table | Format::Id) => {
            let words = failure.words();
            for (at, line) in words.iter().enumerate() {
                let lead = if at == 0 { "\x1b[1;31merror\x1b[0m: " } else { "  - " };
                render::note(&format!("{lead}{}", render::plain(line)));
            }
            if let Some(hint) = failure.hint() {
                render::note(&format!("\x1b[1;32mhint\x1b[0m: {hint}"));
            }
        }
    }
    debug_assert!(exit != Exit::Success || matches!(failure, Failure::Closed));
    exit.into()
}
