//! Overrides of flow runs: values that a deployment gives to its runs, one by one. They are the
//! parameters of the deployment; here each has an id, which is made of the deployment's id and the
//! parameter's name.

use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use jobwright_core::{Deployment, DeploymentId, Digest, ID_LIMIT, ParameterName};
use jobwright_scheduler::Page;
use serde_json::Value;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::body::{Id, Json, Query};
use crate::deployments::NEW;
use crate::effect::Deployer;
use crate::list::{ListQuery, Listed, OfDeployment};
use crate::problem::{Problem, Sort};
use crate::router::Routes;
use crate::version::Version;
use crate::view::View;
use crate::wire::{ChangeOverride, CreateOverride, Data, OverrideBody, json};

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list, create)).routes(routes!(read, change, replace, remove))
}

/// One override: a deployment's value for a parameter.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: i64,
    pub(crate) deployment: Deployment,
    pub(crate) name: ParameterName,
}

impl Kept {
    fn new(deployment: &Deployment, name: &ParameterName) -> Self {
        Self { id: id_of(deployment.id, name), deployment: deployment.clone(), name: name.clone() }
    }

    pub(crate) fn value(&self) -> &Value {
        self.deployment.values.get(&self.name).unwrap_or(&Value::Null)
    }
}

impl Listed for Kept {
    fn id(&self) -> i64 {
        self.id
    }
}

/// The id of an override: 48 bits of a hash, so that two of an instance practically never meet.
fn id_of(deployment: DeploymentId, name: &ParameterName) -> i64 {
    let digest = Digest::of(format!("{deployment}/{name}").as_bytes()).to_string();
    let bits = digest.get(..12).and_then(|hex| i64::from_str_radix(hex, 16).ok());
    bits.unwrap_or_default().clamp(1, ID_LIMIT - 1)
}

/// Lists overrides, of one deployment or of all.
#[utoipa::path(
    get, path = "/flowRunParameterOverrides", tag = "flowRunParameterOverrides",
    operation_id = "listFlowRunParameterOverrides",
    params(ListQuery, OfDeployment),
    responses((status = 200, description = "The overrides", body = Data<OverrideBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(of): Query<OfDeployment>,
) -> Result<Response, Problem> {
    let of = of.parse()?;
    let mut all = everything(&caller.view(), of).await?;
    all.sort_by_key(|it| it.id);
    // All at once, as pages of the store would be: in the order that is asked for.
    let fetch = |page: Page| {
        let follows = |it: &&Kept| match (page.after, page.descending) {
            (None, _) => true,
            (Some(after), true) => it.id < after,
            (Some(after), false) => it.id > after,
        };
        let mut rest: Vec<Kept> = all.iter().filter(follows).cloned().collect();
        if page.descending {
            rest.reverse();
        }
        rest.truncate(page.limit as usize);
        std::future::ready(Ok(rest))
    };
    let show = |it: &Kept| json(&OverrideBody::new(version, it));
    query.answer(&uri, fetch, show).await
}

/// Gives a deployment a value for a parameter; all later runs see it.
#[utoipa::path(
    post, path = "/flowRunParameterOverrides", tag = "flowRunParameterOverrides",
    operation_id = "createFlowRunParameterOverride",
    request_body = CreateOverride,
    responses((status = 201, description = "The override", body = OverrideBody)),
)]
async fn create(
    version: Version,
    caller: Caller,
    Json(body): Json<CreateOverride>,
) -> Result<Response, Problem> {
    let id = body.deployment();
    let permit = caller.permit::<Deployer>(id).await?;
    let (name, value) = (body.name()?, plain(body.plain_value())?);
    let (deployment, _) = crate::deployments::found(&caller.view(), id).await?;
    if deployment.values.contains_key(&name) {
        let detail = format!("deployment {id} has an override of `{name}` already");
        return Err(Problem::new(Sort::Conflict, detail));
    }
    let deployment = permit.set_value(id, &name, Some(value)).await?;
    let kept = Kept::new(&deployment, &name);
    let location = format!("/{}/flowRunParameterOverrides/{}", version.as_str(), kept.id);
    let body = axum::Json(OverrideBody::new(version, &kept));
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}

/// Reads an override.
#[utoipa::path(
    get, path = "/flowRunParameterOverrides/{id}", tag = "flowRunParameterOverrides",
    operation_id = "getFlowRunParameterOverride",
    responses((status = 200, description = "The override", body = OverrideBody)),
)]
async fn read(version: Version, caller: Caller, Id(id): Id<Number>) -> Result<Response, Problem> {
    let kept = found(&caller.view(), id).await?;
    Ok(axum::Json(OverrideBody::new(version, &kept)).into_response())
}

/// Changes the value of an override.
#[utoipa::path(
    patch, path = "/flowRunParameterOverrides/{id}", tag = "flowRunParameterOverrides",
    operation_id = "changeFlowRunParameterOverride",
    request_body = ChangeOverride,
    responses((status = 200, description = "The override", body = OverrideBody)),
)]
async fn change(
    version: Version,
    caller: Caller,
    Id(id): Id<Number>,
    Json(body): Json<ChangeOverride>,
) -> Result<Response, Problem> {
    set(version, &caller, id, &body).await
}

/// Replaces the value of an override.
#[utoipa::path(
    put, path = "/flowRunParameterOverrides/{id}", tag = "flowRunParameterOverrides",
    operation_id = "replaceFlowRunParameterOverride",
    request_body = ChangeOverride,
    responses((status = 200, description = "The override", body = OverrideBody)),
)]
async fn replace(
    version: Version,
    caller: Caller,
    Id(id): Id<Number>,
    Json(body): Json<ChangeOverride>,
) -> Result<Response, Problem> {
    set(version, &caller, id, &body).await
}

async fn set(
    version: Version,
    caller: &Caller,
    id: Number,
    body: &ChangeOverride,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(NEW).await?;
    let kept = found(&caller.view(), id).await?;
    if body.override_key.as_ref().is_some_and(|key| key != kept.name.as_str()) {
        let detail = format!("override {} is of `{}`, for ever", kept.id, kept.name);
        return Err(Problem::new(Sort::Conflict, detail));
    }
    let value = plain(body.plain_value())?;
    let deployment = permit.set_value(kept.deployment.id, &kept.name, Some(value)).await?;
    let kept = Kept::new(&deployment, &kept.name);
    Ok(axum::Json(OverrideBody::new(version, &kept)).into_response())
}

/// Removes an override: later runs get what the release or the flow says.
#[utoipa::path(
    delete, path = "/flowRunParameterOverrides/{id}", tag = "flowRunParameterOverrides",
    operation_id = "deleteFlowRunParameterOverride",
    responses((status = 204, description = "It is removed")),
)]
async fn remove(caller: Caller, Id(id): Id<Number>) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Deployer>(NEW).await?;
    let kept = found(&caller.view(), id).await?;
    permit.set_value(kept.deployment.id, &kept.name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The id of an override, with the bounds that all ids have.
type Number = DeploymentId;

fn plain(value: Value) -> Result<Value, Problem> {
    if value.is_null() || value.is_array() || value.is_object() {
        let detail = "an override takes text, a number, or true or false";
        return Err(Problem::at("#/value", detail));
    }
    Ok(value)
}

async fn found(view: &View, id: Number) -> Result<Kept, Problem> {
    let all = everything(view, None).await?;
    let found = all.into_iter().find(|it| it.id == id.get());
    found.ok_or_else(|| Problem::not_found("override", id))
}

async fn everything(view: &View, of: Option<DeploymentId>) -> Result<Vec<Kept>, Problem> {
    let of_one = |it: &Deployment| -> Vec<Kept> {
        it.values.keys().map(|name| Kept::new(it, name)).collect()
    };
    if let Some(id) = of {
        let found = view.find_deployment(id).await?;
        return Ok(found.map(|(deployment, _)| of_one(&deployment)).unwrap_or_default());
    }
    let (mut page, mut all) = (Page::oldest(1_000), Vec::new());
    loop {
        let items = view.deployments_page(page).await?;
        all.extend(items.iter().flat_map(of_one));
        match items.last() {
            Some(last) if items.len() == 1_000 => page = page.after(last.id.get()),
            Some(_) | None => return Ok(all),
        }
    }
}
