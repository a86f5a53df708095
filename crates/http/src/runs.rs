//! Runs, which clients know as flow runs: one request, one or more job groups.

use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jobwright_core::{DeploymentId, ReleaseId, Run, RunId};
use jobwright_scheduler::RunHandle;
use serde_json::Value;
use utoipa_axum::routes;

use crate::along::Along;
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Query};
use crate::list::{ListQuery, Listed, OfDeployment};
use crate::problem::Problem;
use crate::revision;
use crate::router::Routes;
use crate::shape::{self, Embed};
use crate::version::Version;
use crate::view::View;
use crate::wait::{Wait, merged};
use crate::wire::{Data, DeploymentBody, FlowRunBody, GroupBody, ReleaseBody, json};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(status))
        .routes(routes!(groups))
}

/// What can be shown along with a run.
pub(crate) const ASSOCIATIONS: [(&str, &[&str]); 4] =
    [("jobGroups", &["jobs"]), ("creator", &[]), ("deployment", &[]), ("release", &[])];

impl Listed for Run {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// Lists runs, of one deployment or of all.
#[utoipa::path(
    get, path = "/flowRuns", tag = "flowRuns", operation_id = "listFlowRuns",
    params(ListQuery, OfDeployment),
    responses((status = 200, description = "The runs", body = Data<FlowRunBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(of): Query<OfDeployment>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "flowRuns", &ASSOCIATIONS)?;
    let of = of.parse()?;
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
        items.push(shown(version, &view, run, &embed).await?);
    }
    Ok(slice.respond(items, &uri, &query))
}

/// Reads a run.
#[utoipa::path(
    get, path = "/flowRuns/{id}", tag = "flowRuns", operation_id = "getFlowRun",
    params(("embed" = Option<String>, Query), ("fields" = Option<String>, Query)),
    responses((status = 200, description = "The run", body = FlowRunBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<RunId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "flowRuns", &ASSOCIATIONS)?;
    let view = caller.view();
    let handle = found(&view, id).await?;
    let body = shown(version, &view, handle.run(), &embed).await?;
    Ok(revision::by_content(&headers, &shape::pick(body, query.fields.as_deref())))
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
    let (embed, mut along) = (Embed::parse(None, "jobGroups", &[])?, Along::with(handle.run()));
    let mut data = Vec::with_capacity(groups.len());
    for group in &groups {
        data.push(crate::groups::shown(version, &view, group, &embed, &mut along).await?);
    }
    Ok(axum::Json(Data { data }).into_response())
}

async fn found(view: &View, id: RunId) -> Result<RunHandle, Problem> {
    view.find_run(id).await?.ok_or_else(|| Problem::not_found("run", id))
}

async fn shown(version: Version, view: &View, run: &Run, embed: &Embed) -> Result<Value, Problem> {
    let groups = view.groups(run.id).await?;
    let mut body = json(&FlowRunBody::new(version, run, merged(&groups), &groups));
    if embed.has("jobGroups") {
        let jobs = embed.has_nested("jobGroups", "jobs").then_some("jobs");
        let inner = Embed::parse(jobs, "jobGroups", &crate::groups::ASSOCIATIONS)?;
        let mut along = Along::with(run);
        let mut items = Vec::with_capacity(groups.len());
        for group in &groups {
            items.push(crate::groups::shown(version, view, group, &inner, &mut along).await?);
        }
        body["jobGroups"] = json(&Data { data: embed.arrange("jobGroups", items) });
    }
    with_owners(version, view, embed, run.deployment, run.release, &mut body).await?;
    Ok(body)
}

/// A run without anything along with it.
pub(crate) async fn bare(version: Version, view: &View, run: &Run) -> Result<Value, Problem> {
    let groups = view.groups(run.id).await?;
    Ok(json(&FlowRunBody::new(version, run, merged(&groups), &groups)))
}

/// Shows the deployment and the release along with what belongs to them, where they still exist.
pub(crate) async fn with_owners(
    version: Version,
    view: &View,
    embed: &Embed,
    deployment: DeploymentId,
    release: ReleaseId,
    body: &mut Value,
) -> Result<(), Problem> {
    if embed.has("deployment")
        && let Some((deployment, _)) = view.find_deployment(deployment).await?
    {
        body["deployment"] = json(&DeploymentBody::new(version, &deployment));
    }
    if embed.has("release")
        && let Some(it) = view.find_release(release).await?
    {
        body["release"] = json(&ReleaseBody::new(version, &it.release, it.is_active()));
    }
    Ok(())
}
