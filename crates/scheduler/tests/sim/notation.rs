//! Events and effects as a person reads them fastest: one short word each, in the order in which
//! they happened.

use jobwright_core::{
    CancelReason, Event, Handle, Inputs, Next, Outcome, StopReason, Timeout, Timestamp, Verdict,
};
use jobwright_scheduler::machine::{AttemptKey, Effect};

pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Accepted { plan } => format!("accepted({} jobs)", plan.jobs.len()),
        Event::Adopted { epoch, .. } => format!("adopted(e{})", epoch.0),
        Event::Ready { job, queue_by, total_by } => {
            format!("{}.ready(queue<{} total<{})", job.0, time(*queue_by), time(*total_by))
        }
        Event::Requested { job, attempt, end_by, beat_by } => {
            let beat = beat_by.map(|by| format!(" beat<{}", time(by))).unwrap_or_default();
            format!("{}.requested#{attempt}(end<{}{beat})", job.0, time(*end_by))
        }
        Event::Started { job, attempt, handle } => {
            format!("{}.started#{attempt}({})", job.0, handle.as_ref().map_or("-", Handle::as_str))
        }
        Event::Beat { job, attempt, beat_by } => {
            format!("{}.beat#{attempt}(beat<{})", job.0, time(*beat_by))
        }
        Event::Stopping { job, attempt, reason, kill_by } => {
            format!("{}.stopping#{attempt}({} kill<{})", job.0, stop(reason), time(*kill_by))
        }
        Event::AttemptEnded { job, attempt, outcome, next } => {
            let next = match next {
                Next::Retry { at } => format!("retry@{}", time(*at)),
                Next::End { verdict: v, cause } => format!("{} {cause:?}", verdict(*v)),
            };
            format!("{}.ended#{attempt}({} -> {next})", job.0, result(outcome))
        }
        Event::JobEnded { job, verdict: v, cause } => {
            format!("{}.over({} {cause:?})", job.0, verdict(*v))
        }
        Event::CancelRequested { reason } => format!("cancel({})", cancel(reason)),
        Event::GroupEnded { verdict: v } => format!("GROUP {}", verdict(*v)),
    }
}

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Dispatch(order) => {
            let inputs = Inputs::from(order.inputs.clone());
            let (end, inputs) =
                (time(order.end_by), inputs.of(&order.plan, order.attempt.job).len());
            format!("!dispatch {} end<{end} inputs={inputs}", attempt(order.attempt))
        }
        Effect::Reattach(order) => {
            let handle = order.handle.as_ref().map_or("-", Handle::as_str);
            format!("!reattach {} {handle}", attempt(order.attempt))
        }
        Effect::Stop { attempt: key, stop: it } => {
            format!("!stop {} {} grace={:?}", attempt(*key), stop(&it.reason), it.grace)
        }
        Effect::Abandon { attempt: key } => format!("!abandon {}", attempt(*key)),
        Effect::Announce { group, verdict: v } => format!("!announce {group} {}", verdict(*v)),
        Effect::Refuse { run, running } => format!("!refuse run {run} for {running}"),
    }
}

fn attempt(key: AttemptKey) -> String {
    format!("{}.{}#{}", key.group, key.job.0, key.number)
}

fn result(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded(_) => "ok",
        Outcome::Failed(failure) => failure.class.as_str(),
    }
}

fn stop(reason: &StopReason) -> String {
    match reason {
        StopReason::Cancelled { reason } => format!("cancelled:{}", cancel(reason)),
        StopReason::TimedOut(Timeout::Attempt) => "attempt".to_owned(),
        StopReason::TimedOut(Timeout::Total) => "total".to_owned(),
        StopReason::TimedOut(Timeout::Heartbeat) => "heartbeat".to_owned(),
        StopReason::GivenUp => "given up".to_owned(),
        StopReason::Shutdown => "shutdown".to_owned(),
    }
}

fn cancel(reason: &CancelReason) -> String {
    match reason {
        CancelReason::Requested(_) => "requested".to_owned(),
        CancelReason::FailFast { job } => format!("fail_fast by {}", job.0),
        CancelReason::Superseded => "superseded".to_owned(),
    }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
        Verdict::Cancelled => "cancelled",
    }
}

/// Seconds, as short as possible.
pub(crate) fn time(at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "never".to_owned();
    }
    let millis = at.as_millis();
    match millis % 1000 {
        0 => format!("{}s", millis / 1000),
        rest => format!("{}.{rest:03}s", millis / 1000),
    }
}
