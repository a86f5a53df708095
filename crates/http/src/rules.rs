//! Import rules: read, and replaced as a whole.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jobwright_core::DeploymentId;
use jobwright_core::rule::{ObjectRule, ValueRule};
use jobwright_scheduler::DeploymentChange;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Json};
use crate::deployments::found;
use crate::effect::Deployer;
use crate::problem::Problem;
use crate::revision;
use crate::wire::{Data, json};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(object_rules, set_object_rules))
        .routes(routes!(value_rules, set_value_rules))
}

/// Lists the rules that replace connections at import, in order.
#[utoipa::path(
    get, path = "/deployments/{id}/objectImportRules", tag = "importRules",
    operation_id = "listObjectImportRules",
    responses((status = 200, description = "The rules", body = Data<Object>)),
)]
async fn object_rules(caller: Caller, Id(id): Id<DeploymentId>) -> Result<Response, Problem> {
    let (deployment, _) = found(&caller.view(), id).await?;
    Ok(listed(&deployment.object_rules))
}

/// Replaces the rules for connections, and returns those that were there.
#[utoipa::path(
    patch, path = "/deployments/{id}/objectImportRules", tag = "importRules",
    operation_id = "setObjectImportRules",
    request_body = Vec<Object>,
    responses((status = 200, description = "The rules that were replaced", body = Data<Object>)),
)]
async fn set_object_rules(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    Json(rules): Json<Vec<ObjectRule>>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let change = DeploymentChange { object_rules: Some(rules), ..DeploymentChange::default() };
    let (_, before) = permit.change(id, revision::expected(&headers)?, change).await?;
    Ok(listed(&before.object_rules))
}

/// Lists the rules that replace values at import, in order.
#[utoipa::path(
    get, path = "/deployments/{id}/valueImportRules", tag = "importRules",
    operation_id = "listValueImportRules",
    responses((status = 200, description = "The rules", body = Data<Object>)),
)]
async fn value_rules(caller: Caller, Id(id): Id<DeploymentId>) -> Result<Response, Problem> {
    let (deployment, _) = found(&caller.view(), id).await?;
    Ok(listed(&deployment.value_rules))
}

/// Replaces the rules for values, and returns those that were there.
#[utoipa::path(
    patch, path = "/deployments/{id}/valueImportRules", tag = "importRules",
    operation_id = "setValueImportRules",
    request_body = Vec<Object>,
    responses((status = 200, description = "The rules that were replaced", body = Data<Object>)),
)]
async fn set_value_rules(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    Json(rules): Json<Vec<ValueRule>>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let change = DeploymentChange { value_rules: Some(rules), ..DeploymentChange::default() };
    let (_, before) = permit.change(id, revision::expected(&headers)?, change).await?;
    Ok(listed(&before.value_rules))
}

fn listed(rules: &[impl serde::Serialize]) -> Response {
    axum::Json(Data { data: rules.iter().map(json).collect() }).into_response()
}
