//! Which of Slurm's jobs are ours, and how they are.

use std::collections::BTreeMap;

use jobwright_adapters::log::ProcessEnd;
use jobwright_adapters::remote::{End, Job, Sighting, State};
use jobwright_core::{Failure, FailureClass, Handle};

use crate::order::{BARRED, EXIT, comment};
use crate::wire::{SlurmJob, process};

/// Finds jobs of ours in Slurm's list, and in what those left that it has forgotten.
pub(crate) fn sightings(jobs: &[Job], listed: &[SlurmJob]) -> Vec<Sighting> {
    let ours: BTreeMap<&str, &Job> = jobs.iter().map(|job| (job.key().as_str(), job)).collect();
    let mut found: BTreeMap<&str, &SlurmJob> = BTreeMap::new();
    for listed in listed {
        let Some((name, job)) = ours.get_key_value(listed.name()) else { continue };
        if listed.comment() == comment(job) && !came_late(job, listed) {
            // The first of them has the place.
            let first = found.entry(name).or_insert(listed);
            if listed.id() < first.id() {
                *first = listed;
            }
        }
    }
    let sight = |job: &Job| {
        let (handle, state) = match found.get(job.key().as_str()) {
            // What is left to do then is the cluster's own affair.
            Some(listed) if listed.is("COMPLETING") => {
                left(job).unwrap_or_else(|| (handle(listed.id()), state(listed)))
            }
            Some(listed) => (handle(listed.id()), state(listed)),
            None => left(job)?,
        };
        Some(Sighting { key: job.key().clone(), handle, state })
    };
    jobs.iter().filter_map(sight).collect()
}

/// Finds jobs of ours that have written down how they ended. Blocks.
pub(crate) fn ends(jobs: &[Job]) -> Vec<Sighting> {
    let end = |job: &Job| {
        let (handle, state) = left(job)?;
        Some(Sighting { key: job.key().clone(), handle, state })
    };
    jobs.iter().filter_map(end).collect()
}

pub(crate) fn handle(id: i64) -> Handle {
    Handle::new(&format!("slurm {id}"))
}

/// Returns the number of a job of ours.
pub(crate) fn id(handle: &Handle) -> Option<i64> {
    handle.as_str().strip_prefix("slurm ")?.parse().ok()
}

/// A job that found its place taken did nothing.
fn came_late(job: &Job, listed: &SlurmJob) -> bool {
    let is_over = listed.is("FAILED") && !listed.is("COMPLETING");
    is_over && listed.exit() == process(BARRED.into(), 0) && left(job).is_none()
}

/// Reads what the script wrote down last.
fn left(job: &Job) -> Option<(Handle, State)> {
    let text = job.read(EXIT, 256).ok()??;
    let text = String::from_utf8(text).ok()?;
    // Without its end it is not written in full.
    let mut words = text.strip_suffix('\n')?.split(' ');
    let id = words.next()?.parse().ok()?;
    let code: i64 = words.next()?.parse().ok()?;
    let is_ours = words.next() == Some(&*job.mark());
    is_ours.then(|| (handle(id), State::Ended(End::Work(process(code, 0)))))
}

/// Tells how a job is.
fn state(job: &SlurmJob) -> State {
    let failed = |class, code, message: String| {
        let details = serde_json::json!({ "state": job.states(), "reason": job.reason() });
        State::Ended(End::Cluster(Failure::new(class, code, message).details(details)))
    };
    let on = || match job.nodes() {
        "" => String::new(),
        nodes => format!(" on {nodes}"),
    };
    if job.is("PENDING") || job.is("REQUEUED") || job.is("SPECIAL_EXIT") {
        return State::Waiting(why(job.reason()).to_owned());
    }
    if job.is("COMPLETING") || job.is("STAGE_OUT") {
        return State::Running(job.nodes().to_owned());
    }
    if job.is("COMPLETED") {
        return State::Ended(End::Work(job.exit()));
    }
    if job.is("CANCELLED") || job.is("REVOKED") {
        return State::Ended(End::Stopped);
    }
    if job.is("OUT_OF_MEMORY") {
        let message = format!("it needed more memory than it may have{}", on());
        return failed(FailureClass::Retryable, "out_of_memory", message);
    }
    if job.is("TIMEOUT") || job.is("DEADLINE") {
        let message = "Slurm ended it, since its time limit was over".to_owned();
        return failed(FailureClass::TimedOut, "time_limit", message);
    }
    if job.is("NODE_FAIL") || job.is("BOOT_FAIL") {
        let message = format!("Slurm lost a node under it{}", on());
        return failed(FailureClass::Lost, "node_lost", message);
    }
    if job.is("PREEMPTED") {
        let message = "Slurm gave its place to another job".to_owned();
        return failed(FailureClass::Lost, "preempted", message);
    }
    if job.is("FAILED") {
        return match job.exit() {
            ProcessEnd::Exit(0) => {
                let message = format!("Slurm could not run it{}: {}", on(), job.reason());
                failed(FailureClass::Retryable, "launch", message)
            }
            end => State::Ended(End::Work(end)),
        };
    }
    // Configuring, suspended, signalled, resized, and what newer versions add.
    State::Running(format!("{}{}", job.states().to_lowercase(), on()))
}

/// Says in words why a job waits; reasons without words here are shown as Slurm writes them.
fn why(reason: &str) -> &str {
    match reason {
        "" | "None" => "it was just taken",
        "Resources" => "there is no room for it now",
        "Priority" => "others come first",
        "ReqNodeNotAvail" => "a node that it needs is not available",
        "PartitionDown" => "the partition is down",
        "PartitionNodeLimit" => "it needs more nodes than the partition may give",
        "PartitionTimeLimit" => "its time limit is longer than the partition's",
        "JobHeldUser" | "JobHeldAdmin" => "somebody holds it back",
        "QOSMaxJobsPerUserLimit" | "AssocMaxJobsLimit" => "its user has as many jobs as allowed",
        "Licenses" => "a licence that it needs is in use",
        "Reservation" => "it waits for its reservation",
        "BeginTime" => "its time to begin has not come",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(job: Value, expect: &str) {
        let listed: SlurmJob = serde_json::from_value(job).unwrap();
        let found = match state(&listed) {
            State::Waiting(why) => format!("waits: {why}"),
            State::Running(place) => format!("runs: {place}"),
            State::Ended(End::Work(end)) => format!("{end:?}"),
            State::Ended(End::Stopped) => "stopped".to_owned(),
            State::Ended(End::Cluster(failure)) => {
                format!("{} {}", failure.class.as_str(), failure.code)
            }
            State::Gone => "gone".to_owned(),
        };
        assert_eq!(found, expect, "{listed:?}");
    }

    #[test]
    fn every_state_has_a_meaning() {
        let state = |state: &str| json!({ "job_state": state, "nodes": "n1" });
        let waits = json!({ "job_state": "PENDING", "state_reason": "Resources" });
        check(waits, "waits: there is no room for it now");
        check(json!({ "job_state": ["PENDING"], "state_reason": "Odd" }), "waits: Odd");
        check(state("RUNNING"), "runs: running on n1");
        check(state("CONFIGURING"), "runs: configuring on n1");
        check(state("SUSPENDED"), "runs: suspended on n1");
        check(json!({ "job_state": ["CANCELLED", "COMPLETING"], "nodes": "n2" }), "runs: n2");
        check(json!({ "job_state": "COMPLETED", "exit_code": 0 }), "Exit(0)");
        check(json!({ "job_state": "FAILED", "exit_code": 768 }), "Exit(3)");
        check(json!({ "job_state": "FAILED", "exit_code": 9 }), "Signal(9)");
        check(json!({ "job_state": "FAILED", "exit_code": 0 }), "retryable launch");
        check(state("CANCELLED"), "stopped");
        check(state("OUT_OF_MEMORY"), "retryable out_of_memory");
        check(state("TIMEOUT"), "timed_out time_limit");
        check(state("DEADLINE"), "timed_out time_limit");
        check(state("NODE_FAIL"), "lost node_lost");
        check(state("BOOT_FAIL"), "lost node_lost");
        check(state("PREEMPTED"), "lost preempted");
    }

    #[test]
    fn a_handle_names_its_job() {
        assert_eq!(id(&handle(205)), Some(205));
        assert_eq!(id(&Handle::new("pid 4711")), None);
    }
}
