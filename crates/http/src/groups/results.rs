//! What a job group reads and writes, from the payloads of its jobs.

use std::sync::Arc;

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jobwright_core::{GroupId, JobId, JobKind, PlannedJob};
use serde_json::{Map, Value, json};
use utoipa_axum::routes;

use super::pdf;
use crate::auth::Caller;
use crate::body::Id;
use crate::problem::{Problem, Sort};
use crate::router::Routes;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(inputs))
        .routes(routes!(outputs))
        .routes(routes!(publications))
        .routes(routes!(profile))
        .routes(routes!(profile_results))
        .routes(routes!(pdf_results))
}

/// Lists what a job group reads.
#[utoipa::path(
    get, path = "/jobGroups/{id}/inputs", tag = "jobGroups", operation_id = "listJobGroupInputs",
    responses((status = 200, description = "Data sets with what they are read from", body = Object)),
)]
async fn inputs(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let group = caller.view().group(id).await?;
    let mut data: Vec<Value> = Vec::new();
    let payloads = group.plan.jobs.iter().map(|job| &job.payload);
    let lists = payloads.filter_map(|payload| payload.get("inputs")?.as_array());
    for input in lists.flatten() {
        let name = input.get("name").cloned().unwrap_or_default();
        // Several steps read the same data set.
        if !data.iter().any(|known| known["name"] == name) {
            data.push(json!({ "name": name, "inputs": [input] }));
        }
    }
    Ok(axum::Json(json!({ "data": data })).into_response())
}

/// Lists the files and tables that a job group writes.
#[utoipa::path(
    get, path = "/jobGroups/{id}/outputs", tag = "jobGroups", operation_id = "listJobGroupOutputs",
    responses((status = 200, description = "Files and tables", body = Object)),
)]
async fn outputs(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let group = caller.view().group(id).await?;
    let (mut files, mut tables) = (Vec::new(), Vec::new());
    for job in &group.plan.jobs {
        match job.kind {
            JobKind::FileWriter => {
                let uri = member(job, "uri").or_else(|| member(job, "path"));
                let file_type = match member(job, "asSingleFile") {
                    Some(Value::Bool(false)) => "DIRECTORY",
                    Some(_) | None => "FILE",
                };
                let is_primary = files.is_empty();
                files.push(json!({
                    "uri": uri, "fileType": file_type, "isPrimaryOutput": is_primary,
                }));
            }
            JobKind::Publish => tables.push(json!({
                "vendor": job.payload.pointer("/connection/vendor"),
                "databaseConnectString": null,
                "relationalPath": member(job, "relationalPath").unwrap_or_else(|| json!([])),
                "table": member(job, "tableName"),
                "action": member(job, "action"),
                "query": null,
            })),
            JobKind::SchemaDrift
            | JobKind::SqlExecution
            | JobKind::FileConverter
            | JobKind::Ingest
            | JobKind::ArtifactStaging
            | JobKind::FileReader
            | JobKind::Wrangle
            | JobKind::Profile => {}
        }
    }
    Ok(axum::Json(json!({ "files": files, "tables": tables })).into_response())
}

fn member(job: &PlannedJob, name: &str) -> Option<Value> {
    job.payload.get(name).filter(|value| !value.is_null()).cloned()
}

/// Lists the publications of a job group.
#[utoipa::path(
    get, path = "/jobGroups/{id}/publications", tag = "jobGroups",
    operation_id = "listJobGroupPublications",
    responses((status = 200, description = "The publications", body = Object)),
)]
async fn publications(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let group = caller.view().group(id).await?;
    let publish = |job: &&jobwright_scheduler::JobView| job.kind == JobKind::Publish;
    let data = group.jobs.iter().filter(publish).map(|job| {
        let plan = &group.plan.jobs[job.index.at()];
        json!({
            "id": job.id,
            "jobGroup": { "id": id },
            "status": job.status.as_str(),
            "tableName": member(plan, "tableName"),
            "relationalPath": member(plan, "relationalPath"),
            "action": member(plan, "action"),
        })
    });
    Ok(axum::Json(json!({ "data": data.collect::<Vec<_>>() })).into_response())
}

/// Reads the profile of a job group's results.
#[utoipa::path(
    get, path = "/jobGroups/{id}/profile", tag = "jobGroups", operation_id = "getJobGroupProfile",
    responses((status = 200, description = "The profile", body = Object)),
)]
async fn profile(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let profiles = profiles(&caller, id).await?;
    let first = profiles.into_iter().next().map(|(_, result)| result);
    Ok(axum::Json(json!({ "profilerResults": first })).into_response())
}

/// Reads the profiles of a job group's results, by the id of the job that made each.
#[utoipa::path(
    get, path = "/jobGroups/{id}/profileResults", tag = "jobGroups",
    operation_id = "getJobGroupProfiles",
    responses((status = 200, description = "The profiles, by job", body = Object)),
)]
async fn profile_results(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let profiles = profiles(&caller, id).await?.into_iter();
    let by_job: Map<_, _> = profiles.map(|(job, it)| (job.to_string(), (*it).clone())).collect();
    Ok(axum::Json(by_job).into_response())
}

/// Reads the profiles of a job group's results as a document to be printed.
#[utoipa::path(
    get, path = "/jobGroups/{id}/pdfResults", tag = "jobGroups",
    operation_id = "getJobGroupProfilePdf",
    responses((status = 200, description = "The profiles", body = String, content_type = "application/pdf")),
)]
async fn pdf_results(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let bytes = pdf::drawn(id, &profiles(&caller, id).await?);
    let name = format!("inline; filename=\"job-group-{id}.pdf\"");
    let headers = [(CONTENT_TYPE, "application/pdf".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, bytes).into_response())
}

/// What the jobs of a group that profile have found, at least one.
async fn profiles(caller: &Caller, id: GroupId) -> Result<Vec<(JobId, Arc<Value>)>, Problem> {
    let group = caller.view().group(id).await?;
    let mut jobs = group.jobs.iter().filter(|job| job.kind == JobKind::Profile).peekable();
    let Some(first) = jobs.peek() else {
        let detail = format!("job group {id} was not profiled");
        return Err(Problem::new(Sort::Profiling, detail));
    };
    let (of, status) = (first.id, first.status);
    let found: Vec<_> = jobs.filter_map(|job| Some((job.id, job.result.clone()?))).collect();
    if found.is_empty() {
        let detail = format!("the profile of job group {id} is not there: job {of} is {status}");
        return Err(Problem::new(Sort::Profiling, detail));
    }
    Ok(found)
}
