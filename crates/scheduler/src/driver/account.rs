//! The engine's account of itself, by `tracing`: one line per transition of a job group (INFO) and
//! of an attempt or job (DEBUG), each in a short span that names what it is about. Spans are linked
//! by ids and by the trace of their run; none is held open for as long as a run lasts.

use jobwright_core::{
    Cause, Fact, FailureClass, Happened, JobIndex, Next, Outcome, TraceParent, Verdict,
};
use tracing::field::{Empty, display};
use tracing::{Level, Span};

/// Tells whether anybody reads it.
pub(super) fn is_kept() -> bool {
    tracing::enabled!(Level::INFO)
}

/// Writes down a fact.
pub(super) fn tell(fact: &Fact<'_>) {
    match fact.what {
        Happened::Accepted => run(fact, "pending").in_scope(|| {
            tracing::info!(jobs = fact.plan.jobs.len(), "job group is accepted");
        }),
        Happened::Adopted { epoch } => run(fact, "executing").in_scope(|| {
            tracing::info!(epoch = epoch.0, "job group is taken up");
        }),
        Happened::Begun => run(fact, "executing").in_scope(|| tracing::info!("job group begins")),
        Happened::Cancelling { reason } => run(fact, "finalizing").in_scope(|| {
            tracing::info!(?reason, "job group is being cancelled");
        }),
        Happened::Ended { verdict, took } => {
            let span = run(fact, "finalizing");
            span.record("cicd.pipeline.result", result(verdict, None));
            span.record("otel.status_code", status(verdict));
            span.in_scope(|| tracing::info!(?verdict, ?took, "job group ended"));
        }
        Happened::JobReady { job } => {
            of_job(fact, job).in_scope(|| tracing::debug!("job is ready"));
        }
        Happened::Requested { job, attempt, queued } => of_attempt(fact, job, attempt)
            .in_scope(|| tracing::debug!(?queued, "attempt is handed over")),
        Happened::Started { job, attempt, handle } => {
            let handle = handle.map(jobwright_core::Handle::as_str);
            of_attempt(fact, job, attempt).in_scope(|| tracing::debug!(handle, "attempt started"));
        }
        Happened::Stopping { job, attempt, reason } => of_attempt(fact, job, attempt)
            .in_scope(|| tracing::debug!(?reason, "attempt is asked to stop")),
        Happened::AttemptEnded { job, attempt, outcome, next, took, .. } => {
            attempt_ended(&of_attempt(fact, job, attempt), outcome, next, took);
        }
        Happened::JobEnded { job, verdict, cause } => {
            let span = of_job(fact, job);
            span.record("cicd.pipeline.task.run.result", result(verdict, Some(cause)));
            span.record("otel.status_code", status(verdict));
            span.in_scope(|| tracing::debug!(?verdict, ?cause, "job ended"));
        }
        _ => {}
    }
}

/// The span of a job group.
fn run(fact: &Fact<'_>, state: &'static str) -> Span {
    let run = &fact.plan.run;
    let span = tracing::info_span!(
        "run",
        otel.kind = "internal",
        otel.status_code = Empty,
        deployment.id = run.deployment.get(),
        release.id = run.release.get(),
        run.id = run.run.get(),
        job_group.id = fact.group.get(),
        trigger = ?run.trigger,
        traceparent = Empty,
        cicd.pipeline.action.name = "RUN",
        cicd.pipeline.name = Empty,
        cicd.pipeline.run.id = fact.group.get(),
        cicd.pipeline.run.state = state,
        cicd.pipeline.result = Empty,
    );
    if !span.is_disabled() {
        span.record("traceparent", display(run.trace().of_group(fact.group)));
        // A part of the graph ends in the flow that was asked for.
        if let Some(last) = fact.plan.jobs.last() {
            span.record("cicd.pipeline.name", last.flow.as_str());
        }
    }
    span
}

/// The span of a job.
fn of_job(fact: &Fact<'_>, job: JobIndex) -> Span {
    let planned = fact.planned(job);
    let id = fact.plan.job_id(job).get();
    tracing::debug_span!(
        "job",
        otel.kind = "internal",
        otel.status_code = Empty,
        run.id = fact.plan.run.run.get(),
        job_group.id = fact.group.get(),
        job.id = id,
        job.name = planned.step.as_str(),
        executor = planned.executor.as_str(),
        attempt = Empty,
        traceparent = Empty,
        error.type = Empty,
        cicd.pipeline.task.name = planned.step.as_str(),
        cicd.pipeline.task.run.id = id,
        cicd.pipeline.task.run.result = Empty,
    )
}

/// The span of a job, at one attempt.
fn of_attempt(fact: &Fact<'_>, job: JobIndex, attempt: u32) -> Span {
    let span = of_job(fact, job);
    if !span.is_disabled() {
        span.record("attempt", attempt);
        let trace: TraceParent = fact.plan.run.trace();
        span.record("traceparent", display(trace.of_attempt(fact.attempt_id(job, attempt))));
    }
    span
}

fn attempt_ended(span: &Span, outcome: &Outcome, next: &Next, took: std::time::Duration) {
    let retry_at = match next {
        Next::Retry { at } => Some(display(at)),
        Next::End { .. } => None,
    };
    match outcome {
        Outcome::Succeeded(_) => {
            span.in_scope(|| tracing::debug!(?took, retry_at, "attempt succeeded"));
        }
        Outcome::Failed(failure) => {
            span.record("error.type", failure.class.as_str());
            if failure.class != FailureClass::Cancelled {
                span.record("otel.status_code", "ERROR");
            }
            // The words may be a program's own output, so they are not the log's.
            let code = &*failure.code;
            span.in_scope(|| tracing::debug!(?took, code, retry_at, "attempt failed"));
        }
    }
}

/// The word of the OpenTelemetry conventions.
fn result(verdict: Verdict, cause: Option<Cause>) -> &'static str {
    match (verdict, cause) {
        (Verdict::Succeeded, _) => "success",
        (Verdict::Skipped, _) => "skip",
        (Verdict::Cancelled, _) => "cancellation",
        (Verdict::Failed, Some(Cause::QueueTimeout | Cause::TotalTimeout)) => "timeout",
        (Verdict::Failed, Some(Cause::CrashLimit | Cause::Lost | Cause::Rejected)) => "error",
        (
            Verdict::Failed,
            None | Some(Cause::Attempt | Cause::Need { .. } | Cause::GroupCancelled),
        ) => "failure",
    }
}

fn status(verdict: Verdict) -> &'static str {
    if verdict == Verdict::Failed { "ERROR" } else { "OK" }
}
