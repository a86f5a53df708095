//! Events, as streams tell them: what happened, to which job, and no more of it than a viewer may
//! know.

use jobwright_core::{Event, GroupId, JobId, Next, Outcome, Seq, Timestamp, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

/// One fact of a job group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub(crate) struct EventBody {
    /// Its position in the group's journal.
    seq: u64,
    /// When it happened.
    at: String,
    /// What happened, in a word.
    r#type: &'static str,
    /// The group.
    job_group_id: i64,
    /// The job, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<i64>,
    /// The number of the attempt, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    /// When the job is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
}

impl EventBody {
    /// `first` is the group's first job.
    pub(crate) fn new(
        group: GroupId,
        first: Option<JobId>,
        seq: Seq,
        at: Timestamp,
        event: &Event,
    ) -> Self {
        let job = event.job().zip(first);
        let mut body = Self {
            seq: seq.0,
            at: at.to_string(),
            r#type: word(event),
            job_group_id: group.get(),
            job_id: job.map(|(index, first)| first.get() + i64::from(index.0)),
            attempt: attempt(event),
            status: None,
            error_message: None,
            retry_at: None,
        };
        match event {
            Event::AttemptEnded { outcome, next, .. } => {
                if let Outcome::Failed(failure) = outcome {
                    body.error_message = Some(failure.to_string());
                }
                match next {
                    Next::End { verdict, .. } => body.status = Some(status(*verdict)),
                    Next::Retry { at } => body.retry_at = Some(at.to_string()),
                }
            }
            Event::JobEnded { verdict, .. } | Event::GroupEnded { verdict } => {
                body.status = Some(status(*verdict));
            }
            Event::Accepted { .. }
            | Event::Adopted { .. }
            | Event::Ready { .. }
            | Event::Requested { .. }
            | Event::Started { .. }
            | Event::Beat { .. }
            | Event::Stopping { .. }
            | Event::CancelRequested { .. } => {}
        }
        body
    }
}

fn word(event: &Event) -> &'static str {
    match event {
        Event::Accepted { .. } => "accepted",
        Event::Adopted { .. } => "adopted",
        Event::Ready { .. } => "ready",
        Event::Requested { .. } => "requested",
        Event::Started { .. } => "started",
        Event::Beat { .. } => "beat",
        Event::Stopping { .. } => "stopping",
        Event::AttemptEnded { .. } => "attemptEnded",
        Event::JobEnded { .. } => "jobEnded",
        Event::CancelRequested { .. } => "cancelRequested",
        Event::GroupEnded { .. } => "groupEnded",
    }
}

fn attempt(event: &Event) -> Option<u32> {
    match event {
        Event::Requested { attempt, .. }
        | Event::Started { attempt, .. }
        | Event::Beat { attempt, .. }
        | Event::Stopping { attempt, .. }
        | Event::AttemptEnded { attempt, .. } => Some(*attempt),
        Event::Accepted { .. }
        | Event::Adopted { .. }
        | Event::Ready { .. }
        | Event::JobEnded { .. }
        | Event::CancelRequested { .. }
        | Event::GroupEnded { .. } => None,
    }
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "Complete",
        Verdict::Failed => "Failed",
        Verdict::Skipped | Verdict::Cancelled => "Canceled",
    }
}

/// One event of a stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the stream writes")]
pub(crate) struct ServerSentEvent {
    /// What it is: `jobGroup`, `job`, `progress`, `log`, `gap` or `bye`.
    #[schema(pattern = "^(jobGroup|job|progress|log|gap|bye)$")]
    event: String,
    /// From where on a reader that comes back goes on.
    #[schema(value_type = String, required = false)]
    id: Option<String>,
    /// After how many milliseconds a reader should come back.
    #[schema(value_type = i64, required = false)]
    retry: Option<i64>,
    /// An object in JSON.
    data: String,
}
