//! Logs of jobs: read in parts, or followed while they are written. Where they come from is the
//! embedder's business, see [`LogSource`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use jobwright_core::{AttemptId, JobId, Timestamp};
use jobwright_scheduler::GroupView;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Query};
use crate::lease::Lease;
use crate::list::truth;
use crate::problem::{Problem, Sort, told};
use crate::quota::OpenStream;
use crate::router::Routes;
use crate::view::View;

/// How many lines are read where nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 1_000;
const MOST: u32 = 10_000;

/// How often a log that is followed is looked at.
const PACE: Duration = Duration::from_millis(500);

/// Where the logs of attempts are.
#[async_trait]
pub trait LogSource: Send + Sync + 'static {
    /// Reads the lines of an attempt whose numbers come after `after`, in order, at most `limit`.
    /// Nothing for an attempt that has no log. Cancel safe.
    async fn read(
        &self,
        attempt: AttemptId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogLine>, LogSourceError>;
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// Its number in the attempt's log, from 1, growing; some may be missing.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it: `out`, `err`, or `engine`.
    pub stream: &'static str,
    /// The line, without its end.
    pub text: String,
}

impl LogLine {
    /// Makes a line.
    #[must_use]
    pub fn new(seq: u64, at: Timestamp, stream: &'static str, text: impl Into<String>) -> Self {
        Self { seq, at, stream, text: text.into() }
    }
}

/// A log cannot be read.
#[derive(Debug, Error)]
#[error("the log of attempt {attempt} cannot be read")]
pub struct LogSourceError {
    /// Whose log.
    pub attempt: AttemptId,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(logs))
}

/// Which part of a log.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Part {
    /// The number of the attempt; the last one where nothing is said.
    #[param(value_type = Option<i32>, minimum = 1)]
    attempt: Option<String>,
    /// Only lines after this number.
    #[param(value_type = Option<i64>, minimum = 0)]
    after: Option<String>,
    /// At most so many lines; 1,000 where nothing is said, 10,000 at most.
    #[param(value_type = Option<i32>, minimum = 1)]
    limit: Option<String>,
    /// Stream the lines as they are written, until the attempt ends: `true`.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
}

/// Reads the log of a job's attempt.
#[utoipa::path(
    get, path = "/jobs/{id}/logs", tag = "jobs", operation_id = "getJobLogs",
    params(Part),
    responses((status = 200, description = "Lines: `seq`, `at`, `stream`, `text`; server-sent events `log` and `bye` where they are followed", content(
        (Object = "application/json"), (String = "text/event-stream"),
    ))),
)]
async fn logs(
    State(app): State<App>,
    caller: Caller,
    Id(job): Id<JobId>,
    Query(part): Query<Part>,
) -> Result<Response, Problem> {
    let number = |name: &str, text: &Option<String>| {
        let wrong = || Problem::validation(format!("`{name}` is a whole number"));
        text.as_deref().map(|text| text.parse::<u32>().map_err(|_| wrong())).transpose()
    };
    let limit = number("limit", &part.limit)?.unwrap_or(DEFAULT_LIMIT).clamp(1, MOST);
    let after = part.after.as_deref().map(str::parse::<u64>).transpose();
    let after = after.map_err(|_| Problem::validation("`after` is the number of a line"))?;
    let (wanted, view) = (number("attempt", &part.attempt)?, caller.view());
    let (job, number, _) = attempt(&view, job, wanted).await?;
    let Some(source) = app.options().logs.clone() else {
        return Err(Problem::new(Sort::NotFound, "this server keeps no logs"));
    };
    let attempt = AttemptId { job, number };
    if truth("follow", part.follow.as_deref())? {
        let open = app.0.quotas.open(caller.token(), app.options().streams)?;
        let follower = Follower {
            source,
            view,
            attempt,
            after: after.unwrap_or(0),
            lines: VecDeque::new(),
            done: false,
            lease: Lease::of_stream(&app, &caller),
            _open: open,
        };
        let keep_alive = KeepAlive::new().interval(app.options().keep_alive).text("alive");
        return Ok(Sse::new(follower.stream()).keep_alive(keep_alive).into_response());
    }
    let lines = source.read(attempt, after.unwrap_or(0), limit).await?;
    let data: Vec<_> = lines.iter().map(shown).collect();
    let body = json!({ "attempt": number, "data": data });
    Ok(axum::Json(body).into_response())
}

impl From<LogSourceError> for Problem {
    fn from(error: LogSourceError) -> Self {
        tracing::error!(error = told(&error), "a log cannot be read");
        Self::new(Sort::Internal, error.to_string())
    }
}

/// The number of a job's attempt, the last one where none is named, and whether it has ended. The
/// attempts of a job that a re-run did not run again are those of the job that did the work.
async fn attempt(
    view: &View,
    asked: JobId,
    wanted: Option<u32>,
) -> Result<(JobId, u32, bool), Problem> {
    let (mut job, mut group) = found(view, asked).await?;
    if let Some(from) = group.jobs[job].carried_from {
        (job, group) = found(view, from).await?;
    }
    let it = &group.jobs[job];
    let job = it.id;
    let known = match wanted {
        Some(number) => it.attempts.iter().find(|attempt| attempt.number == number),
        None => it.attempts.last(),
    };
    let none = || {
        let which = wanted.map_or_else(|| "no attempt".to_owned(), |it| format!("no attempt {it}"));
        Problem::new(Sort::NotFound, format!("job {job} has {which}"))
    };
    known.map(|attempt| (job, attempt.number, attempt.outcome.is_some())).ok_or_else(none)
}

/// A job's place in its group, and the group.
async fn found(view: &View, job: JobId) -> Result<(usize, GroupView), Problem> {
    let missing = || Problem::not_found("job", job);
    let group = view.group_of(job).await?.ok_or_else(missing)?;
    let group = view.group(group).await?;
    let at = group.jobs.iter().position(|it| it.id == job).ok_or_else(missing)?;
    Ok((at, group))
}

fn shown(line: &LogLine) -> Value {
    json!({
        "seq": line.seq, "at": line.at.to_string(), "stream": line.stream, "text": line.text,
    })
}

/// A reader that follows a log.
struct Follower {
    source: Arc<dyn LogSource>,
    view: View,
    attempt: AttemptId,
    after: u64,
    lines: VecDeque<Line>,
    done: bool,
    lease: Lease,
    _open: OpenStream,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Line, Infallible>> {
        futures_util::stream::unfold(self, |mut follower| async move {
            let line = follower.line().await?;
            Some((Ok(line), follower))
        })
    }

    async fn line(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.done {
                return None;
            }
            // First whether it has ended, then what it wrote: what comes last is read.
            let number = Some(self.attempt.number);
            let ended = attempt(&self.view, self.attempt.job, number).await;
            let read = self.source.read(self.attempt, self.after, DEFAULT_LIMIT).await;
            match (ended, read) {
                (Ok((_, _, ended)), Ok(lines)) => {
                    let is_empty = lines.is_empty();
                    lines.iter().for_each(|line| self.push(line));
                    if is_empty && ended {
                        self.bye("ended");
                    } else if is_empty {
                        self.pause().await;
                    }
                }
                (Err(_), _) | (_, Err(_)) => self.bye("failed"),
            }
        }
    }

    fn push(&mut self, line: &LogLine) {
        self.after = line.seq;
        let event = Line::default().event("log").id(line.seq.to_string());
        self.lines.push_back(event.data(shown(line).to_string()));
    }

    async fn pause(&mut self) {
        tokio::select! {
            biased;
            over = self.lease.over() => self.bye(over.word()),
            () = tokio::time::sleep(PACE) => {}
        }
    }

    fn bye(&mut self, reason: &str) {
        let body = json!({ "reason": reason }).to_string();
        self.lines.push_back(Line::default().event("bye").data(body));
        self.done = true;
    }
}
