//! `jobwright retry`.

use clap::Args;
use reqwest::Method;

use super::Done;
use super::session::Session;
use super::started::{Waiting, started};

/// Runs again only what failed in a job group, and what hangs on it, as a new run.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// The id of the job group, which is over
    group: i64,
    /// Name the request: the same key starts the same run only once
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn perform(session: &Session, command: Retry) -> Done {
    let path = format!("/jobGroups/{}/rerun", command.group);
    let mut request = session.client.request(Method::POST, &path);
    if let Some(key) = &command.key {
        request = request.header("idempotency-key", key);
    }
    let answer = session.client.ask(request).await?;
    started(session, answer, &command.waiting).await
}
