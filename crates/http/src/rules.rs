//! Import rules: read, and replaced as a whole.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jobwright_core::DeploymentId;
use jobwright_core::rule::{ObjectRule, ValueRule};
use jobwright_scheduler::DeploymentChange;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::body::{Id, JsonList};
use crate::deployments::found;
use crate::effect::Deployer;
use crate::problem::Problem;
use crate::revision;
use crate::router::Routes;
use crate::wire::{Data, ObjectRuleBody, ValueRuleBody};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(object_rules, set_object_rules))
        .routes(routes!(value_rules, set_value_rules))
}

/// Lists the rules that replace connections at import, in order.
#[utoipa::path(
    get, path = "/deployments/{id}/objectImportRules", tag = "importRules",
    operation_id = "listObjectImportRules",
    responses((status = 200, description = "The rules", body = Data<ObjectRuleBody>)),
)]
async fn object_rules(caller: Caller, Id(id): Id<DeploymentId>) -> Result<Response, Problem> {
    let (deployment, _) = found(&caller.view(), id).await?;
    Ok(listed::<_, ObjectRuleBody>(&deployment.object_rules))
}

/// Replaces the rules for connections, and returns those that were there.
#[utoipa::path(
    patch, path = "/deployments/{id}/objectImportRules", tag = "importRules",
    operation_id = "setObjectImportRules",
    request_body = Vec<ObjectRuleBody>,
    responses((status = 200, description = "The rules that were replaced", body = Data<ObjectRuleBody>)),
)]
async fn set_object_rules(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    JsonList(rules): JsonList<ObjectRuleBody>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let rules = rules.into_iter().map(ObjectRule::from).collect();
    let change = DeploymentChange { object_rules: Some(rules), ..DeploymentChange::default() };
    let (_, before) = permit.change(id, revision::expected(&headers)?, change).await?;
    Ok(listed::<_, ObjectRuleBody>(&before.object_rules))
}

/// Lists the rules that replace values at import, in order.
#[utoipa::path(
    get, path = "/deployments/{id}/valueImportRules", tag = "importRules",
    operation_id = "listValueImportRules",
    responses((status = 200, description = "The rules", body = Data<ValueRuleBody>)),
)]
async fn value_rules(caller: Caller, Id(id): Id<DeploymentId>) -> Result<Response, Problem> {
    let (deployment, _) = found(&caller.view(), id).await?;
    Ok(listed::<_, ValueRuleBody>(&deployment.value_rules))
}

/// Replaces the rules for values, and returns those that were there.
#[utoipa::path(
    patch, path = "/deployments/{id}/valueImportRules", tag = "importRules",
    operation_id = "setValueImportRules",
    request_body = Vec<ValueRuleBody>,
    responses((status = 200, description = "The rules that were replaced", body = Data<ValueRuleBody>)),
)]
async fn set_value_rules(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    JsonList(rules): JsonList<ValueRuleBody>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let rules = rules.into_iter().map(ValueRule::from).collect();
    let change = DeploymentChange { value_rules: Some(rules), ..DeploymentChange::default() };
    let (_, before) = permit.change(id, revision::expected(&headers)?, change).await?;
    Ok(listed::<_, ValueRuleBody>(&before.value_rules))
}

fn listed<'r, R, B: From<&'r R> + serde::Serialize>(rules: &'r [R]) -> Response {
    axum::Json(Data { data: rules.iter().map(B::from).collect() }).into_response()
}
