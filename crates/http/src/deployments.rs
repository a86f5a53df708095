//! Deployments: made, listed, changed, paused, deleted.

use axum::extract::OriginalUri;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::{Deployment, DeploymentId, DeploymentName, Kind, Retention, Revision};
use jobwright_scheduler::{DeploymentChange, Page};
use serde_json::Value;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::body::{Id, Json, Query};
use crate::effect::{Deployer, Operator};
use crate::list::{ListQuery, Listed};
use crate::problem::Problem;
use crate::revision;
use crate::router::Routes;
use crate::shape::{self, Embed};
use crate::version::Version;
use crate::view::View;
use crate::wire::{
    ChangeDeployment, Changed, CreateDeployment, Data, DeploymentBody, ReleaseBody, Updater, json,
};

/// What can be shown along with a deployment.
pub(crate) const ASSOCIATIONS: [(&str, &[&str]); 4] = [
    ("releases", &["creator", "updater"]),
    ("activeRelease", &[]),
    ("creator", &[]),
    ("updater", &[]),
];

/// How many releases are shown along with a deployment.
const RELEASES: u32 = 200;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

impl Listed for Deployment {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// The key of deployments that do not exist yet, for audit records.
pub(crate) const NEW: jobwright_core::Key = jobwright_core::Key { kind: Kind::Deployment, id: 0 };

/// Lists deployments.
#[utoipa::path(
    get, path = "/deployments", tag = "deployments", operation_id = "listDeployments",
    params(ListQuery),
    responses((status = 200, description = "The deployments", body = Data<DeploymentBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "deployments", &ASSOCIATIONS)?;
    let view = caller.view();
    let fetch = |page| {
        let view = view.clone();
        async move { view.deployments_page(page).await }
    };
    let show = |it: &Deployment| json(&DeploymentBody::new(version, it));
    let slice = query.parse()?.slice(fetch, |_| true, show).await?;
    let mut items = Vec::with_capacity(slice.items.len());
    for deployment in &slice.items {
        items.push(shown(version, &view, deployment, &embed).await?);
    }
    Ok(slice.respond(items, &uri, &query))
}

/// Makes a deployment without releases.
#[utoipa::path(
    post, path = "/deployments", tag = "deployments", operation_id = "createDeployment",
    request_body = CreateDeployment,
    responses((status = 201, description = "The deployment", body = DeploymentBody)),
)]
async fn create(
    version: Version,
    caller: Caller,
    Json(body): Json<CreateDeployment>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(NEW).await?;
    let deployment = permit.create(&body.name).await?;
    let headers = [
        (LOCATION, format!("/{}/deployments/{}", version.as_str(), deployment.id)),
        (ETAG, "\"1\"".to_owned()),
    ];
    let body = DeploymentBody::new(version, &deployment);
    Ok((StatusCode::CREATED, headers, axum::Json(body)).into_response())
}

/// Reads a deployment.
#[utoipa::path(
    get, path = "/deployments/{id}", tag = "deployments", operation_id = "getDeployment",
    params(("embed" = Option<String>, Query), ("fields" = Option<String>, Query)),
    responses((status = 200, description = "The deployment", body = DeploymentBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "deployments", &ASSOCIATIONS)?;
    let view = caller.view();
    let (deployment, revision) = found(&view, id).await?;
    let body = shown(version, &view, &deployment, &embed).await?;
    let body = shape::pick(body, query.fields.as_deref());
    Ok(revision::tagged(&headers, revision::tag(revision), axum::Json(body)))
}

/// Changes a deployment; what the body leaves out stays.
#[utoipa::path(
    patch, path = "/deployments/{id}", tag = "deployments", operation_id = "changeDeployment",
    request_body = ChangeDeployment,
    responses((status = 200, description = "It is changed", body = Changed)),
)]
async fn change(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    Json(body): Json<ChangeDeployment>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let name = body.name.as_deref().map(DeploymentName::new).transpose();
    let change = DeploymentChange {
        name: name.map_err(|error| Problem::at("#/name", error.to_string()))?,
        values: body.parameters,
        run_policy: body.run_policy,
        limit: body.limit,
        retention: retention(body.retention.as_ref())?,
        paused: body.paused,
        ..DeploymentChange::default()
    };
    let (deployment, _) = permit.change(id, revision::expected(&headers)?, change).await?;
    Ok(changed(version, &deployment))
}

/// Deletes a deployment that has no releases. Its runs stay readable.
#[utoipa::path(
    delete, path = "/deployments/{id}", tag = "deployments", operation_id = "deleteDeployment",
    responses((status = 204, description = "It is deleted")),
)]
async fn remove(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    permit.delete(id, revision::expected(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a deployment: no run of it begins until it is resumed; what runs goes on.
#[utoipa::path(
    post, path = "/deployments/{id}/pause", tag = "deployments", operation_id = "pauseDeployment",
    responses((status = 200, description = "It is paused", body = Changed)),
)]
async fn pause(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    Ok(changed(version, &permit.pause(id, true, revision::expected(&headers)?).await?))
}

/// Resumes a deployment that is paused.
#[utoipa::path(
    post, path = "/deployments/{id}/resume", tag = "deployments", operation_id = "resumeDeployment",
    responses((status = 200, description = "It is not paused", body = Changed)),
)]
async fn resume(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    Ok(changed(version, &permit.pause(id, false, revision::expected(&headers)?).await?))
}

/// Reads how long runs are kept; null is no word of the deployment's own.
fn retention(given: Option<&Option<String>>) -> Result<Option<Option<Retention>>, Problem> {
    let read = |text: &String| {
        let read = text.parse::<Retention>();
        read.map_err(|error| Problem::at("#/retention", error.to_string()))
    };
    given.map(|given| given.as_ref().map(read).transpose()).transpose()
}

/// What a change of a deployment, or of which release it runs, answers.
fn changed(version: Version, deployment: &Deployment) -> Response {
    let body = Changed {
        id: deployment.id.get(),
        updater: Updater::new(version, deployment.updated_by),
        updated_at: deployment.updated_at.to_string(),
    };
    axum::Json(body).into_response()
}

pub(crate) async fn found(
    view: &View,
    id: DeploymentId,
) -> Result<(Deployment, Revision), Problem> {
    let found = view.find_deployment(id).await?;
    found.ok_or_else(|| Problem::not_found("deployment", id))
}

async fn shown(
    version: Version,
    view: &View,
    deployment: &Deployment,
    embed: &Embed,
) -> Result<Value, Problem> {
    let mut body = DeploymentBody::new(version, deployment);
    if embed.has("releases") {
        let releases = view.releases_page(Some(deployment.id), Page::newest(RELEASES)).await?;
        let show = |it: &jobwright_core::Release| {
            json(&ReleaseBody::new(version, it, deployment.active == Some(it.id)))
        };
        let releases = embed.arrange("releases", releases.iter().map(show).collect());
        body.releases = Some(Data { data: releases });
    }
    let mut body = json(&body);
    if embed.has("activeRelease")
        && let Some(active) = deployment.active
        && let Some(it) = view.find_release(active).await?
    {
        body["activeRelease"] = json(&ReleaseBody::new(version, &it.release, true));
    }
    Ok(body)
}
