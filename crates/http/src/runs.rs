//! Runs, which clients know as flow runs: one request, one or more job groups.

use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jobwright_core::{DeploymentId, Run, RunId};
use jobwright_scheduler::RunHandle;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Query};
use crate::list::{ListQuery, Listed};
use crate::problem::Problem;
use crate::revision;
use crate::version::Version;
use crate::view::View;
use crate::wait::{Wait, merged};
use crate::wire::{Data, FlowRunBody, GroupBody, json};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(status))
        .routes(routes!(groups))
}

impl Listed for Run {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// Whose runs are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct Of {
    /// Only those of this deployment.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    deployment_id: Option<String>,
}

/// Lists runs, of one deployment or of all.
#[utoipa::path(
    get, path = "/flowRuns", tag = "flowRuns", operation_id = "listFlowRuns",
    params(ListQuery, Of),
    responses((status = 200, description = "The runs", body = Data<FlowRunBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(of): Query<Of>,
) -> Result<Response, Problem> {
    let of = of.deployment_id.as_deref().map(str::parse::<DeploymentId>).transpose();
    let of = of.map_err(|error| Problem::validation(error.to_string()))?;
    let view = caller.view();
    let fetch = |page| {
        let view = view.clone();
        async move { view.runs_page(of, page).await }
    };
    let show =
        |it: &Run| json(&FlowRunBody::new(version, it, jobwright_core::Status::Created, &[]));
    let slice = query.parse()?.slice(fetch, |_| true, show).await?;
    let mut items = Vec::with_capacity(slice.items.len());
    for run in &slice.items {
        items.push(shown(version, &view, run).await?);
    }
    Ok(slice.respond(items, uri.path(), &query))
}

/// Reads a run.
#[utoipa::path(
    get, path = "/flowRuns/{id}", tag = "flowRuns", operation_id = "getFlowRun",
    responses((status = 200, description = "The run", body = FlowRunBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<RunId>,
) -> Result<Response, Problem> {
    let view = caller.view();
    let handle = found(&view, id).await?;
    Ok(revision::by_content(&headers, &shown(version, &view, handle.run()).await?))
}

/// Says how far a run is, in a bare word.
#[utoipa::path(
    get, path = "/flowRuns/{id}/status", tag = "flowRuns", operation_id = "getFlowRunStatus",
    params(Wait),
    responses((status = 200, description = "The status", body = String, content_type = "application/json")),
)]
async fn status(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<RunId>,
    Query(wait): Query<Wait>,
) -> Result<Response, Problem> {
    wait.check()?;
    let view = caller.view();
    let handle = found(&view, id).await?;
    let groups = view.groups(id).await?;
    // The run goes on when one of its groups does: wait for the first that is not over.
    if let Some(group) = groups.iter().find(|group| !group.status.is_terminal()) {
        crate::wait::summary(&app, &caller, group.id, &wait).await?;
    }
    let groups = view.groups(handle.id()).await?;
    let status = merged(&groups);
    Ok(crate::groups::bare(status))
}

/// Lists the job groups of a run, in the order of their outputs.
#[utoipa::path(
    get, path = "/flowRuns/{id}/jobGroups", tag = "flowRuns", operation_id = "listJobGroupsOfFlowRun",
    responses((status = 200, description = "The job groups", body = Data<GroupBody>)),
)]
async fn groups(version: Version, caller: Caller, Id(id): Id<RunId>) -> Result<Response, Problem> {
    let view = caller.view();
    let handle = found(&view, id).await?;
    let groups = view.groups(id).await?;
    let shown = groups.iter().map(|it| GroupBody::new(version, it, Some(handle.run())));
    Ok(axum::Json(Data { data: shown.collect() }).into_response())
}

async fn found(view: &View, id: RunId) -> Result<RunHandle, Problem> {
    view.find_run(id).await?.ok_or_else(|| Problem::not_found("run", id))
}

async fn shown(version: Version, view: &View, run: &Run) -> Result<Value, Problem> {
    let groups = view.groups(run.id).await?;
    let status = merged(&groups);
    Ok(json(&FlowRunBody::new(version, run, status, &groups)))
}
