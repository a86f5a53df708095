//! Running a deployment: the heart of the API.
//!
//! A request may name itself: under the same `Idempotency-Key` it gets the same response, under the
//! same `x-execution-id` it gets 304. Both become the idempotency key of the run, which the store
//! keeps unique in the commit that makes the run.

mod output;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::parameter::{Fault, Layer, Values};
use jobwright_core::{DeploymentId, GroupId, ParameterName, Timestamp, TraceParent};
use jobwright_scheduler::{PrepareError, RerunError, RunError, RunHandle, RunRequest};
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, MaybeJson};
use crate::effect::{Again, Operator};
use crate::problem::{Place, Problem, Sort, told};
use crate::router::Routes;
use crate::version::Version;
use crate::wire::{ExplainedBody, Object, Override, RunBody, RunParameters, StartedBody};

/// Headers by which a request names itself.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(run))
        .routes(routes!(explain, explain_with))
        .routes(routes!(rerun))
        .routes(routes!(publish))
        .merge(output::routes())
}

/// How a request names itself, and so what a repetition of it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// The same response.
    Key(String),
    /// 304.
    Execution(String),
}

impl Name {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let text = |name: &HeaderName| match headers.get(name) {
            Some(value) => {
                let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
                let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
                let fits = (1..=250).contains(&text.len()) && visible;
                let detail = || format!("`{name}` has 1 to 250 visible ASCII characters");
                fits.then(|| Some(text.to_owned())).ok_or_else(|| Problem::validation(detail()))
            }
            None => Ok(None),
        };
        match (text(&IDEMPOTENCY_KEY)?, text(&EXECUTION_ID)?) {
            (None, None) => Ok(None),
            (Some(key), None) => Ok(Some(Self::Key(key))),
            (None, Some(id)) => Ok(Some(Self::Execution(id))),
            (Some(_), Some(_)) => {
                Err(Problem::validation("give `idempotency-key` or `x-execution-id`, not both"))
            }
        }
    }

    /// The run's idempotency key: the two sorts of names never meet.
    fn to_key(&self) -> String {
        match self {
            Self::Key(key) => format!("key:{key}"),
            Self::Execution(id) => format!("exe:{id}"),
        }
    }
}

/// A run's idempotency key as the client gave it.
pub(crate) fn shown_key(key: &str) -> &str {
    key.strip_prefix("key:").or_else(|| key.strip_prefix("exe:")).unwrap_or(key)
}

/// Runs the manual outputs of the primary flow of the active release.
#[utoipa::path(
    post, path = "/deployments/{id}/run", tag = "deployments", operation_id = "runDeployment",
    params(
        ("idempotency-key" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "The same key for the same request gives the same response"),
        ("x-execution-id" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "A repetition is answered by 304"),
        ("traceparent" = Option<String>, Header, description = "The W3C trace that the run becomes a part of"),
    ),
    request_body = Option<RunBody>,
    responses(
        (status = 201, description = "The job groups that were started", body = StartedBody),
        (status = 304, description = "The execution id was used before"),
    ),
)]
async fn run(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<DeploymentId>,
    MaybeJson(body): MaybeJson<RunBody>,
) -> Result<Response, Problem> {
    let asked = Asked::of(body.run_parameters.unwrap_or_default().0)?;
    let started = start(&caller, &headers, id, asked, |request| request).await?;
    let Some(handle) = started else { return Ok(StatusCode::NOT_MODIFIED.into_response()) };
    let body = shown(version, &handle).await?;
    Ok(created(version, &handle, &body))
}

/// Runs again what did not succeed in a job group that failed or was cancelled: a new run of one
/// job group, of the same release with the same parameters.
#[utoipa::path(
    post, path = "/jobGroups/{id}/rerun", tag = "jobGroups", operation_id = "rerunJobGroup",
    params(
        ("idempotency-key" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "The same key for the same request gives the same response"),
        ("x-execution-id" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "A repetition is answered by 304"),
    ),
    responses(
        (status = 201, description = "The job group that was started", body = StartedBody),
        (status = 304, description = "The execution id was used before"),
    ),
)]
async fn rerun(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<GroupId>,
) -> Result<Response, Problem> {
    again(version, &caller, &headers, id, Again::WhatFailed).await
}

/// Publishes the results of a job group again: a new run of one job group, in which the jobs that
/// publish run, with what needs them and what did not succeed, and no others.
#[utoipa::path(
    put, path = "/jobGroups/{id}/publish", tag = "jobGroups", operation_id = "publishJobGroup",
    params(
        ("idempotency-key" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "The same key for the same request gives the same response"),
        ("x-execution-id" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "A repetition is answered by 304"),
    ),
    responses(
        (status = 201, description = "The job group that was started", body = StartedBody),
        (status = 304, description = "The execution id was used before"),
    ),
)]
async fn publish(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<GroupId>,
) -> Result<Response, Problem> {
    again(version, &caller, &headers, id, Again::Publications).await
}

/// Runs some jobs of a group again.
async fn again(
    version: Version,
    caller: &Caller,
    headers: &HeaderMap,
    id: GroupId,
    what: Again,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    let name = Name::of(headers)?;
    let answer = match permit.again(id, what, name.as_ref().map(Name::to_key).as_deref()).await {
        Ok(handle) => Ok(handle),
        Err(RerunError::Run(error)) => Err(error),
        Err(error) => return Err(error.into()),
    };
    let started = named(answer, name, Problem::from)?;
    let Some(handle) = started else { return Ok(StatusCode::NOT_MODIFIED.into_response()) };
    let body = shown(version, &handle).await?;
    Ok(created(version, &handle, &body))
}

/// Asks for the run; none where it was asked for before and the client wants to know just that.
async fn start(
    caller: &Caller,
    headers: &HeaderMap,
    id: DeploymentId,
    asked: Asked,
    select: impl FnOnce(RunRequest) -> RunRequest,
) -> Result<Option<RunHandle>, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    let name = Name::of(headers)?;
    let key = name.as_ref().map(Name::to_key);
    let trace = traceparent(headers);
    let handle = permit
        .run(id, |request| {
            let request = select(asked.on(request));
            let request = key.iter().fold(request, |request, key| request.idempotency_key(key));
            trace.into_iter().fold(request, RunRequest::traceparent)
        })
        .await;
    named(handle, name, |error| asked.refused(error))
}

/// What a request that may have named itself gets; none where the run was asked for before and the
/// client wants to know just that.
fn named(
    answer: Result<RunHandle, RunError>,
    name: Option<Name>,
    refused: impl FnOnce(RunError) -> Problem,
) -> Result<Option<RunHandle>, Problem> {
    match (answer, name) {
        (Ok(handle), Some(Name::Execution(_))) if handle.replayed() => Ok(None),
        (Err(RunError::KeyReused { .. }), Some(Name::Execution(_))) => Ok(None),
        (Ok(handle), _) => Ok(Some(handle)),
        (Err(RunError::KeyReused { run, .. }), Some(Name::Key(key))) => {
            let detail = format!(
                "idempotency key `{key}` belongs to run {run}, which was another request: use a new key"
            );
            Err(Problem::new(Sort::KeyReused, detail))
        }
        (Err(error), _) => Err(refused(error)),
    }
}

/// The trace that a request is a part of. As the standard has it, one that cannot be read is as if
/// there were none; so are two.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all(&TRACEPARENT).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    only.to_str().ok()?.trim().parse().ok()
}

async fn shown(version: Version, handle: &RunHandle) -> Result<StartedBody, Problem> {
    match version {
        Version::V3 => Ok(StartedBody::new(version, handle.run(), &[])),
        Version::V4 => Ok(StartedBody::new(version, handle.run(), &handle.plans().await?)),
    }
}

fn created(version: Version, handle: &RunHandle, body: &impl serde::Serialize) -> Response {
    let location = format!("/{}/flowRuns/{}", version.as_str(), handle.id());
    let mut response =
        (StatusCode::CREATED, [(LOCATION, location)], axum::Json(body)).into_response();
    if handle.replayed() {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Says what a run would start, and where each value would come from. Nothing starts.
#[utoipa::path(
    get, path = "/deployments/{id}/explain", tag = "deployments", operation_id = "explainRun",
    responses((status = 200, description = "What a run would do", body = ExplainedBody)),
)]
async fn explain(
    State(_): State<App>,
    caller: Caller,
    Id(id): Id<DeploymentId>,
) -> Result<Response, Problem> {
    explained(&caller, id, Asked::default()).await
}

/// Says what a run with these values would start. Nothing starts.
#[utoipa::path(
    post, path = "/deployments/{id}/explain", tag = "deployments", operation_id = "explainRunWith",
    request_body = Option<RunBody>,
    responses((status = 200, description = "What the run would do", body = ExplainedBody)),
)]
async fn explain_with(
    caller: Caller,
    Id(id): Id<DeploymentId>,
    MaybeJson(body): MaybeJson<RunBody>,
) -> Result<Response, Problem> {
    let asked = Asked::of(body.run_parameters.unwrap_or_default().0)?;
    explained(&caller, id, asked).await
}

async fn explained(caller: &Caller, id: DeploymentId, asked: Asked) -> Result<Response, Problem> {
    let request = asked.on(caller.view().to_explain(id));
    let explanation = request.explain().await.map_err(|error| asked.refused(error))?;
    Ok(axum::Json(ExplainedBody::new(&explanation)).into_response())
}

/// What a request asks of a run: values by name, and what "now" means.
#[derive(Debug, Default)]
struct Asked {
    values: Values,
    /// The names in the order of the request, to find their places.
    order: Vec<ParameterName>,
    reference_date: Option<Timestamp>,
}

impl Asked {
    fn of(parameters: RunParameters) -> Result<Self, Problem> {
        let mut asked = Self::default();
        if let Some(text) = &parameters.reference_date {
            let date = text.parse().map_err(|error: jobwright_core::TimestampError| {
                Problem::at("#/runParameters/referenceDate", told(&error))
            })?;
            asked.reference_date = Some(date);
        }
        let overrides = parameters.overrides.unwrap_or_default().0.data;
        for (at, Object(Override { key, value })) in overrides.into_iter().enumerate() {
            let name = ParameterName::new(&key).map_err(|error| place(at, "key", &error))?;
            if asked.values.insert(name.clone(), value).is_some() {
                let pointer = format!("#/runParameters/overrides/data/{at}/key");
                return Err(Problem::at(pointer, format!("parameter `{name}` is given twice")));
            }
            asked.order.push(name);
        }
        Ok(asked)
    }

    fn on(&self, request: RunRequest) -> RunRequest {
        let request = request.parameters(self.values.clone());
        match self.reference_date {
            Some(date) => request.reference_date(date),
            None => request,
        }
    }

    /// The problem, with the places of wrong values in the body.
    fn refused(&self, error: RunError) -> Problem {
        let RunError::Prepare(PrepareError::Parameters(faults)) = &error else {
            return error.into();
        };
        let places = faults.faults.iter().map(|fault| {
            let at = self
                .at(fault)
                .map(|(at, member)| format!("#/runParameters/overrides/data/{at}/{member}"));
            Place { pointer: at, detail: told(fault) }
        });
        let places = places.collect();
        Problem::validation(faults.to_string()).errors(places)
    }

    fn at(&self, fault: &Fault) -> Option<(usize, &'static str)> {
        let (name, member) = match fault {
            Fault::Unknown { name, layer: Layer::Run, .. }
            | Fault::Locked { name, layer: Layer::Run, .. } => (name, "key"),
            Fault::Value { name, layer: Layer::Run, .. } => (name, "value"),
            _ => return None,
        };
        Some((self.order.iter().position(|it| it == name)?, member))
    }
}

fn place(at: usize, member: &str, error: &jobwright_core::NameError) -> Problem {
    Problem::at(format!("#/runParameters/overrides/data/{at}/{member}"), told(error))
}
