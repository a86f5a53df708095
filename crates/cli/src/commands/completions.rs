//! `jobwright completions`.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Done;
use crate::args::Cli;
use crate::exit::Exit;

/// Prints the completions of a shell.
///
/// For bash: jobwright completions bash > /etc/bash_completion.d/jobwright
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

pub(crate) fn perform(command: &Completions) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "jobwright", &mut text);
    std::io::stdout().write_all(&text)?;
    Ok(Exit::Success)
}
