//! Single jobs.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jobwright_core::JobId;
use jobwright_scheduler::GroupView;
use serde_json::json;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::body::Id;
use crate::problem::Problem;
use crate::revision;
use crate::router::Routes;
use crate::version::Version;
use crate::view::View;
use crate::wire::{JobBody, json as shown, waiting as because};

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(read)).routes(routes!(status)).routes(routes!(waiting))
}

/// Reads a job.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", operation_id = "getJob",
    responses((status = 200, description = "The job", body = JobBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<JobId>,
) -> Result<Response, Problem> {
    let view = caller.view();
    let group = group(&view, id).await?;
    let run = view.find_run(group.plan.run.run).await?;
    let by = run.as_ref().and_then(|run| run.run().created_by);
    let job = group.jobs.iter().find(|job| job.id == id);
    let job = job.ok_or_else(|| Problem::not_found("job", id))?;
    Ok(revision::by_content(&headers, &shown(&JobBody::new(version, &group, job, by))))
}

/// Says how far a job is, in a bare word.
#[utoipa::path(
    get, path = "/jobs/{id}/status", tag = "jobs", operation_id = "getJobStatus",
    responses((status = 200, description = "The status", body = String, content_type = "application/json")),
)]
async fn status(caller: Caller, Id(id): Id<JobId>) -> Result<Response, Problem> {
    let group = group(&caller.view(), id).await?;
    let job = group.jobs.iter().find(|job| job.id == id);
    let job = job.ok_or_else(|| Problem::not_found("job", id))?;
    Ok(crate::groups::bare(job.status))
}

/// Says why a job is not running: what it needs, which limit is reached, until when it waits.
#[utoipa::path(
    get, path = "/jobs/{id}/waiting", tag = "jobs", operation_id = "getJobWaiting",
    responses((status = 200, description = "Why it waits; null where it does not", body = Object)),
)]
async fn waiting(caller: Caller, Id(id): Id<JobId>) -> Result<Response, Problem> {
    let view = caller.view();
    let group = group(&view, id).await?;
    let index = group.plan.index_of(id).ok_or_else(|| Problem::not_found("job", id))?;
    let reason = view.waiting(group.id).await?.remove(&index).map(|it| because(&group.plan, &it));
    Ok(axum::Json(json!({ "id": id, "waiting": reason })).into_response())
}

async fn group(view: &View, id: JobId) -> Result<GroupView, Problem> {
    let group = view.group_of(id).await?.ok_or_else(|| Problem::not_found("job", id))?;
    Ok(view.group(group).await?)
}
