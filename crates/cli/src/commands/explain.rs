//! `jobwright explain`.

use clap::Args;
use serde_json::{Value, json};

use super::Done;
use super::run::Values;
use super::session::Session;
use crate::exit::Exit;
use crate::render::{PARAMETERS, PREVIEW};

/// Says what a run would do, and where each value would come from. Nothing starts.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The deployment, by its id or its name
    deployment: String,
    #[command(flatten)]
    with: Values,
}

pub(crate) async fn perform(session: &Session, command: Explain) -> Done {
    let id = session.deployment(&command.deployment).await?;
    let path = format!("/deployments/{id}/explain");
    let found = session.client.post(&path, &command.with.body()).await?;
    if session.output.is_json() {
        session.output.document(&found)?;
        return Ok(Exit::Success);
    }
    let release = &found["release"]["id"];
    let date = found["referenceDate"].as_str().unwrap_or_default();
    session.note(&format!("release {release} as of {}", session.output.zone().show(date)));
    let parameters = found["parameters"].as_array().cloned().unwrap_or_default();
    if !parameters.is_empty() {
        session.output.table(PARAMETERS, &parameters)?;
        session.output.line("")?;
    }
    let groups = found["jobGroups"].as_array().into_iter().flatten();
    session.output.table(PREVIEW, &groups.flat_map(jobs).collect::<Vec<_>>())?;
    Ok(Exit::Success)
}

/// The jobs of a group, with its outputs, and with names in place of places.
fn jobs(group: &Value) -> Vec<Value> {
    let jobs = group["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |at: &Value| {
        let at = usize::try_from(at.as_u64()?).ok()?;
        jobs.get(at)?["name"].as_str()
    };
    let shown = jobs.iter().map(|job| {
        let needs: Vec<_> =
            job["needs"].as_array().into_iter().flatten().filter_map(name).collect();
        let mut job = job.clone();
        job["needNames"] = json!(needs);
        job["outputs"] = group["outputs"].clone();
        job
    });
    shown.collect()
}
