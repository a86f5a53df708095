//! Streams of events: what is kept comes first, then what happens. A reader that falls behind is
//! told so, and one that comes back goes on where it was.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use jobwright_core::{Event, GroupId, ID_LIMIT, JobId, Seq, Timestamp};
use jobwright_scheduler::{Notice, Subscription};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Query};
use crate::lease::Lease;
use crate::problem::Problem;
use crate::quota::OpenStream;
use crate::router::Routes;
use crate::view::View;
use crate::wire::{EventBody, ServerSentEvent};

/// After how many milliseconds a reader should come back.
const RETRY: u64 = 2_000;

/// How many groups' first jobs a stream of all groups remembers.
const MOST_REMEMBERED: usize = 10_000;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(of_group)).routes(routes!(all))
}

/// Streams the events of a job group, from its beginning or from after `Last-Event-ID`. Ends with
/// `bye` when the group has ended.
#[utoipa::path(
    get, path = "/jobGroups/{id}/events", tag = "events", operation_id = "streamJobGroupEvents",
    params(("last-event-id" = Option<i64>, Header, minimum = 0, maximum = 9007199254740991_i64, description = "Where the reader was")),
    responses((status = 200, description = "Server-sent events: `jobGroup`, `job`, `progress`, `log`, `gap`, `bye`", content_type = "text/event-stream", body = ServerSentEvent)),
)]
async fn of_group(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<GroupId>,
) -> Result<Response, Problem> {
    group_stream(&app, &caller, &headers, id).await
}

/// Which events are streamed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct Which {
    /// Only those of this job group.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    job_group: Option<String>,
}

/// Streams what happens from now on in all job groups, whichever node drives them. A reader that
/// comes back gets a `gap` first, since there is no order over all groups to go on from.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "streamEvents",
    params(Which),
    responses((status = 200, description = "Server-sent events: `jobGroup`, `job`, `progress`, `log`, `gap`, `bye`", content_type = "text/event-stream", body = ServerSentEvent)),
)]
async fn all(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    if let Some(group) = &which.job_group {
        let group = group.parse::<GroupId>();
        let group = group.map_err(|error| Problem::validation(error.to_string()))?;
        return group_stream(&app, &caller, &headers, group).await;
    }
    let mut reader = Reader::open(&app, &caller, None)?;
    reader.heard.ready().await;
    if headers.contains_key("last-event-id") {
        reader.lines.push_back(gap(0));
    }
    Ok(reader.respond(&app))
}

async fn group_stream(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    id: GroupId,
) -> Result<Response, Problem> {
    let last = match headers.get("last-event-id").map(|it| it.to_str().unwrap_or_default()) {
        Some(text) => {
            let id = text.parse::<u64>().ok().filter(|id| *id < ID_LIMIT.unsigned_abs());
            let wrong = "`last-event-id` is the id of an event of this stream";
            id.ok_or_else(|| Problem::validation(wrong))?
        }
        None => 0,
    };
    let mut reader = Reader::open(app, caller, Some(id))?;
    let group = caller.view().group(id).await?;
    reader.first.insert(id, group.plan.first_job);
    reader.next = Seq(last.saturating_add(1));
    reader.catch_up().await?;
    if reader.lines.is_empty() && group.status.is_terminal() {
        reader.bye("ended");
    }
    Ok(reader.respond(app))
}

/// One reader of a stream.
struct Reader {
    view: View,
    heard: Subscription,
    /// The only group that is read, if it is one.
    group: Option<GroupId>,
    /// The next position in the journal of the only group.
    next: Seq,
    first: HashMap<GroupId, JobId>,
    lines: VecDeque<Line>,
    done: bool,
    lease: Lease,
    lagged: std::sync::Arc<crate::metrics::Metrics>,
    _open: OpenStream,
}

impl Reader {
    fn open(app: &App, caller: &Caller, group: Option<GroupId>) -> Result<Self, Problem> {
        let open = app.0.quotas.open(caller.token(), app.options().streams)?;
        let view = caller.view();
        // First listen, then look: what happens between the two is heard.
        let heard = view.subscribe(group);
        Ok(Self {
            view,
            heard,
            group,
            next: Seq(1),
            first: HashMap::new(),
            lines: VecDeque::new(),
            done: false,
            lease: Lease::of_stream(app, caller),
            lagged: std::sync::Arc::clone(&app.0.metrics),
            _open: open,
        })
    }

    fn respond(self, app: &App) -> Response {
        let keep_alive = KeepAlive::new().interval(app.options().keep_alive).text("alive");
        let mut response = Sse::new(self.stream()).keep_alive(keep_alive).into_response();
        let headers = response.headers_mut();
        let cache = HeaderValue::from_static("no-cache, no-transform");
        headers.insert(axum::http::header::CACHE_CONTROL, cache);
        let buffering = HeaderName::from_static("x-accel-buffering");
        headers.insert(buffering, HeaderValue::from_static("no"));
        response
    }

    fn stream(self) -> impl Stream<Item = Result<Line, Infallible>> {
        futures_util::stream::unfold(self, |mut reader| async move {
            let line = reader.line().await?;
            Some((Ok(line), reader))
        })
    }

    /// The next line; none after the last.
    async fn line(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.done {
                return None;
            }
            tokio::select! {
                biased;
                over = self.lease.over() => self.bye(over.word()),
                notice = self.heard.next() => match notice {
                    Some(notice) => self.hear(notice).await,
                    None => self.bye("stopped"),
                },
            }
        }
    }

    async fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Event { group, seq, at, event } => {
                if self.group.is_some() && seq < self.next {
                    return;
                }
                self.tell(group, seq, at, &event).await;
            }
            Notice::Gap { missed } => {
                self.lagged.lagged(missed);
                self.lines.push_back(gap(missed));
                if self.catch_up().await.is_err() {
                    self.bye("failed");
                }
            }
            Notice::Progress { group, attempt, percent, words } => {
                let body = json!({
                    "jobGroupId": group, "jobId": attempt.job, "attempt": attempt.number,
                    "percent": percent, "message": &*words,
                });
                self.lines.push_back(line("progress", &body));
            }
            Notice::Log { group, attempt, line: text } => {
                let body = json!({
                    "jobGroupId": group, "jobId": attempt.job, "attempt": attempt.number,
                    "line": &*text,
                });
                self.lines.push_back(line("log", &body));
            }
            _ => {}
        }
    }

    /// Reads what is kept of the only group from where the reader is.
    async fn catch_up(&mut self) -> Result<(), Problem> {
        let Some(group) = self.group else { return Ok(()) };
        for entry in self.view.history(group, self.next).await? {
            self.tell(group, entry.seq, entry.at, &entry.event).await;
        }
        Ok(())
    }

    async fn tell(&mut self, group: GroupId, seq: Seq, at: Timestamp, event: &Event) {
        let first = self.first_job(group, event).await;
        let body = crate::wire::json(&EventBody::new(group, first, seq, at, event));
        let name = if event.job().is_some() { "job" } else { "jobGroup" };
        let id = match self.group {
            Some(_) => seq.0.to_string(),
            None => format!("{group}-{}", seq.0),
        };
        self.lines.push_back(line(name, &body).id(id));
        if self.group.is_some() {
            self.next = Seq(seq.0 + 1);
        }
        if let Event::GroupEnded { .. } = event {
            self.first.remove(&group);
            if self.group.is_some() {
                self.bye("ended");
            }
        }
    }

    /// The first job of a group, by which places become ids.
    async fn first_job(&mut self, group: GroupId, event: &Event) -> Option<JobId> {
        if let Event::Accepted { plan } = event {
            self.first.insert(group, plan.first_job);
        }
        if let Some(first) = self.first.get(&group) {
            return Some(*first);
        }
        event.job()?;
        let run = self.view.summary(group).await.ok()?.run;
        let run = self.view.find_run(run).await.ok()??;
        let first = run.run().groups.iter().find(|it| it.id == group)?.first_job;
        if self.first.len() >= MOST_REMEMBERED {
            self.first.clear();
        }
        self.first.insert(group, first);
        Some(first)
    }

    fn bye(&mut self, reason: &str) {
        self.lines.push_back(line("bye", &json!({ "reason": reason })));
        self.done = true;
    }
}

fn line(name: &str, body: &serde_json::Value) -> Line {
    Line::default()
        .event(name)
        .retry(std::time::Duration::from_millis(RETRY))
        .data(body.to_string())
}

fn gap(missed: u64) -> Line {
    line("gap", &json!({ "missed": missed }))
}
