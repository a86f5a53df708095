//! `jobwright run`.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Done;
use super::session::Session;
use super::started::{Waiting, started};
use crate::args::Pair;

/// Runs the manual outputs of the primary flow of the active release.
///
/// Examples:
///   jobwright run report --wait
///   jobwright run report --set region=north --set day=2026-01-31
///   jobwright run report --only totals --timeout 10m --key nightly-2026-01-31
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Run {
    /// The deployment, by its id or its name
    deployment: String,
    #[command(flatten)]
    with: Values,
    /// Run this output only
    #[arg(long, value_name = "OUTPUT")]
    only: Option<String>,
    /// Name the request: the same key starts the same run only once
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Values for one run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Values {
    /// Give a parameter a value, for this run; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE")]
    set: Vec<Pair>,
    /// What "now" means for date parameters, in RFC 3339
    #[arg(long, value_name = "TIME")]
    date: Option<String>,
}

impl Values {
    /// As the API takes them.
    pub(crate) fn body(self) -> Value {
        let pairs = self.set.into_iter();
        let pairs: Vec<_> =
            pairs.map(|pair| json!({ "key": pair.key, "value": pair.value })).collect();
        let mut parameters = Map::new();
        if !pairs.is_empty() {
            parameters.insert("overrides".to_owned(), json!({ "data": pairs }));
        }
        if let Some(date) = self.date {
            parameters.insert("referenceDate".to_owned(), date.into());
        }
        json!({ "runParameters": parameters })
    }
}

pub(crate) async fn perform(session: &Session, command: Run) -> Done {
    let id = session.deployment(&command.deployment).await?;
    let mut body = command.with.body();
    let path = match &command.only {
        Some(output) => {
            body["deployment"] = json!({ "id": id });
            body["output"] = json!({ "name": output });
            "/jobGroups".to_owned()
        }
        None => format!("/deployments/{id}/run"),
    };
    let mut request = session.client.request(Method::POST, &path).json(&body);
    if let Some(key) = &command.key {
        request = request.header("idempotency-key", key);
    }
    let answer = session.client.ask(request).await?;
    started(session, answer, &command.waiting).await
}
