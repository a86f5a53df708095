//! Webhooks: made, listed, changed, deleted, tested, and what could not be sent.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use jobwright_core::webhook::{Call, Delivery, Webhook, WebhookSender};
use jobwright_core::{DeploymentId, WebhookId};
use jobwright_scheduler::WebhookError;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Json, Query};
use crate::effect::Deployer;
use crate::list::{ListQuery, Listed};
use crate::problem::{Problem, Sort};
use crate::router::Routes;
use crate::version::Version;
use crate::view::View;
use crate::wire::{
    ChangeWebhook, CreateWebhook, Data, DeliveryBody, TestedBody, WebhookBody, json,
};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(test))
        .routes(routes!(deliveries))
}

impl Listed for Webhook {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

impl Listed for Delivery {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// Whose webhooks are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct Of {
    /// Only those of this deployment.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    flow_id: Option<String>,
}

/// Which deliveries are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct To {
    /// Only those to this webhook.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    webhook_flow_task_id: Option<String>,
}

/// Lists webhooks, of one deployment or of all.
#[utoipa::path(
    get, path = "/webhookFlowTasks", tag = "webhookFlowTasks",
    operation_id = "listWebhookFlowTasks",
    params(ListQuery, Of),
    responses((status = 200, description = "The webhooks", body = Data<WebhookBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(of): Query<Of>,
) -> Result<Response, Problem> {
    let of = of.flow_id.as_deref().map(str::parse::<DeploymentId>).transpose();
    let of = of.map_err(|error| Problem::validation(error.to_string()))?;
    let view = caller.view();
    let fetch = |page| {
        let view = view.clone();
        async move { view.webhooks_page(of, page).await }
    };
    let show = |it: &Webhook| json(&WebhookBody::new(version, it));
    query.answer(&uri, fetch, show).await
}

/// Makes a webhook: it is told of the job groups of runs that begin from now on.
#[utoipa::path(
    post, path = "/webhookFlowTasks", tag = "webhookFlowTasks",
    operation_id = "createWebhookFlowTask",
    request_body = CreateWebhook,
    responses((status = 201, description = "The webhook", body = WebhookBody)),
)]
async fn create(
    version: Version,
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateWebhook>,
) -> Result<Response, Problem> {
    let of = body.flow_id;
    let permit = caller.permit::<Deployer>(of).await?;
    let sender = sender(&app)?;
    let call = body.into_call()?;
    check(sender, &call)?;
    let webhook = permit.create_webhook(of, call).await?;
    let location = format!("/{}/webhookFlowTasks/{}", version.as_str(), webhook.id);
    let body = axum::Json(WebhookBody::new(version, &webhook));
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}

/// Reads a webhook.
#[utoipa::path(
    get, path = "/webhookFlowTasks/{id}", tag = "webhookFlowTasks",
    operation_id = "getWebhookFlowTask",
    responses((status = 200, description = "The webhook", body = WebhookBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    Id(id): Id<WebhookId>,
) -> Result<Response, Problem> {
    let webhook = found(&caller.view(), id).await?;
    Ok(axum::Json(WebhookBody::new(version, &webhook)).into_response())
}

/// Changes a webhook; what the body leaves out stays.
#[utoipa::path(
    patch, path = "/webhookFlowTasks/{id}", tag = "webhookFlowTasks",
    operation_id = "changeWebhookFlowTask",
    request_body = ChangeWebhook,
    responses((status = 200, description = "The webhook", body = WebhookBody)),
)]
async fn change(
    version: Version,
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<WebhookId>,
    Json(body): Json<ChangeWebhook>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let sender = sender(&app)?;
    let call = body.on(found(&caller.view(), id).await?.call)?;
    check(sender, &call)?;
    let webhook = permit.change_webhook(id, call).await?;
    Ok(axum::Json(WebhookBody::new(version, &webhook)).into_response())
}

/// Deletes a webhook; what waits for it is not sent any more.
#[utoipa::path(
    delete, path = "/webhookFlowTasks/{id}", tag = "webhookFlowTasks",
    operation_id = "deleteWebhookFlowTask",
    responses((status = 204, description = "It is deleted")),
)]
async fn remove(caller: Caller, Id(id): Id<WebhookId>) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    permit.delete_webhook(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends once what such a webhook would, and keeps nothing.
#[utoipa::path(
    post, path = "/webhooks/test", tag = "webhookFlowTasks", operation_id = "testWebhook",
    request_body = CreateWebhook,
    responses((status = 200, description = "What came back", body = TestedBody)),
)]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateWebhook>,
) -> Result<Response, Problem> {
    let of = body.flow_id;
    caller.permit::<Deployer>(of).await?;
    let sender = sender(&app)?;
    crate::deployments::found(&caller.view(), of).await?;
    let call = body.into_call()?;
    check(sender, &call)?;
    Ok(axum::Json(TestedBody::from(sender.test(of, &call).await)).into_response())
}

/// Lists what waits to be sent, and what was given up.
#[utoipa::path(
    get, path = "/webhookDeliveries", tag = "webhookFlowTasks",
    operation_id = "listWebhookDeliveries",
    params(ListQuery, To),
    responses((status = 200, description = "The deliveries", body = Data<DeliveryBody>)),
)]
async fn deliveries(
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(to): Query<To>,
) -> Result<Response, Problem> {
    let to = to.webhook_flow_task_id.as_deref().map(str::parse::<WebhookId>).transpose();
    let to = to.map_err(|error| Problem::validation(error.to_string()))?;
    let view = caller.view();
    let fetch = |page| {
        let view = view.clone();
        async move { view.deliveries_page(to, page).await }
    };
    let show = |it: &Delivery| json(&DeliveryBody::new(it));
    query.answer(&uri, fetch, show).await
}

/// Whoever sends.
fn sender(app: &App) -> Result<&dyn WebhookSender, Problem> {
    let sender = app.options().webhooks.as_deref();
    sender.ok_or_else(|| Problem::new(Sort::Conflict, "this server sends no webhooks"))
}

/// Refuses what would not be sent.
fn check(sender: &dyn WebhookSender, call: &Call) -> Result<(), Problem> {
    let faults = call.faults();
    if !faults.is_empty() {
        return Err(WebhookError::Call(faults).into());
    }
    sender.check(&call.url).map_err(|error| Problem::at("#/url", error.to_string()))
}

async fn found(view: &View, id: WebhookId) -> Result<Webhook, Problem> {
    let found = view.find_webhook(id).await?;
    found.ok_or_else(|| Problem::not_found("webhook", id))
}
