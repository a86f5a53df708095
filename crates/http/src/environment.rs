//! Parameters of the environment: values that every run sees.

use axum::extract::OriginalUri;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::{EnvironmentId, EnvironmentParameter, Key, Kind, ParameterName, Revision};
use jobwright_scheduler::{EnvironmentError, Page};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::body::{Id, Json, Query};
use crate::effect::Admin;
use crate::list::{ListQuery, Listed, truth};
use crate::problem::{Problem, Sort};
use crate::revision;
use crate::router::Routes;
use crate::version::Version;
use crate::view::View;
use crate::wire::{
    Data, EnvironmentBody, EnvironmentPackage, Object, SetEnvironment, json as shown,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(export, import))
        .routes(routes!(read, change, replace, remove))
}

impl Listed for EnvironmentParameter {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// The key of parameters that do not exist yet, for audit records.
const NEW: Key = Key { kind: Kind::Environment, id: 0 };

/// Lists the parameters of the environment.
#[utoipa::path(
    get, path = "/environmentParameters", tag = "environmentParameters",
    operation_id = "listEnvironmentParameters",
    params(ListQuery),
    responses((status = 200, description = "The parameters", body = Data<EnvironmentBody>)),
)]
async fn list(
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let view = caller.view();
    let fetch = |page| {
        let view = view.clone();
        async move { view.environment_page(page).await }
    };
    let show = |it: &EnvironmentParameter| shown(&EnvironmentBody::new(it));
    query.answer(&uri, fetch, show).await
}

/// Makes a parameter; all later runs see it.
#[utoipa::path(
    post, path = "/environmentParameters", tag = "environmentParameters",
    operation_id = "createEnvironmentParameter",
    request_body = SetEnvironment,
    responses((status = 201, description = "The parameter", body = EnvironmentBody)),
)]
async fn create(
    version: Version,
    caller: Caller,
    Json(body): Json<SetEnvironment>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Admin>(NEW).await?;
    // Nobody else makes it meanwhile: revision 0 is that of what does not exist.
    let made =
        permit.set_environment(&body.override_key, body.plain_value(), Some(Revision(0))).await;
    let (parameter, revision) = match made {
        Err(EnvironmentError::Stale { name, .. }) => {
            let detail = format!("an environment parameter is already named `{name}`");
            return Err(Problem::new(Sort::Conflict, detail));
        }
        made => made?,
    };
    let location = format!("/{}/environmentParameters/{}", version.as_str(), parameter.id);
    let body = axum::Json(EnvironmentBody::new(&parameter));
    let mut response = (StatusCode::CREATED, [(LOCATION, location)], body).into_response();
    response.headers_mut().insert(ETAG, revision::tag(revision));
    Ok(response)
}

/// Reads a parameter.
#[utoipa::path(
    get, path = "/environmentParameters/{id}", tag = "environmentParameters",
    operation_id = "getEnvironmentParameter",
    responses((status = 200, description = "The parameter", body = EnvironmentBody)),
)]
async fn read(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<EnvironmentId>,
) -> Result<Response, Problem> {
    let (parameter, revision) = found(&caller.view(), id).await?;
    let body = axum::Json(EnvironmentBody::new(&parameter));
    Ok(revision::tagged(&headers, revision::tag(revision), body))
}

/// Changes the value of a parameter.
#[utoipa::path(
    patch, path = "/environmentParameters/{id}", tag = "environmentParameters",
    operation_id = "changeEnvironmentParameter",
    request_body = SetEnvironment,
    responses((status = 200, description = "The parameter", body = EnvironmentBody)),
)]
async fn change(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<EnvironmentId>,
    Json(body): Json<SetEnvironment>,
) -> Result<Response, Problem> {
    set(&caller, &headers, id, &body).await
}

/// Replaces the value of a parameter.
#[utoipa::path(
    put, path = "/environmentParameters/{id}", tag = "environmentParameters",
    operation_id = "replaceEnvironmentParameter",
    request_body = SetEnvironment,
    responses((status = 200, description = "The parameter", body = EnvironmentBody)),
)]
async fn replace(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<EnvironmentId>,
    Json(body): Json<SetEnvironment>,
) -> Result<Response, Problem> {
    set(&caller, &headers, id, &body).await
}

async fn set(
    caller: &Caller,
    headers: &HeaderMap,
    id: EnvironmentId,
    body: &SetEnvironment,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Admin>(id).await?;
    let (known, _) = found(&caller.view(), id).await?;
    if known.name.as_str() != body.override_key {
        let detail = format!("environment parameter {id} is named `{}`, for ever", known.name);
        return Err(Problem::new(Sort::Conflict, detail));
    }
    let (name, expected) = (known.name.as_str(), revision::expected(headers)?);
    let set = permit.set_environment(name, body.plain_value(), expected);
    let (parameter, revision) = set.await?;
    let body = axum::Json(EnvironmentBody::new(&parameter));
    Ok(([(ETAG, revision::tag(revision))], body).into_response())
}

/// Removes a parameter.
#[utoipa::path(
    delete, path = "/environmentParameters/{id}", tag = "environmentParameters",
    operation_id = "deleteEnvironmentParameter",
    responses((status = 204, description = "It is removed")),
)]
async fn remove(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<EnvironmentId>,
) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Admin>(id).await?;
    let (known, _) = found(&caller.view(), id).await?;
    permit.remove_environment(known.name.as_str(), revision::expected(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a package of parameters holds.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct Export {
    /// Taken for the sake of clients; no environment parameter is a secret.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    hide_secrets: Option<String>,
}

/// Exports all parameters, to be imported into another instance.
#[utoipa::path(
    get, path = "/environmentParameters/package", tag = "environmentParameters",
    operation_id = "exportEnvironmentParameters",
    params(Export),
    responses((status = 200, description = "The parameters", body = Object)),
)]
async fn export(caller: Caller, Query(export): Query<Export>) -> Result<Response, Problem> {
    truth("hideSecrets", export.hide_secrets.as_deref())?;
    let all = everything(&caller.view()).await?;
    let all = all.iter().map(|it| json!({ "overrideKey": it.name, "value": it.value }));
    let body = json!({ "environmentParameters": all.collect::<Vec<_>>() });
    Ok(axum::Json(body).into_response())
}

/// Imports parameters: those that exist get the new value.
#[utoipa::path(
    post, path = "/environmentParameters/package", tag = "environmentParameters",
    operation_id = "importEnvironmentParameters",
    request_body = EnvironmentPackage,
    responses((status = 201, description = "The parameters", body = Data<EnvironmentBody>)),
)]
async fn import(caller: Caller, Json(body): Json<EnvironmentPackage>) -> Result<Response, Problem> {
    let permit = caller.permit::<Admin>(NEW).await?;
    for (at, Object(parameter)) in body.environment_parameters.iter().enumerate() {
        let pointer = |member: &str| format!("#/environmentParameters/{at}/{member}");
        let name = ParameterName::new(&parameter.override_key);
        if !name.is_ok_and(|name| name.is_environment()) {
            let detail = "the name of an environment parameter begins with `env.`";
            return Err(Problem::at(pointer("overrideKey"), detail));
        }
        let value = parameter.plain_value();
        if value.is_null() || value.is_array() || value.is_object() {
            let detail = "an environment parameter takes text, a number, or true or false";
            return Err(Problem::at(pointer("value"), detail));
        }
    }
    let mut data = Vec::with_capacity(body.environment_parameters.len());
    for Object(parameter) in &body.environment_parameters {
        let set = permit.set_environment(&parameter.override_key, parameter.plain_value(), None);
        data.push(EnvironmentBody::new(&set.await?.0));
    }
    Ok((StatusCode::CREATED, axum::Json(Data { data })).into_response())
}

async fn found(
    view: &View,
    id: EnvironmentId,
) -> Result<(EnvironmentParameter, Revision), Problem> {
    let found = view.find_environment(id).await?;
    found.ok_or_else(|| Problem::not_found("environment parameter", id))
}

async fn everything(view: &View) -> Result<Vec<EnvironmentParameter>, Problem> {
    let (mut page, mut all) = (Page::oldest(1_000), Vec::new());
    loop {
        let items = view.environment_page(page).await?;
        let is_last = items.len() < 1_000;
        if let Some(last) = items.last() {
            page = page.after(last.id.get());
        }
        all.extend(items);
        if is_last {
            return Ok(all);
        }
    }
}
