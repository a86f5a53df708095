//! `jobwright man`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::Done;
use crate::args::Cli;
use crate::exit::Exit;

/// Prints the manual page, or writes those of all commands into a folder.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder, which must exist
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(crate) fn perform(command: &Man) -> Done {
    match &command.dir {
        Some(dir) => clap_mangen::generate_to(Cli::command(), dir)
            .with_context(|| format!("failed to write manual pages into `{}`", dir.display()))?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            std::io::stdout().write_all(&page)?;
        }
    }
    Ok(Exit::Success)
}
