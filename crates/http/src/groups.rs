//! Job groups: listed, watched, cancelled, and what they read and write.

mod pdf;
mod results;

use axum::extract::{OriginalUri, State};
use axum::http::Uri;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use jobwright_core::{
    DeploymentId, GroupId, GroupSummary, OutputTrigger, Run, RunId, Status, StoreError, TokenId,
};
use jobwright_scheduler::Page;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::along::Along;
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Query};
use crate::effect::{Operator, Permit};
use crate::list::{ListQuery, Listed};
use crate::problem::Problem;
use crate::revision;
use crate::router::Routes;
use crate::shape::{self, Embed};
use crate::version::Version;
use crate::view::View;
use crate::wait::{self, Wait};
use crate::wire::{CanceledBody, Data, GroupBody, JobBody, json as json_of};

/// What can be shown along with a job group.
pub(crate) const ASSOCIATIONS: [(&str, &[&str]); 7] = [
    ("jobs", &["jobGroup", "creator"]),
    ("creator", &[]),
    ("updater", &[]),
    ("flowrun", &[]),
    ("wrangledDataset", &[]),
    ("deployment", &[]),
    ("release", &[]),
];

/// The most groups that one request cancels.
const MOST_CANCELED: u32 = 1_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(library))
        .routes(routes!(count))
        .routes(routes!(cancel_all))
        .routes(routes!(read))
        .routes(routes!(status))
        .routes(routes!(jobs))
        .routes(routes!(cancel))
        .merge(results::routes())
}

/// A job group on its way into a list, with its run where that is looked at.
struct Group {
    summary: GroupSummary,
    run: Option<Run>,
}

impl Listed for Group {
    fn id(&self) -> i64 {
        self.summary.id.get()
    }
}

/// Which job groups are meant.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct Which {
    /// Only those of this status.
    #[param(pattern = "^(Created|InProgress|Complete|Failed|Canceled)$")]
    status: Option<String>,
    /// Only those of this deployment.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    deployment_id: Option<String>,
    /// Only those of this run.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    flow_run_id: Option<String>,
    /// Only those accepted at this time or later, in milliseconds since the Unix epoch.
    #[serde(rename = "dateFilter[createdAt][gte]")]
    #[param(value_type = Option<i64>)]
    created_from: Option<String>,
    /// Only those that were started so: runs over the API are `api`, whatever they said of
    /// themselves.
    #[param(pattern = "^(ui|schedule|api|cli)$")]
    ranfrom: Option<String>,
    /// Only those that were started for this: all are `recipe`.
    ranfor: Option<String>,
    /// Only those of the token that asks: `currentUser`; `all` is what holds where nothing is said.
    #[param(pattern = "^(all|currentUser)$")]
    run_by: Option<String>,
}

/// The same, understood.
struct Filter {
    status: Option<Status>,
    deployment: Option<DeploymentId>,
    run: Option<RunId>,
    from: Option<i64>,
    trigger: Option<OutputTrigger>,
    /// The token of those that are meant, where only one's are.
    by: Option<Option<TokenId>>,
    /// None is meant: there are no such groups.
    nothing: bool,
}

impl Which {
    fn parse(&self, caller: &Caller) -> Result<Filter, Problem> {
        let wrong = |error: &dyn std::fmt::Display| Problem::validation(error.to_string());
        let status = self.status.as_deref().map(word).transpose()?;
        let deployment = self.deployment_id.as_deref().map(str::parse).transpose();
        let run = self.flow_run_id.as_deref().map(str::parse).transpose();
        let from = self.created_from.as_deref().map(str::parse::<i64>).transpose();
        Ok(Filter {
            status,
            deployment: deployment.map_err(|error| wrong(&error))?,
            run: run.map_err(|error| wrong(&error))?,
            from: from.map_err(|error| wrong(&error))?,
            trigger: match self.ranfrom.as_deref() {
                Some("api") => Some(OutputTrigger::Manual),
                Some("schedule") => Some(OutputTrigger::Scheduled),
                Some("ui" | "cli") | None => None,
                Some(other) => {
                    let detail =
                        format!("`ranfrom` is one of ui, schedule, api, cli, not `{other}`");
                    return Err(Problem::validation(detail));
                }
            },
            by: match self.run_by.as_deref() {
                None | Some("all") => None,
                Some("currentUser") => Some(caller.token()),
                Some(other) => {
                    let detail = format!("`runBy` is `all` or `currentUser`, not `{other}`");
                    return Err(Problem::validation(detail));
                }
            },
            nothing: matches!(self.ranfrom.as_deref(), Some("ui" | "cli"))
                || self.ranfor.as_ref().is_some_and(|it| it.split(',').all(|it| it != "recipe")),
        })
    }
}

fn word(text: &str) -> Result<Status, Problem> {
    let all =
        [Status::Created, Status::InProgress, Status::Complete, Status::Failed, Status::Canceled];
    let found = all.into_iter().find(|status| status.as_str() == text);
    let words = all.map(Status::as_str).join(", ");
    found.ok_or_else(|| Problem::validation(format!("`status` is one of {words}, not `{text}`")))
}

impl Filter {
    /// Whether the runs of groups must be known to say what is meant.
    fn looks_at_runs(&self) -> bool {
        self.trigger.is_some() || self.by.is_some()
    }

    fn takes(&self, group: &Group) -> bool {
        let Group { summary, run } = group;
        let of_run = |is: &dyn Fn(&Run) -> bool| run.as_ref().is_some_and(is);
        !self.nothing
            && self.status.is_none_or(|status| summary.status == status)
            && self.deployment.is_none_or(|id| summary.deployment == id)
            && self.run.is_none_or(|id| summary.run == id)
            && self.from.is_none_or(|from| summary.created_at.as_millis() >= from)
            && self.trigger.is_none_or(|trigger| of_run(&|run| run.trigger == trigger))
            && self.by.is_none_or(|by| of_run(&|run| run.created_by == by))
    }
}

/// Job groups with their runs, or without them where nobody looks at those.
async fn with_runs(
    view: &View,
    groups: Vec<GroupSummary>,
    looks_at_runs: bool,
) -> Result<Vec<Group>, StoreError> {
    let mut all: Vec<Group> = Vec::with_capacity(groups.len());
    for summary in groups {
        // The groups of a run come one after the other.
        let known = all.last().and_then(|it| it.run.clone()).filter(|run| run.id == summary.run);
        let run = match known {
            None if looks_at_runs => view.find_run(summary.run).await?.map(|it| it.run().clone()),
            known => known,
        };
        all.push(Group { summary, run });
    }
    Ok(all)
}

/// Lists job groups.
#[utoipa::path(
    get, path = "/jobGroups", tag = "jobGroups", operation_id = "listJobGroups",
    params(ListQuery, Which),
    responses((status = 200, description = "The job groups", body = Data<GroupBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    listed(version, &caller, &uri, query, &which).await
}

/// Lists job groups, by the name that newer clients use.
#[utoipa::path(
    get, path = "/jobLibrary", tag = "jobGroups", operation_id = "listJobLibrary",
    params(ListQuery, Which),
    responses((status = 200, description = "The job groups", body = Data<GroupBody>)),
)]
async fn library(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    listed(version, &caller, &uri, query, &which).await
}

/// Counts job groups.
#[utoipa::path(
    get, path = "/jobLibrary/count", tag = "jobGroups", operation_id = "countJobLibrary",
    params(Which),
    responses((status = 200, description = "How many there are", body = Object)),
)]
async fn count(caller: Caller, Query(which): Query<Which>) -> Result<Response, Problem> {
    let (view, filter) = (caller.view(), which.parse(&caller)?);
    let (mut page, mut count) = (Page::oldest(1_000), 0_usize);
    loop {
        let groups = view.groups_page(filter.run, page).await?;
        let groups = with_runs(&view, groups, filter.looks_at_runs()).await?;
        count += groups.iter().filter(|group| filter.takes(group)).count();
        match groups.last() {
            Some(last) if groups.len() == 1_000 => page = page.after(last.id()),
            Some(_) | None => return Ok(axum::Json(json!({ "count": count })).into_response()),
        }
    }
}

async fn listed(
    version: Version,
    caller: &Caller,
    uri: &Uri,
    mut query: ListQuery,
    which: &Which,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "jobGroups", &ASSOCIATIONS)?;
    query.filter_fields.get_or_insert_with(|| "id,name".to_owned());
    let (view, filter) = (caller.view(), which.parse(caller)?);
    let (of, looks_at_runs) = (filter.run, filter.looks_at_runs() || query.looks_inside());
    let fetch = |page| {
        let view = view.clone();
        async move { with_runs(&view, view.groups_page(of, page).await?, looks_at_runs).await }
    };
    let show = |it: &Group| json_of(&GroupBody::new(version, &it.summary, it.run.as_ref()));
    let slice = query.parse()?.slice(fetch, |it| filter.takes(it), show).await?;
    let mut along = Along::default();
    let mut items = Vec::with_capacity(slice.items.len());
    for group in &slice.items {
        items.push(shown(version, &view, &group.summary, &embed, &mut along).await?);
    }
    Ok(slice.respond(items, uri, &query))
}

/// Reads a job group.
#[utoipa::path(
    get, path = "/jobGroups/{id}", tag = "jobGroups", operation_id = "getJobGroup",
    params(("embed" = Option<String>, Query), ("fields" = Option<String>, Query), Wait),
    responses((status = 200, description = "The job group", body = GroupBody)),
)]
async fn read(
    version: Version,
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<GroupId>,
    Query(query): Query<ListQuery>,
    Query(wait): Query<Wait>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "jobGroups", &ASSOCIATIONS)?;
    let view = caller.view();
    let group = wait::summary(&app, &caller, id, &wait).await?;
    let body = shown(version, &view, &group, &embed, &mut Along::default()).await?;
    Ok(revision::by_content(&headers, &shape::pick(body, query.fields.as_deref())))
}

/// Says how far a job group is, in a bare word.
#[utoipa::path(
    get, path = "/jobGroups/{id}/status", tag = "jobGroups", operation_id = "getJobGroupStatus",
    params(Wait),
    responses((status = 200, description = "The status", body = String, content_type = "application/json")),
)]
async fn status(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<GroupId>,
    Query(wait): Query<Wait>,
) -> Result<Response, Problem> {
    Ok(bare(wait::status(&app, &caller, id, &wait).await?))
}

/// A status as a bare JSON string; whether it is final stands in a header.
pub(crate) fn bare(status: Status) -> Response {
    let terminal = if status.is_terminal() { "true" } else { "false" };
    let header = (HeaderName::from_static("x-terminal"), HeaderValue::from_static(terminal));
    ([header], axum::Json(status.as_str())).into_response()
}

/// Lists the jobs of a group, in an order in which they can run.
#[utoipa::path(
    get, path = "/jobGroups/{id}/jobs", tag = "jobGroups", operation_id = "listJobsOfJobGroup",
    responses((status = 200, description = "The jobs", body = Data<JobBody>)),
)]
async fn jobs(version: Version, caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let view = caller.view();
    let group = view.group(id).await?;
    let run = view.find_run(group.plan.run.run).await?;
    let by = run.as_ref().and_then(|run| run.run().created_by);
    let jobs = group.jobs.iter().map(|job| JobBody::new(version, &group, job, by));
    Ok(axum::Json(Data { data: jobs.collect() }).into_response())
}

/// Cancels a job group. Does nothing to one that is over.
#[utoipa::path(
    post, path = "/jobGroups/{id}/cancel", tag = "jobGroups", operation_id = "cancelJobGroup",
    responses((status = 200, description = "The jobs that had not ended", body = CanceledBody)),
)]
async fn cancel(caller: Caller, Id(id): Id<GroupId>) -> Result<Response, Problem> {
    let permit = caller.permit::<Operator>(id).await?;
    Ok(axum::Json(canceled(&permit, &caller.view(), id).await?).into_response())
}

/// Cancels every job group that is not over and that the query means.
#[utoipa::path(
    post, path = "/jobGroups/cancel", tag = "jobGroups", operation_id = "cancelJobGroups",
    params(Which),
    responses((status = 200, description = "What was cancelled", body = Data<CanceledBody>)),
)]
async fn cancel_all(caller: Caller, Query(which): Query<Which>) -> Result<Response, Problem> {
    let nothing = jobwright_core::Key { kind: jobwright_core::Kind::Group, id: 0 };
    let permit = caller.permit::<Operator>(nothing).await?;
    let (view, filter) = (caller.view(), which.parse(&caller)?);
    let live = view.live_groups_page(Page::oldest(MOST_CANCELED)).await?;
    let live = with_runs(&view, live, filter.looks_at_runs()).await?;
    let mut done = Vec::new();
    for group in live.iter().filter(|group| filter.takes(group)) {
        done.push(canceled(&permit, &view, group.summary.id).await?);
    }
    Ok(axum::Json(Data { data: done }).into_response())
}

async fn canceled(
    permit: &Permit<Operator>,
    view: &View,
    id: GroupId,
) -> Result<CanceledBody, Problem> {
    let group = view.group(id).await?;
    let live = group.jobs.iter().filter(|job| !job.status.is_terminal());
    let job_ids = live.map(|job| job.id.get()).collect();
    if !group.status.is_terminal() {
        permit.cancel(id).await?;
    }
    Ok(CanceledBody { job_ids, group: id.get() })
}

pub(crate) async fn shown(
    version: Version,
    view: &View,
    group: &GroupSummary,
    embed: &Embed,
    along: &mut Along,
) -> Result<Value, Problem> {
    let run = along.run(view, group.run).await?;
    let run = run.as_ref();
    let output = along.wrangled(view, group, run).await?;
    let id = output.as_ref().map(|(id, _)| *id);
    let mut body = GroupBody::new(version, group, run).with_output(version, id);
    if embed.has("jobs") {
        let it = view.group(group.id).await?;
        let by = run.and_then(|run| run.created_by);
        let jobs = it.jobs.iter().map(|job| JobBody::new(version, &it, job, by));
        let jobs = embed.arrange("jobs", jobs.map(|job| json_of(&job)).collect());
        body = body.with_jobs(version, &it.plan, &jobs);
        let profile =
            |job: &jobwright_core::PlannedJob| job.kind == jobwright_core::JobKind::Profile;
        body.profiling_enabled = Some(it.plan.jobs.iter().any(profile));
    }
    let mut body = json_of(&body);
    if let Some((id, name)) = output.filter(|_| embed.has("wrangledDataset")) {
        let of = json!({ "id": group.deployment });
        body["wrangledDataset"] =
            json!({ "id": id.get(), "name": name, "wrangled": true, "flow": of });
    }
    if let Some(run) = run.filter(|_| embed.has("flowrun")) {
        body["flowrun"] = crate::runs::bare(version, view, run).await?;
    }
    crate::runs::with_owners(version, view, embed, group.deployment, group.release, &mut body)
        .await?;
    Ok(body)
}
