//! Running one output, by its name or by the id under which clients of the product know it.
//!
//! What an output does is said by its release. Clients may say it once more, as overrides: these
//! are compared, and a run that would do something else does not start.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::{DeploymentId, JobKind, OutputName, PlannedJob, ReleaseId};
use jobwright_scheduler::{Explanation, RunRequest};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Asked, created, shown, start};
use crate::auth::Caller;
use crate::body::Json;
use crate::effect::Operator;
use crate::problem::Problem;
use crate::router::Routes;
use crate::version::Version;
use crate::view::View;
use crate::wire::{Object, RunParameters, StartedGroup};
use crate::wrangled::WrangledId;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(run_output))
}

/// One output to be run: by `wrangledDataset`, or by `deployment` and `output`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunOutput {
    /// The output by its id.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = WrangledOf, required = false)]
    wrangled_dataset: Option<Object<WrangledOf>>,
    /// The deployment.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = IdOf, required = false)]
    deployment: Option<Object<IdOf>>,
    /// The output of its primary flow.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = NameOf, required = false)]
    output: Option<Object<NameOf>>,
    /// Values for this run.
    #[serde(default)]
    #[schema(value_type = Option<RunParameters>)]
    run_parameters: Option<Object<RunParameters>>,
    /// What the client believes that the output does. Nothing starts if it does something else.
    #[serde(default)]
    #[schema(value_type = Option<OutputOverrides>)]
    overrides: Option<Object<OutputOverrides>>,
    /// Only says whether it would start, and which output it is.
    #[serde(default)]
    test_mode: bool,
    /// Who asks. A run over the API is `api` whatever is said here.
    #[serde(default)]
    #[schema(pattern = "^(ui|schedule|api|cli)$")]
    ranfrom: Option<String>,
    /// No results are cached between runs, so there is nothing to update.
    #[serde(default)]
    #[expect(dead_code, reason = "both mean the same here")]
    force_cache_update: bool,
    /// Only false: a step that fails fails the job group, unless the package says otherwise.
    #[serde(default)]
    ignore_recipe_errors: bool,
    /// Only 1: an instance is one workspace.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1)]
    workspace_id: Option<i64>,
}

/// What is there is no null.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Something by its id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IdOf {
    #[schema(value_type = i64, minimum = 1, maximum = 9007199254740991_i64)]
    id: DeploymentId,
}

/// An output by its id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WrangledOf {
    #[schema(value_type = i64, minimum = 1, maximum = 9007199254740991_i64)]
    id: WrangledId,
}

/// Something by its name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NameOf {
    #[schema(value_type = String, max_length = 255, pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$")]
    name: OutputName,
}

/// What an output does, in the words of the product.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OutputOverrides {
    /// What its transforming steps run on.
    #[serde(default)]
    execution: Option<String>,
    /// Whether its results are profiled.
    #[serde(default)]
    profiler: Option<bool>,
    /// The files that it writes, in order; of each, any members of the payload.
    #[serde(default, alias = "writeSettings")]
    #[schema(value_type = Option<Vec<Object>>)]
    writesettings: Option<Vec<Map<String, Value>>>,
    /// The tables that it publishes, in order; of each, any members of the payload.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    publications: Option<Vec<Map<String, Value>>>,
}

/// What would start.
#[derive(Debug, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestedBody {
    /// The id of the output; null where ids do not reach so far.
    dataset_id: Option<i64>,
    /// Its name.
    #[schema(value_type = String)]
    dataset_name: OutputName,
    /// Always another one: nothing was started.
    #[schema(value_type = String)]
    session_id: Uuid,
}

/// The output that a request means.
struct Meant {
    deployment: DeploymentId,
    /// Where it was named by the release.
    release: Option<ReleaseId>,
    output: OutputName,
}

impl Meant {
    async fn of(body: &RunOutput, view: &View) -> Result<Self, Problem> {
        match (&body.wrangled_dataset, &body.deployment, &body.output) {
            (Some(Object(it)), None, None) => {
                let (release, output) = it.id.find(view).await?;
                let found = view.find_release(release).await?;
                let found = found.ok_or_else(|| Problem::not_found("release", release))?;
                Ok(Self { deployment: found.deployment.id, release: Some(release), output })
            }
            (None, Some(Object(deployment)), Some(Object(output))) => {
                let output = output.name.clone();
                Ok(Self { deployment: deployment.id, release: None, output })
            }
            _ => Err(Problem::at(
                "#",
                "say which output is meant: `wrangledDataset`, or `deployment` and `output`",
            )),
        }
    }

    fn select(&self, request: RunRequest) -> RunRequest {
        let request = request.outputs([self.output.clone()]);
        self.release.into_iter().fold(request, RunRequest::release)
    }
}

/// Runs one output of the active release of a deployment.
#[utoipa::path(
    post, path = "/jobGroups", tag = "jobGroups", operation_id = "runJobGroup",
    params(
        ("idempotency-key" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "The same key for the same request gives the same response"),
        ("x-execution-id" = Option<String>, Header, max_length = 250, pattern = "^[!-~]+$", description = "A repetition is answered by 304"),
        ("traceparent" = Option<String>, Header, description = "The W3C trace that the run becomes a part of"),
    ),
    request_body = RunOutput,
    responses(
        (status = 200, description = "With `testMode`: it would start", body = TestedBody),
        (status = 201, description = "The first job group that was started", body = StartedGroup),
        (status = 304, description = "The execution id was used before"),
    ),
)]
async fn run_output(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Json(mut body): Json<RunOutput>,
) -> Result<Response, Problem> {
    check_words(&body)?;
    let view = caller.view();
    let meant = Meant::of(&body, &view).await?;
    let asked = Asked::of(body.run_parameters.take().unwrap_or_default().0)?;
    if body.test_mode || body.overrides.is_some() {
        caller.permit::<Operator>(meant.deployment).await?;
        let request = meant.select(asked.on(view.to_explain(meant.deployment)));
        let explained = request.explain().await.map_err(|error| asked.refused(error))?;
        let Object(overrides) = body.overrides.unwrap_or_default();
        overrides.check(&explained)?;
        if body.test_mode {
            return tested(&view, explained.release, meant.output).await;
        }
    }
    let deployment = meant.deployment;
    let started = start(&caller, &headers, deployment, asked, |it| meant.select(it)).await?;
    let Some(handle) = started else { return Ok(StatusCode::NOT_MODIFIED.into_response()) };
    let body = shown(version, &handle).await?;
    Ok(created(version, &handle, &body.data.first()))
}

/// Refuses what would mean something that is not so here.
fn check_words(body: &RunOutput) -> Result<(), Problem> {
    if body.ignore_recipe_errors {
        let detail = "steps whose failure does not matter are `optional` in the package";
        return Err(Problem::at("#/ignoreRecipeErrors", detail));
    }
    if body.workspace_id.is_some_and(|id| id != 1) {
        return Err(Problem::at("#/workspaceId", "an instance is one workspace: 1"));
    }
    let from = body.ranfrom.as_deref();
    if from.is_some_and(|it| !["ui", "schedule", "api", "cli"].contains(&it)) {
        return Err(Problem::at("#/ranfrom", "it is one of ui, schedule, api, cli"));
    }
    Ok(())
}

async fn tested(view: &View, release: ReleaseId, output: OutputName) -> Result<Response, Problem> {
    let id = WrangledId::of(release, &view.outputs(release).await?, &output);
    #[expect(clippy::disallowed_methods, reason = "this is a door: the session of nothing")]
    let session_id = Uuid::now_v7();
    let dataset_id = id.map(WrangledId::get);
    Ok(axum::Json(TestedBody { dataset_id, dataset_name: output, session_id }).into_response())
}

impl OutputOverrides {
    /// Compares what is said with what would run.
    fn check(&self, explained: &Explanation) -> Result<(), Problem> {
        let jobs: Vec<&PlannedJob> = explained.groups.iter().flat_map(|it| &it.jobs).collect();
        let of = |kind: JobKind| jobs.iter().filter(move |job| job.kind == kind);
        if let Some(execution) = &self.execution
            && let Some(job) = of(JobKind::Wrangle).find(|job| job.executor.as_str() != execution)
        {
            return Err(other("#/overrides/execution", &json!(job.executor)));
        }
        let profiles = of(JobKind::Profile).next().is_some();
        if self.profiler.is_some_and(|said| said != profiles) {
            return Err(other("#/overrides/profiler", &json!(profiles)));
        }
        let said = [
            ("writesettings", &self.writesettings, JobKind::FileWriter),
            ("publications", &self.publications, JobKind::Publish),
        ];
        for (name, said, kind) in said {
            let Some(said) = said else { continue };
            let pointer = format!("#/overrides/{name}");
            let found: Vec<_> = of(kind).collect();
            if said.len() != found.len() {
                return Err(other(
                    &pointer,
                    &json!(found.iter().map(|it| &*it.payload).collect::<Vec<_>>()),
                ));
            }
            for (at, (said, found)) in said.iter().zip(found).enumerate() {
                let differs = |(member, value): &(&String, &Value)| {
                    let has = found.payload.get(member.as_str()).unwrap_or(&Value::Null);
                    has != *value
                };
                if let Some((member, _)) = said.iter().find(differs) {
                    let has = found.payload.get(member).unwrap_or(&Value::Null);
                    return Err(other(&format!("{pointer}/{at}/{member}"), has));
                }
            }
        }
        Ok(())
    }
}

fn other(pointer: &str, found: &Value) -> Problem {
    let detail = format!(
        "the release says {found}: leave it out, or import a release that says what you want"
    );
    Problem::at(pointer, detail)
}
