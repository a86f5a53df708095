//! `jobwright deployments`.

use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::header::{ETAG, IF_MATCH};
use serde_json::{Map, Value, json};

use super::Done;
use super::session::Session;
use crate::args::{Pair, Part};
use crate::exit::{Exit, Failure};
use crate::render::DEPLOYMENTS;

#[derive(Debug, Args)]
pub(crate) struct Deployments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List deployments, the newest first
    List {
        /// Only those whose name has this text
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
        #[command(flatten)]
        part: Part,
    },
    /// Show a deployment
    Show(One),
    /// Make a deployment without releases
    Create {
        /// Its name, unique in the instance
        name: String,
    },
    /// Give a deployment another name
    Rename {
        #[command(flatten)]
        one: One,
        /// Its new name
        name: String,
    },
    /// Let no run of it begin until it is resumed; what runs goes on
    Pause(One),
    /// Let runs of it begin again
    Resume(One),
    /// Say what a run does when the deployment is already running
    Policy {
        #[command(flatten)]
        one: One,
        #[arg(value_parser = ["allow", "queue", "skip", "cancel_previous"])]
        policy: String,
    },
    /// Say how long its runs are kept when they are over
    Retention {
        #[command(flatten)]
        one: One,
        /// A duration such as `30d`, `forever`, or `engine` for what the configuration says
        retention: String,
    },
    /// Delete a deployment that has no releases; its runs stay readable
    Delete(One),
    /// Values that all its runs see
    #[command(subcommand)]
    Parameters(Parameters),
}

#[derive(Debug, Subcommand)]
enum Parameters {
    /// Show them
    List(One),
    /// Set or unset some; the others stay
    Set {
        #[command(flatten)]
        one: One,
        /// The values
        #[arg(value_name = "NAME=VALUE")]
        set: Vec<Pair>,
        /// Take the value of this one away
        #[arg(long, value_name = "NAME")]
        unset: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct One {
    /// Its id or its name
    deployment: String,
}

pub(crate) async fn perform(session: &Session, command: Deployments) -> Done {
    let change = async |one: &One, body: Value| {
        let id = session.deployment(&one.deployment).await?;
        let path = format!("/deployments/{id}");
        session.client.ask(session.client.request(Method::PATCH, &path).json(&body)).await?;
        session.show(&DEPLOYMENTS, id).await
    };
    match command.verb {
        Verb::List { filter, part } => {
            let query = filter.map(|it| ("filter", it)).into_iter().collect();
            session.list(&DEPLOYMENTS, DEPLOYMENTS.path, query, &part).await
        }
        Verb::Show(one) => {
            let id = session.deployment(&one.deployment).await?;
            session.show(&DEPLOYMENTS, id).await
        }
        Verb::Create { name } => {
            let made = session.client.post("/deployments", &json!({ "name": name })).await?;
            session.output.one(&DEPLOYMENTS, &made)?;
            Ok(Exit::Success)
        }
        Verb::Rename { one, name } => change(&one, json!({ "name": name })).await,
        Verb::Policy { one, policy } => change(&one, json!({ "runPolicy": policy })).await,
        Verb::Retention { one, retention } => {
            let retention = (retention != "engine").then_some(retention);
            change(&one, json!({ "retention": retention })).await
        }
        Verb::Pause(one) => pause(session, &one, "pause").await,
        Verb::Resume(one) => pause(session, &one, "resume").await,
        Verb::Delete(one) => {
            let id = session.deployment(&one.deployment).await?;
            session.delete(&DEPLOYMENTS, id).await
        }
        Verb::Parameters(Parameters::List(one)) => {
            let id = session.deployment(&one.deployment).await?;
            let found = session.client.read(&format!("/deployments/{id}")).await?;
            parameters(session, &found)
        }
        Verb::Parameters(Parameters::Set { one, set, unset }) => {
            let id = session.deployment(&one.deployment).await?;
            set_parameters(session, id, set, &unset).await
        }
    }
}

async fn pause(session: &Session, one: &One, verb: &str) -> Done {
    let id = session.deployment(&one.deployment).await?;
    let path = format!("/deployments/{id}/{verb}");
    session.client.ask(session.client.request(Method::POST, &path)).await?;
    session.show(&DEPLOYMENTS, id).await
}

/// Reads all values, changes some, and writes them back, unless somebody else did meanwhile.
async fn set_parameters(session: &Session, id: i64, set: Vec<Pair>, unset: &[String]) -> Done {
    if set.is_empty() && unset.is_empty() {
        let text = "nothing to set: give `name=value`, or `--unset name`";
        return Err(Failure::Usage(text.to_owned()));
    }
    let path = format!("/deployments/{id}");
    let answer = session.client.send(session.client.request(Method::GET, &path)).await?;
    let tag = answer.headers().get(ETAG).cloned();
    let found: Value = answer.json().await.map_err(anyhow::Error::from)?;
    let mut values = found["parameters"].as_object().cloned().unwrap_or_default();
    for name in unset {
        values.remove(name);
    }
    values.extend(set.into_iter().map(|pair| (pair.key, Value::String(pair.value))));
    let mut request = session.client.request(Method::PATCH, &path);
    if let Some(tag) = tag {
        request = request.header(IF_MATCH, tag);
    }
    session.client.ask(request.json(&json!({ "parameters": values }))).await?;
    parameters(session, &json!({ "parameters": values }))
}

fn parameters(session: &Session, deployment: &Value) -> Done {
    let none = Map::new();
    let values = deployment["parameters"].as_object().unwrap_or(&none);
    if session.output.is_json() {
        session.output.document(&json!({ "parameters": values }))?;
    } else if values.is_empty() {
        session.note("no parameters");
    }
    if !session.output.is_json() {
        for (name, value) in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            session.output.line(&crate::render::plain(&format!("{name}={text}")))?;
        }
    }
    Ok(Exit::Success)
}
