//! Schedules of deployments: made, changed, paused, looked ahead, and backfilled.

use axum::extract::OriginalUri;
use axum::http::Uri;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::schedule::{Backfill, Schedule};
use jobwright_core::{BackfillId, DeploymentId, Revision, ScheduleId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::body::{Id, Json, Query};
use crate::effect::{Deployer, Operator};
use crate::list::{ListQuery, Listed};
use crate::problem::Problem;
use crate::router::Routes;
use crate::version::Version;
use crate::view::View;
use crate::wire::{
    BackfillBody, ChangeSchedule, CreateBackfill, CreateSchedule, Data, NextBody, ScheduleBody,
    json,
};
use crate::{deployments, revision, shape};

/// How many firings that come are shown where nothing is said, and at most.
const SHOWN: usize = 10;
const MOST_SHOWN: usize = 100;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(list_of, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(next))
        .routes(routes!(backfills, backfill))
        .routes(routes!(read_backfill))
        .routes(routes!(cancel_backfill))
}

impl Listed for Schedule {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

impl Listed for Backfill {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// Lists schedules of all deployments.
#[utoipa::path(
    get, path = "/schedules", tag = "schedules", operation_id = "listSchedules",
    params(ListQuery),
    responses((status = 200, description = "The schedules", body = Data<ScheduleBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    listed(version, &caller.view(), &uri, &query, None).await
}

/// Lists the schedules of a deployment.
#[utoipa::path(
    get, path = "/deployments/{id}/schedules", tag = "schedules",
    operation_id = "listSchedulesOfDeployment",
    params(ListQuery),
    responses((status = 200, description = "The schedules", body = Data<ScheduleBody>)),
)]
async fn list_of(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Id(id): Id<DeploymentId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let view = caller.view();
    deployments::found(&view, id).await?;
    listed(version, &view, &uri, &query, Some(id)).await
}

async fn listed(
    version: Version,
    view: &View,
    uri: &Uri,
    query: &ListQuery,
    of: Option<DeploymentId>,
) -> Result<Response, Problem> {
    let fetch = |page| {
        let view = view.clone();
        async move { view.schedules_page(of, page).await }
    };
    let show = |it: &Schedule| json(&ScheduleBody::new(version, it));
    query.answer(uri, fetch, show).await
}

/// Makes a schedule: from now on it produces the scheduled outputs of the active release.
#[utoipa::path(
    post, path = "/deployments/{id}/schedules", tag = "schedules", operation_id = "createSchedule",
    request_body = CreateSchedule,
    responses((status = 201, description = "The schedule", body = ScheduleBody)),
)]
async fn create(
    version: Version,
    caller: Caller,
    Id(id): Id<DeploymentId>,
    Json(body): Json<CreateSchedule>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let schedule = permit.create_schedule(id, body.parse()?).await?;
    let headers = [
        (LOCATION, format!("/{}/schedules/{}", version.as_str(), schedule.id)),
        (ETAG, "\"1\"".to_owned()),
    ];
    let body = ScheduleBody::new(version, &schedule);
    Ok((StatusCode::CREATED, headers, axum::Json(body)).into_response())
}

/// Reads a schedule. Its entity tag changes with each firing too.
#[utoipa::path(
    get, path = "/schedules/{id}", tag = "schedules", operation_id = "getSchedule",
    params(("fields" = Option<String>, Query)),
    responses((status = 200, description = "The schedule", body = ScheduleBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ScheduleId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let (schedule, revision) = found(&caller.view(), id).await?;
    let body = json(&ScheduleBody::new(version, &schedule));
    let body = shape::pick(body, query.fields.as_deref());
    Ok(revision::tagged(&headers, revision::tag(revision), axum::Json(body)))
}

/// Changes a schedule; what the body leaves out stays.
#[utoipa::path(
    patch, path = "/schedules/{id}", tag = "schedules", operation_id = "changeSchedule",
    request_body = ChangeSchedule,
    responses((status = 200, description = "The schedule", body = ScheduleBody)),
)]
async fn change(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ScheduleId>,
    Json(body): Json<ChangeSchedule>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let expected = revision::expected(&headers)?;
    let schedule = permit.change_schedule(id, expected, &body.parse()?).await?;
    Ok(axum::Json(ScheduleBody::new(version, &schedule)).into_response())
}

/// Deletes a schedule and its backfills; runs that they began go on.
#[utoipa::path(
    delete, path = "/schedules/{id}", tag = "schedules", operation_id = "deleteSchedule",
    responses((status = 204, description = "It is deleted")),
)]
async fn remove(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ScheduleId>,
) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    permit.delete_schedule(id, revision::expected(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a schedule: it does not fire until it is resumed.
#[utoipa::path(
    post, path = "/schedules/{id}/pause", tag = "schedules", operation_id = "pauseSchedule",
    responses((status = 200, description = "The schedule", body = ScheduleBody)),
)]
async fn pause(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ScheduleId>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    let schedule = permit.pause_schedule(id, true, revision::expected(&headers)?).await?;
    Ok(axum::Json(ScheduleBody::new(version, &schedule)).into_response())
}

/// Resumes a schedule: it fires from now on, and makes up for nothing.
#[utoipa::path(
    post, path = "/schedules/{id}/resume", tag = "schedules", operation_id = "resumeSchedule",
    responses((status = 200, description = "The schedule", body = ScheduleBody)),
)]
async fn resume(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ScheduleId>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    let schedule = permit.pause_schedule(id, false, revision::expected(&headers)?).await?;
    Ok(axum::Json(ScheduleBody::new(version, &schedule)).into_response())
}

/// Which firings that come are shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Ahead {
    /// At most so many; 10 where nothing is said.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 100)]
    count: Option<String>,
    /// Those after this time; from now on where nothing is said.
    #[param(format = DateTime)]
    after: Option<String>,
}

/// Shows the firings that come next, whether or not the schedule is paused.
#[utoipa::path(
    get, path = "/schedules/{id}/next", tag = "schedules", operation_id = "nextFirings",
    params(Ahead),
    responses((status = 200, description = "The firings", body = NextBody)),
)]
async fn next(
    caller: Caller,
    Id(id): Id<ScheduleId>,
    Query(ahead): Query<Ahead>,
) -> Result<Response, Problem> {
    let view = caller.view();
    let (schedule, _) = found(&view, id).await?;
    let count = match ahead.count.as_deref().map(str::parse::<usize>) {
        None => SHOWN,
        Some(Ok(count @ 1..=MOST_SHOWN)) => count,
        Some(_) => {
            let detail = format!("`count` is a number from 1 to {MOST_SHOWN}");
            return Err(Problem::validation(detail));
        }
    };
    let after = match ahead.after.as_deref().map(str::parse::<Timestamp>) {
        None => view.now(),
        Some(Ok(after)) => after,
        Some(Err(error)) => return Err(Problem::validation(format!("`after`: {error}"))),
    };
    Ok(axum::Json(NextBody::new(&schedule, after, count)).into_response())
}

/// Lists the backfills of a schedule.
#[utoipa::path(
    get, path = "/schedules/{id}/backfills", tag = "schedules", operation_id = "listBackfills",
    params(ListQuery),
    responses((status = 200, description = "The backfills", body = Data<BackfillBody>)),
)]
async fn backfills(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Id(id): Id<ScheduleId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let view = caller.view();
    found(&view, id).await?;
    let fetch = |page| {
        let view = view.clone();
        async move { view.backfills_page(Some(id), page).await }
    };
    let show = |it: &Backfill| json(&BackfillBody::new(version, it));
    query.answer(&uri, fetch, show).await
}

/// Begins the runs of a range of firings that lies behind, one after the other.
#[utoipa::path(
    post, path = "/schedules/{id}/backfills", tag = "schedules", operation_id = "createBackfill",
    request_body = CreateBackfill,
    responses((status = 201, description = "The backfill", body = BackfillBody)),
)]
async fn backfill(
    version: Version,
    caller: Caller,
    Id(id): Id<ScheduleId>,
    Json(body): Json<CreateBackfill>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    let backfill = permit.backfill(id, body.parse()?).await?;
    let location = format!("/{}/backfills/{}", version.as_str(), backfill.id);
    let body = axum::Json(BackfillBody::new(version, &backfill));
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}

/// Reads a backfill.
#[utoipa::path(
    get, path = "/backfills/{id}", tag = "schedules", operation_id = "getBackfill",
    responses((status = 200, description = "The backfill", body = BackfillBody)),
)]
async fn read_backfill(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<BackfillId>,
) -> Result<Response, Problem> {
    let found = caller.view().find_backfill(id).await?;
    let (backfill, revision) = found.ok_or_else(|| Problem::not_found("backfill", id))?;
    let body = axum::Json(BackfillBody::new(version, &backfill));
    Ok(revision::tagged(&headers, revision::tag(revision), body))
}

/// Ends a backfill: no firing of it comes any more; runs that it began go on.
#[utoipa::path(
    post, path = "/backfills/{id}/cancel", tag = "schedules", operation_id = "cancelBackfill",
    responses((status = 200, description = "The backfill", body = BackfillBody)),
)]
async fn cancel_backfill(
    version: Version,
    caller: Caller,
    Id(id): Id<BackfillId>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    let backfill = permit.cancel_backfill(id).await?;
    Ok(axum::Json(BackfillBody::new(version, &backfill)).into_response())
}

async fn found(view: &View, id: ScheduleId) -> Result<(Schedule, Revision), Problem> {
    let found = view.find_schedule(id).await?;
    found.ok_or_else(|| Problem::not_found("schedule", id))
}
