//! The labels by which Jobs and pods of attempts are found, and what they say.

use std::collections::BTreeMap;

use jobwright_adapters::remote::{Job, Key, Prefix};
use jobwright_core::{AttemptId, JobId};

/// Whose attempt it is: the prefix of the installation.
pub(crate) const ENGINE: &str = "jobwright/engine";
const GROUP: &str = "jobwright/group";
const JOB: &str = "jobwright/job";
const ATTEMPT: &str = "jobwright/attempt";
/// The attempt's key.
const KEY: &str = "jobwright/key";
/// What tells it from a namesake of another life.
const SESSION: &str = "jobwright/session";
/// There is no work in it: it keeps the name taken, see `fence.rs`.
pub(crate) const FENCE: &str = "jobwright/fence";

type Labels = BTreeMap<String, String>;

/// The labels of an attempt.
pub(crate) fn of(job: &Job, prefix: &Prefix) -> Labels {
    let attempt = job.attempt();
    let label = |name: &str, value: String| (name.to_owned(), value);
    Labels::from([
        label("app.kubernetes.io/managed-by", "jobwright".to_owned()),
        label(ENGINE, prefix.as_str().to_owned()),
        label(GROUP, attempt.group().to_string()),
        label(JOB, attempt.id().job.to_string()),
        label(ATTEMPT, attempt.id().number.to_string()),
        label(KEY, job.key().to_string()),
        label(SESSION, job.mark()),
    ])
}

/// Selects the attempts of an installation.
pub(crate) fn all(prefix: &Prefix) -> String {
    format!("{ENGINE}={}", prefix.as_str())
}

/// Selects the attempts of a job group.
pub(crate) fn group(prefix: &Prefix, group: jobwright_core::GroupId) -> String {
    format!("{},{GROUP}={group}", all(prefix))
}

/// Selects these attempts.
pub(crate) fn these(jobs: &[Job]) -> String {
    let keys: Vec<&str> = jobs.iter().map(|job| job.key().as_str()).collect();
    format!("{KEY} in ({})", keys.join(","))
}

/// Reads whose attempt an object is: its key, and its session.
pub(crate) fn read(labels: Option<&Labels>, prefix: &Prefix) -> Option<(Key, String)> {
    let labels = labels?;
    let number = labels.get(ATTEMPT)?.parse().ok()?;
    let job: JobId = labels.get(JOB)?.parse().ok()?;
    let key = Key::new(prefix, AttemptId { job, number });
    let is_ours = labels.get(KEY).is_some_and(|it| it == key.as_str());
    (is_ours && !labels.contains_key(FENCE)).then(|| Some((key, labels.get(SESSION)?.clone())))?
}
