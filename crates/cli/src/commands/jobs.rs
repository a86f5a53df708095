//! `jobwright jobs`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Done;
use super::session::Session;
use crate::exit::Exit;
use crate::render::JOBS;

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the jobs of a job group, in an order in which they can run
    List {
        /// The id of the job group
        group: i64,
    },
    /// Show a job
    Show {
        /// Its id
        job: i64,
    },
    /// Say why a job is not running
    Why {
        /// Its id
        job: i64,
    },
}

pub(crate) async fn perform(session: &Session, command: Jobs) -> Done {
    match command.verb {
        Verb::List { group } => {
            let jobs = session.client.read(&format!("/jobGroups/{group}/jobs")).await?;
            let jobs = jobs["data"].as_array().map_or(&[][..], Vec::as_slice);
            session.output.list(&JOBS, jobs)?;
            Ok(Exit::Success)
        }
        Verb::Show { job } => session.show(&JOBS, job).await,
        Verb::Why { job } => why(session, job).await,
    }
}

async fn why(session: &Session, id: i64) -> Done {
    let waiting = session.client.read(&format!("/jobs/{id}/waiting")).await?;
    if session.output.is_json() {
        session.output.document(&waiting)?;
        return Ok(Exit::Success);
    }
    let text = match &waiting["waiting"] {
        Value::Null => {
            let job = session.client.read(&format!("/jobs/{id}")).await?;
            let status = job["status"].as_str().unwrap_or_default();
            match job["errorMessage"].as_str() {
                Some(message) => format!("job {id} does not wait: it is {status}, {message}"),
                None => format!("job {id} does not wait: it is {status}"),
            }
        }
        reason => format!("job {id} {}", because(reason)),
    };
    session.output.line(&crate::render::plain(&text))?;
    Ok(Exit::Success)
}

/// The reason in words.
fn because(reason: &Value) -> String {
    let member = |name: &str| match &reason[name] {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    match reason["reason"].as_str().unwrap_or_default() {
        "needs" => format!("needs the end of job {}", member("jobIds")),
        "runAhead" => format!("waits for the end of run {}", member("flowRunId")),
        "noExecutor" => format!("needs executor `{}`, which is not there", member("executor")),
        "executorFull" => {
            format!("waits for one of {} slots of `{}`", member("limit"), member("executor"))
        }
        "poolFull" => format!(
            "waits for room in pool `{}`: {} of {} are used",
            member("pool"),
            member("used"),
            member("limit")
        ),
        "deploymentFull" => {
            format!("waits: its deployment may have {} attempts at a time", member("limit"))
        }
        "turn" => "is ready, and waits for its turn".to_owned(),
        "draining" => "waits: the engine is shutting down".to_owned(),
        "backingOff" => format!("is tried again at {}", member("until")),
        "requested" => format!("is being started, until {} at most", member("endBy")),
        "running" => format!("is running, until {} at most", member("endBy")),
        "stopping" => format!("is being stopped, and killed at {}", member("killBy")),
        _ => format!("waits: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_have_their_words() {
        let check = |reason: Value, expect: &str| assert_eq!(because(&reason), expect);
        check(json!({ "reason": "needs", "jobIds": [3, 4] }), "needs the end of job 3, 4");
        check(
            json!({ "reason": "executorFull", "executor": "local", "limit": 2 }),
            "waits for one of 2 slots of `local`",
        );
        check(json!({ "reason": "turn" }), "is ready, and waits for its turn");
        check(json!({ "reason": "other", "x": 1 }), "waits: {\"reason\":\"other\",\"x\":1}");
    }
}
