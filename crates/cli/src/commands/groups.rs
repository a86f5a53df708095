//! `jobwright groups`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Done;
use super::cancel::{Cancel, Which};
use super::follow::follow;
use super::session::Session;
use crate::args::Part;
use crate::exit::Exit;
use crate::render::{GROUPS, JOBS};

#[derive(Debug, Args)]
pub(crate) struct Groups {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List job groups, the newest first
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        part: Part,
    },
    /// Show a job group and its jobs
    Show {
        /// Its id
        group: i64,
    },
    /// Wait until job groups are over; the exit code says how they ended
    Wait {
        /// Their ids
        #[arg(required = true)]
        groups: Vec<i64>,
        /// Wait no longer than this: `90s`, `10m`
        #[arg(long, value_name = "DURATION", value_parser = crate::args::duration)]
        timeout: Option<Duration>,
    },
    /// Cancel job groups, the same as `jobwright cancel`
    Cancel(Cancel),
}

impl Groups {
    /// Whether job groups go on meanwhile.
    pub(crate) fn works(&self) -> bool {
        match self.verb {
            Verb::List { .. } | Verb::Show { .. } => false,
            Verb::Wait { .. } | Verb::Cancel(_) => true,
        }
    }
}

pub(crate) async fn perform(session: &Session, command: Groups) -> Done {
    match command.verb {
        Verb::List { which, part } => {
            let query = which.query(session).await?;
            session.list(&GROUPS, GROUPS.path, query, &part).await
        }
        Verb::Show { group } => show(session, group).await,
        Verb::Wait { groups, timeout } => {
            let ended = follow(session, &groups, timeout).await?;
            session.output.list(&GROUPS, &ended)?;
            Ok(Exit::of_groups(&ended))
        }
        Verb::Cancel(command) => super::cancel::perform(session, command).await,
    }
}

async fn show(session: &Session, id: i64) -> Done {
    let group = session.client.read(&format!("/jobGroups/{id}?embed=jobs")).await?;
    session.output.one(&GROUPS, &group)?;
    if session.output.format() == crate::args::Format::Table
        && let Some(jobs) = group["jobs"]["data"].as_array()
    {
        session.output.line("")?;
        session.output.table(JOBS.columns, jobs)?;
    }
    Ok(Exit::Success)
}
