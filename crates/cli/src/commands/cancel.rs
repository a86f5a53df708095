//! `jobwright cancel`.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Done;
use super::session::Session;
use crate::exit::{Exit, Failure};

/// Cancels job groups: those that are named, or all that are not over and that a filter means.
///
/// Examples:
///   jobwright cancel 12 13
///   jobwright cancel --run 7
///   jobwright cancel --deployment report --yes
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Cancel {
    /// The ids of job groups
    #[arg(value_name = "GROUP", conflicts_with_all = ["status", "deployment", "run", "all"])]
    groups: Vec<i64>,
    #[command(flatten)]
    which: Which,
    /// Cancel everything that is not over
    #[arg(long)]
    all: bool,
}

/// Which job groups are meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// Only those of this status
    #[arg(long, value_parser = ["Created", "InProgress", "Complete", "Failed", "Canceled"])]
    #[arg(ignore_case = true)]
    status: Option<String>,
    /// Only those of this deployment, by its id or its name
    #[arg(long)]
    deployment: Option<String>,
    /// Only those of this run
    #[arg(long)]
    run: Option<i64>,
}

impl Which {
    fn is_empty(&self) -> bool {
        self.status.is_none() && self.deployment.is_none() && self.run.is_none()
    }

    /// As the API takes it.
    pub(crate) async fn query(
        &self,
        session: &Session,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut query = Vec::new();
        if let Some(status) = &self.status {
            query.push(("status", status.clone()));
        }
        if let Some(named) = &self.deployment {
            query.push(("deploymentId", session.deployment(named).await?.to_string()));
        }
        if let Some(run) = self.run {
            query.push(("flowRunId", run.to_string()));
        }
        Ok(query)
    }
}

pub(crate) async fn perform(session: &Session, command: Cancel) -> Done {
    let cancelled = if command.groups.is_empty() {
        if command.which.is_empty() && !command.all {
            let text = "nothing to cancel: name job groups, or give a filter, or `--all`";
            return Err(Failure::Usage(text.to_owned()));
        }
        let query = command.which.query(session).await?;
        session.confirm("Cancel every job group that the filter means?")?;
        let request = session.client.request(Method::POST, "/jobGroups/cancel").query(&query);
        session.client.ask(request).await?
    } else {
        let ids: Vec<_> = command.groups.iter().map(i64::to_string).collect();
        session.confirm(&format!("Cancel job group {}?", ids.join(", ")))?;
        let mut done = Vec::with_capacity(ids.len());
        for id in ids {
            let path = format!("/jobGroups/{id}/cancel");
            done.push(session.client.ask(session.client.request(Method::POST, &path)).await?);
        }
        json!({ "data": done })
    };
    shown(session, &cancelled)?;
    Ok(Exit::Success)
}

fn shown(session: &Session, cancelled: &Value) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.document(cancelled);
    }
    let groups = cancelled["data"].as_array().map_or(&[][..], Vec::as_slice);
    for group in groups {
        let (id, jobs) = (&group["jobgroupId"], group["jobIds"].as_array().map_or(0, Vec::len));
        match (session.output.format(), jobs) {
            (crate::args::Format::Id, _) => session.output.line(&id.to_string())?,
            (_, 0) => session.output.line(&format!("job group {id} was over already"))?,
            (_, 1) => session.output.line(&format!("job group {id} is cancelled: 1 job"))?,
            (_, jobs) => {
                session.output.line(&format!("job group {id} is cancelled: {jobs} jobs"))?;
            }
        }
    }
    if groups.is_empty() {
        session.note("no job groups");
    }
    Ok(())
}
