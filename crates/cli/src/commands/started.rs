//! What follows a request that started job groups: they are shown, or waited for.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::Done;
use super::follow::follow;
use super::session::{Session, ids};
use crate::exit::Exit;
use crate::render::GROUPS;

/// Whether to wait for what was started.
#[derive(Debug, Clone, Args)]
pub(crate) struct Waiting {
    /// Wait until it is over; the exit code says how it ended
    #[arg(short, long)]
    wait: bool,
    /// Do not wait; where there is no server there is nobody else to run it, so that waits all the
    /// same
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    /// Wait no longer than this: `90s`, `10m`; implies `--wait`
    #[arg(long, value_name = "DURATION", value_parser = crate::args::duration)]
    #[arg(conflicts_with = "detach")]
    timeout: Option<Duration>,
}

/// Shows what a request started, or waits for it.
pub(crate) async fn started(session: &Session, answer: Value, waiting: &Waiting) -> Done {
    // A single output is answered by itself.
    let data = match answer["data"].as_array() {
        Some(data) => data.clone(),
        None => vec![answer.clone()],
    };
    let groups = ids(&data);
    let local = session.client.is_local();
    if waiting.detach && local {
        session.note("there is no server that would go on with it: waiting for its end");
    }
    if !(waiting.wait || waiting.timeout.is_some() || local) {
        return shown(session, answer, &groups).await;
    }
    let ended = follow(session, &groups, waiting.timeout).await?;
    session.output.list(&GROUPS, &ended)?;
    Ok(Exit::of_groups(&ended))
}

async fn shown(session: &Session, answer: Value, groups: &[i64]) -> Done {
    if session.output.is_json() {
        session.output.document(&answer)?;
        return Ok(Exit::Success);
    }
    let mut bodies = Vec::with_capacity(groups.len());
    for group in groups {
        bodies.push(match session.output.format() {
            crate::args::Format::Id => json!({ "id": group }),
            _ => session.client.read(&format!("/jobGroups/{group}")).await?,
        });
    }
    session.output.list(&GROUPS, &bodies)?;
    if let Some(first) = groups.first() {
        session.note(&format!("`jobwright groups wait {first}` waits for it"));
    }
    Ok(Exit::Success)
}
