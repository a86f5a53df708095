//! `jobwright runs`.

use clap::{Args, Subcommand};

use super::Done;
use super::session::Session;
use crate::args::Part;
use crate::render::RUNS;

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List runs, the newest first
    List {
        /// Only those of this deployment
        #[arg(long)]
        deployment: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Show a run
    Show {
        /// Its id
        run: i64,
    },
}

pub(crate) async fn perform(session: &Session, command: Runs) -> Done {
    match command.verb {
        Verb::List { deployment, part } => {
            let mut query = Vec::new();
            if let Some(named) = deployment {
                query.push(("deploymentId", session.deployment(&named).await?.to_string()));
            }
            session.list(&RUNS, RUNS.path, query, &part).await
        }
        Verb::Show { run } => session.show(&RUNS, run).await,
    }
}
