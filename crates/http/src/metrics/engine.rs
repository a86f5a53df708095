//! The engine's part of the page: what its meter counted, and what can be read of it at any moment.

use std::sync::atomic::{AtomicU64, Ordering};

use jobwright_core::DeploymentName;
use jobwright_scheduler::Gauges;

use super::exposition::{Family, Labels, Page};
use super::histogram::Histogram;
use super::meter::{Counted, Groups, RESULTS, STATES, VERDICTS};

/// The groups of deployments whose names are known.
pub(super) type Named = Vec<(DeploymentName, std::sync::Arc<Groups>)>;

/// Writes what a meter counted.
pub(super) fn counted(page: &mut Page, counted: &Counted, named: &Named) {
    groups(page, counted, named);
    executors(page, counted);
    page.gauge("jobwright_job_groups_live", "Job groups that have not ended.")
        .sample(&[], load(&counted.live));
    let mut jobs = page.gauge("jobwright_jobs", "Jobs of live job groups, by where they are.");
    for (state, count) in STATES.into_iter().zip(&counted.jobs) {
        jobs.sample(&[("state", state)], load(count));
    }
    let durations: [(&'static str, &str, &Histogram); 3] = [
        (
            "jobwright_scheduler_step_duration_seconds",
            "How long the machine took to decide, per turn of the loop.",
            &counted.step,
        ),
        ("jobwright_scheduler_lag_seconds", "How late due deadlines were acted on.", &counted.lag),
        (
            "jobwright_store_append_duration_seconds",
            "How long the store took to make a turn durable.",
            &counted.append,
        ),
    ];
    for (name, help, histogram) in durations {
        page.histogram(name, help).samples(&[], histogram);
    }
    page.counter("jobwright_store_events_total", "Events that became durable.")
        .sample(&[], load(&counted.events));
    page.counter("jobwright_store_errors_total", "Commits that the store could not take.")
        .sample(&[], load(&counted.errors));
    let help = "The highest epoch under which the engine wrote; above 1 it took over from another.";
    page.gauge("jobwright_lease_epoch", help).sample(&[], load(&counted.epoch));
}

/// Writes what can be read of an engine at any moment.
pub(super) fn gauges(page: &mut Page, gauges: &Gauges) {
    page.gauge("jobwright_inbox_messages", "Messages that wait for the engine's loop.")
        .sample(&[], gauges.inbox);
    let help = "Messages that may wait for the engine's loop; submissions beyond are refused.";
    page.gauge("jobwright_inbox_limit_messages", help).sample(&[], gauges.inbox_limit);
    page.counter("jobwright_log_bytes_total", "Bytes of log lines that attempts reported.")
        .sample(&[], gauges.log_bytes);
    page.counter("jobwright_log_truncated_total", "Logs of attempts that were cut.")
        .sample(&[], gauges.logs_cut);
}

fn groups(page: &mut Page, counted: &Counted, named: &Named) {
    let each = |family: &mut Family<'_>, add: &dyn Fn(&mut Family<'_>, Labels<'_>, &Histogram)| {
        for (verdict, result) in VERDICTS.into_iter().enumerate() {
            if counted.deployments.is_none() {
                add(family, &[("result", result)], &counted.groups.took[verdict]);
            }
            for (name, groups) in named {
                let labels = [("deployment", name.as_str()), ("result", result)];
                add(family, &labels, &groups.took[verdict]);
            }
        }
    };
    let mut family = page.counter("jobwright_job_groups_total", "Job groups that ended.");
    each(&mut family, &|family, labels, took| {
        family.sample(labels, took.read().count);
    });
    let help = "From the acceptance of a job group to its end.";
    let mut family = page.histogram("jobwright_job_group_duration_seconds", help);
    each(&mut family, &|family, labels, took| {
        family.samples(labels, took);
    });
}

fn executors(page: &mut Page, counted: &Counted) {
    let all = counted.executors();
    let mut attempts = page.counter("jobwright_job_attempts_total", "Attempts that ended.");
    for executor in all {
        for (result, took) in RESULTS.into_iter().zip(&executor.took) {
            let labels = [("executor", executor.name.as_str()), ("result", result)];
            attempts.sample(&labels, took.read().count);
        }
    }
    let help = "From the request of an attempt to its end.";
    let mut took = page.histogram("jobwright_job_run_duration_seconds", help);
    for executor in all {
        for (result, histogram) in RESULTS.into_iter().zip(&executor.took) {
            let labels = [("executor", executor.name.as_str()), ("result", result)];
            took.samples(&labels, histogram);
        }
    }
    let help = "How long jobs that were ready waited for a slot, per attempt.";
    let mut queued = page.histogram("jobwright_job_queue_duration_seconds", help);
    for executor in all {
        queued.samples(&[("executor", executor.name.as_str())], &executor.queued);
    }
    let help = "Attempts that are followed by another, by how they ended.";
    let mut retries = page.counter("jobwright_job_retries_total", help);
    for executor in all {
        for (reason, count) in RESULTS.into_iter().zip(&executor.retries).skip(1) {
            let labels = [("executor", executor.name.as_str()), ("reason", reason)];
            retries.sample(&labels, load(count));
        }
    }
    let help = "Slots of executors; one without a limit has infinitely many free ones.";
    let mut slots = page.gauge("jobwright_executor_slots", help);
    for executor in all {
        let busy = load(&executor.busy);
        let free = executor.limit.map(|limit| u64::from(limit).saturating_sub(busy).to_string());
        let labels = |state| [("executor", executor.name.as_str()), ("state", state)];
        slots.sample(&labels("busy"), busy);
        slots.sample(&labels("free"), free.as_deref().unwrap_or("+Inf"));
    }
}

fn load(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}
