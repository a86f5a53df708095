//! What is known of all attempts, put together from what is seen of Jobs and of their pods, which
//! arrive apart and in any order. Pure: time passes by [`Ledger::tick`].
//!
//! ```text
//!              a pod                     the pod ended, or is gone
//!   no pod ───────────▶ waits, runs ───────────────────────────────▶ ended
//!      │                   │ its pod is being deleted, not its Job:      ▲
//!      │                   └─▶ interrupted: the Job is deleted, so that ─┤
//!      │                       no other pod takes its place             │
//!      └── the Job ended, was deleted ──────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use jobwright_adapters::remote::{End, Key, Prefix, Sighting, State};
use jobwright_core::{Failure, FailureClass, Handle};
use k8s_openapi::api::batch::v1::{Job as Manifest, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use kube::core::ObjectMeta;

use crate::label;
use crate::pod::{self, Sight, deadline};

/// How many ticks the news of the other kind may be late.
const LATE: u32 = 2;

/// How many ticks longer than its grace a pod may take to end before its node counts as lost.
const LOST: u32 = 15;

/// The number that the cluster gives to an object.
pub(crate) type Uid = String;

/// All attempts that were seen, by the numbers of their Jobs.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<Uid, Entry>,
    /// Whose state may have changed.
    news: BTreeSet<Uid>,
    /// Those that were not seen since a list began, while one is read.
    unseen: [Option<BTreeSet<Uid>>; 2],
}

/// Of which kind an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    Pod,
}

#[derive(Debug)]
struct Entry {
    name: String,
    key: Key,
    session: String,
    end: Option<JobEnd>,
    /// The Job is being deleted, or is no more.
    leaves: bool,
    is_gone: bool,
    /// Its pods, oldest first. One, but for a controller that never heard that it had made one:
    /// "the same program may sometimes be started twice", as Kubernetes documents Jobs.
    pods: Vec<(Uid, Sight)>,
    /// One of them was taken away before another was seen, which so may be there in its place. A
    /// surplus one is taken away after.
    is_replaced: bool,
    /// The Job is deleted since its pod was taken away.
    interrupted: bool,
    /// Ticks since something that was to come has not.
    late: u32,
    told: Option<State>,
    /// What its program says was opened.
    is_heard: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum JobEnd {
    Complete,
    /// `is_late`: it had no more time.
    Failed {
        is_late: bool,
        message: String,
    },
}

impl Ledger {
    /// Takes a Job.
    pub(crate) fn job(&mut self, job: &Manifest, prefix: &Prefix) {
        let meta = &job.metadata;
        let Some(uid) = meta.uid.clone() else { return };
        self.saw(Kind::Job, &uid);
        let Some(entry) = self.entry(&uid, meta, meta.name.as_deref(), prefix) else { return };
        entry.leaves |= meta.deletion_timestamp.is_some();
        let conditions = job.status.as_ref().and_then(|it| it.conditions.as_ref());
        let holds = conditions.into_iter().flatten().filter(|it| it.status == "True");
        for condition in holds {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            entry.end = match condition.type_.as_str() {
                "Complete" => Some(JobEnd::Complete),
                "Failed" => {
                    let is_late = condition.reason.as_deref() == Some("DeadlineExceeded")
                        || is_over_time(job, condition);
                    Some(JobEnd::Failed { is_late, message: text(&condition.message) })
                }
                _ => continue,
            };
        }
        self.news.insert(uid);
    }

    /// Takes a pod.
    pub(crate) fn pod(&mut self, pod: &Pod, prefix: &Prefix) {
        let Some((job, own)) = owner(pod) else { return };
        self.saw(Kind::Pod, &own);
        let name = pod.metadata.labels.as_ref().and_then(|it| it.get("job-name")).cloned();
        let entry = self.entry(&job, &pod.metadata, name.as_deref(), prefix);
        if let Some(entry) = entry {
            entry.see(own, pod::read(pod));
            self.news.insert(job);
        }
    }

    /// A Job is no more.
    pub(crate) fn job_gone(&mut self, uid: &str) {
        if let Some(entry) = self.entries.get_mut(uid) {
            (entry.leaves, entry.is_gone) = (true, true);
            self.news.insert(uid.to_owned());
        }
    }

    /// A pod is no more.
    pub(crate) fn pod_gone(&mut self, uid: &str) {
        for (job, entry) in &mut self.entries {
            if let Some((_, sight)) = entry.pods.iter_mut().find(|(own, _)| own == uid) {
                sight.is_deleted = true;
                self.news.insert(job.clone());
                return;
            }
        }
    }

    /// A list of everything begins.
    pub(crate) fn list_begins(&mut self, kind: Kind) {
        let known = match kind {
            Kind::Job => self.entries.keys().cloned().collect(),
            Kind::Pod => {
                let pods = self.entries.values().flat_map(|it| &it.pods);
                pods.filter(|(_, sight)| !sight.is_deleted).map(|(uid, _)| uid.clone()).collect()
            }
        };
        self.unseen[kind as usize] = Some(known);
    }

    /// The list is read: what was not in it is no more.
    pub(crate) fn list_ends(&mut self, kind: Kind) {
        for uid in self.unseen[kind as usize].take().unwrap_or_default() {
            match kind {
                Kind::Job => self.job_gone(&uid),
                Kind::Pod => self.pod_gone(&uid),
            }
        }
    }

    /// We delete a Job ourselves: its pod is not taken away from it.
    pub(crate) fn stops(&mut self, uid: &str) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.leaves = true;
        }
    }

    /// A second has passed. Returns the Jobs, by name and number, that must be deleted, since
    /// their pods were taken away.
    pub(crate) fn tick(&mut self) -> Vec<(String, Uid)> {
        let mut interrupted = Vec::new();
        for (uid, entry) in &mut self.entries {
            if !entry.lacks_news() {
                entry.late = 0;
                continue;
            }
            entry.late += 1;
            self.news.insert(uid.clone());
            if entry.is_taken_away() && entry.late >= LATE {
                entry.interrupted = true;
                interrupted.push((entry.name.clone(), uid.clone()));
            }
        }
        interrupted
    }

    /// Tells what is new.
    pub(crate) fn news(&mut self) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        for uid in std::mem::take(&mut self.news) {
            let Some(entry) = self.entries.get_mut(&uid) else { continue };
            let state = entry.state();
            if entry.told.as_ref() != Some(&state) {
                entry.told = Some(state.clone());
                let handle = handle(&entry.name, &uid);
                sightings.push(Sighting { key: entry.key.clone(), handle, state });
            }
            if entry.is_gone {
                self.entries.remove(&uid);
            }
        }
        sightings
    }

    /// Tells how the attempt of a key and a session is, if it was seen.
    pub(crate) fn find(&self, key: &Key, session: &str) -> Option<Sighting> {
        let found = self.entries.iter().find(|(_, it)| it.key == *key && it.session == session);
        let (uid, entry) = found?;
        let (key, handle) = (key.clone(), handle(&entry.name, uid));
        Some(Sighting { key, handle, state: entry.state() })
    }

    /// Returns the pod of a Job, of several the one that counts.
    pub(crate) fn sight(&self, uid: &str) -> Option<&Sight> {
        self.entries.get(uid)?.sight()
    }

    /// Returns the names of the pods of a Job that are there.
    pub(crate) fn pods(&self, uid: &str) -> Vec<String> {
        let pods = self.entries.get(uid).into_iter().flat_map(|it| &it.pods);
        pods.filter(|(_, it)| !it.is_deleted).map(|(_, it)| it.name.clone()).collect()
    }

    /// What the program of a Job says was opened.
    pub(crate) fn hears(&mut self, uid: &str) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.is_heard = true;
        }
    }

    /// Tells whether what the program of a Job says was opened.
    pub(crate) fn is_heard(&self, uid: &str) -> bool {
        self.entries.get(uid).is_some_and(|entry| entry.is_heard)
    }

    /// What the program of a Job left is kept elsewhere by now.
    pub(crate) fn release(&mut self, uid: &str) {
        for (_, sight) in self.entries.get_mut(uid).into_iter().flat_map(|it| &mut it.pods) {
            sight.message = None;
        }
    }

    fn saw(&mut self, kind: Kind, uid: &str) {
        if let Some(unseen) = &mut self.unseen[kind as usize] {
            unseen.remove(uid);
        }
    }

    fn entry(
        &mut self,
        uid: &str,
        meta: &ObjectMeta,
        name: Option<&str>,
        prefix: &Prefix,
    ) -> Option<&mut Entry> {
        let (key, session) = label::read(meta.labels.as_ref(), prefix)?;
        let name = name?.to_owned();
        Some(self.entries.entry(uid.to_owned()).or_insert_with(|| Entry {
            name,
            key,
            session,
            end: None,
            leaves: false,
            is_gone: false,
            pods: Vec::new(),
            is_replaced: false,
            interrupted: false,
            late: 0,
            told: None,
            is_heard: false,
        }))
    }
}

impl Entry {
    /// Takes a sight of a pod.
    fn see(&mut self, uid: Uid, sight: Sight) {
        match self.pods.iter_mut().find(|(own, _)| *own == uid) {
            Some((_, known)) => *known = sight,
            None => {
                self.is_replaced |= sight.is_taken() || self.sights().any(Sight::is_taken);
                self.pods.push((uid, sight));
            }
        }
    }

    fn sights(&self) -> impl Iterator<Item = &Sight> {
        self.pods.iter().map(|(_, sight)| sight)
    }

    /// The pod that counts: the one that did the work, else the first that nobody takes away, and
    /// never one that may be there in the place of another: the attempt was that other's.
    fn sight(&self) -> Option<&Sight> {
        let succeeded = self.sights().find(|it| it.has_succeeded());
        let counts = || self.sights().find(|it| it.is_taken() == self.is_replaced);
        succeeded.or_else(counts).or_else(|| self.sights().next())
    }

    /// None of its pods runs any more.
    fn is_over(&self) -> bool {
        self.sights().all(Sight::is_over)
    }

    /// How its pod that counts ended, unless that was since it was taken away.
    fn own_end(&self) -> Option<&End> {
        let sight = self.sight()?;
        match &sight.state {
            State::Ended(end) if sight.has_succeeded() || sight.leaves.is_none() => Some(end),
            _ => None,
        }
    }

    /// Its pod was deleted, is being deleted, and nobody asked the Job for that.
    fn is_taken_away(&self) -> bool {
        let is_leaving = self.sight().is_some_and(Sight::is_taken);
        let has_ended = self.sight().is_some_and(|it| matches!(it.state, State::Ended(_)));
        is_leaving && !self.leaves && self.end.is_none() && !(has_ended && self.is_settled())
    }

    /// What it was told last is final.
    fn is_settled(&self) -> bool {
        matches!(self.told, Some(State::Ended(_)))
    }

    /// Something must come, and has not.
    fn lacks_news(&self) -> bool {
        let must_end = self.end.is_some() || self.own_end().is_some();
        !self.is_settled()
            && (self.is_taken_away() || self.interrupted || must_end && !self.has_ended())
    }

    /// There was a pod, and none runs any more.
    fn has_ended(&self) -> bool {
        !self.pods.is_empty() && self.is_over()
    }

    fn state(&self) -> State {
        let grace = self.sights().filter_map(|it| it.leaves).max().unwrap_or(0);
        let is_lost = self.late > grace.saturating_add(LOST);
        let is_over = self.is_over();
        if let Some(end) = self.own_end()
            && (is_over || is_lost)
        {
            return State::Ended(end.clone());
        }
        if let Some(JobEnd::Failed { is_late: true, message }) = &self.end
            && (is_over || is_lost)
        {
            return State::Ended(deadline(message));
        }
        if self.interrupted {
            if is_over {
                return lost("evicted", "its pod was taken off its node, or deleted");
            }
            if is_lost {
                return lost("node_lost", "its pod does not end: its node is lost");
            }
        }
        if self.is_gone {
            return State::Gone;
        }
        let sight = self.sight();
        if self.leaves && is_over && sight.is_some_and(|it| matches!(it.state, State::Ended(_))) {
            return State::Ended(End::Stopped);
        }
        match (&self.end, sight) {
            (Some(JobEnd::Failed { .. }), Some(_)) if is_over => {
                return lost("evicted", "its pod was taken off its node, or deleted");
            }
            (Some(_), Some(_)) if is_over => {
                return lost("pod_gone", "its Job is over, and its pod with the result is gone");
            }
            (Some(_), None) if self.late > LATE => {
                return lost("pod_gone", "its Job is over, and its pod with the result is gone");
            }
            (Some(_) | None, _) => {}
        }
        let waits = || State::Waiting("its pod has not been made".to_owned());
        let counts = sight.filter(|it| !it.is_over());
        let runs = counts.or_else(|| self.sights().find(|it| !it.is_over()));
        runs.map_or_else(waits, |it| it.state.clone())
    }
}

/// Whether a Job had no more time when it failed. A controller that takes a Job's pod for that, and
/// whose word about it is lost, next sees a Job without a pod and gives that for the reason.
fn is_over_time(job: &Manifest, failed: &JobCondition) -> bool {
    let limit = job.spec.as_ref().and_then(|it| it.active_deadline_seconds);
    let began = job.status.as_ref().and_then(|it| it.start_time.as_ref());
    match (limit, began, &failed.last_transition_time) {
        (Some(limit), Some(began), Some(ended)) => {
            ended.0.as_second() - began.0.as_second() >= limit
        }
        _ => false,
    }
}

fn lost(code: &'static str, message: &str) -> State {
    State::Ended(End::Cluster(Failure::new(FailureClass::Lost, code, message)))
}

/// The name that an attempt's Job has for us: its own, and the number that no other ever has.
pub(crate) fn handle(name: &str, uid: &str) -> Handle {
    Handle::new(&format!("{name}/{uid}"))
}

/// Reads a handle: the name and the number of the Job.
pub(crate) fn read_handle(handle: &Handle) -> Option<(&str, &str)> {
    handle.as_str().split_once('/')
}

/// Reads whose pod it is: the number of its Job, and its own.
fn owner(pod: &Pod) -> Option<(Uid, Uid)> {
    let owners = pod.metadata.owner_references.as_ref()?;
    let job = owners.iter().find(|it| it.kind == "Job")?;
    Some((job.uid.clone(), pod.metadata.uid.clone()?))
}

#[cfg(test)]
mod tests {
    use jobwright_adapters::log::ProcessEnd;
    use jobwright_core::AttemptId;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;

    /// What a Job and its pods have in common, and the Job.
    fn job(status: &Value) -> (Value, Manifest) {
        let attempt = AttemptId { job: "1".parse().unwrap(), number: 1 };
        let labels = json!({
            "jobwright/key": Key::new(&Prefix::default(), attempt).as_str(),
            "jobwright/session": "s", "jobwright/job": "1", "jobwright/attempt": "1",
            "job-name": "j",
        });
        let job = json!({
            "metadata": { "uid": "u", "name": "j", "labels": labels },
            "spec": { "activeDeadlineSeconds": 10, "template": {} },
            "status": status,
        });
        (labels, serde_json::from_value(job).unwrap())
    }

    fn pod(labels: &Value, uid: &str, status: &Value) -> Pod {
        let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u" });
        let pod = json!({
            "metadata": { "name": uid, "uid": uid, "labels": labels, "ownerReferences": [owner] },
            "status": status,
        });
        serde_json::from_value(pod).unwrap()
    }

    /// How an attempt is whose Job failed after so many of its ten seconds, for this reason, when
    /// its pod was gone.
    fn failed(after: u32, reason: &str) -> State {
        let (prefix, mut ledger) = (Prefix::default(), Ledger::default());
        let condition = json!({
            "type": "Failed", "status": "True", "reason": reason, "message": "so it is",
            "lastTransitionTime": format!("2026-01-01T00:00:{after:02}Z"),
        });
        let status = json!({ "startTime": "2026-01-01T00:00:00Z", "conditions": [condition] });
        let (labels, job) = job(&status);
        ledger.pod(&pod(&labels, "p", &json!({ "phase": "Running" })), &prefix);
        ledger.pod_gone("p");
        ledger.job(&job, &prefix);
        ledger.news().pop().unwrap().state
    }

    #[test]
    fn a_pod_that_is_taken_when_its_time_is_over_ran_out_of_time() {
        let check = |after, reason, expect: &str| match failed(after, reason) {
            State::Ended(End::Cluster(failure)) => assert_eq!(failure.code, expect),
            state => panic!("{state:?}"),
        };
        check(10, "DeadlineExceeded", "deadline");
        check(10, "BackoffLimitExceeded", "deadline");
        check(9, "BackoffLimitExceeded", "evicted");
    }

    fn taken(labels: &Value, uid: &str) -> Pod {
        let mut pod = pod(labels, uid, &json!({ "phase": "Running" }));
        pod.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        pod
    }

    #[test]
    fn a_pod_in_the_place_of_one_that_was_taken_away_does_not_count() {
        let (prefix, running) = (Prefix::default(), json!({ "phase": "Running" }));
        let (labels, job) = job(&json!({}));
        let check = |seen: &[Pod]| {
            let mut ledger = Ledger::default();
            ledger.job(&job, &prefix);
            seen.iter().for_each(|pod| ledger.pod(pod, &prefix));
            let deleted: Vec<_> = (0..LATE).flat_map(|_| ledger.tick()).collect();
            assert_eq!(deleted, [("j".to_owned(), "u".to_owned())], "its Job goes");
            let State::Running(_) = ledger.news().pop().unwrap().state else { panic!("both run") };
            ledger.pod_gone("first");
            assert!(ledger.news().is_empty(), "the other one runs still");
            ledger.pod_gone("other");
            let State::Ended(End::Cluster(failure)) = ledger.news().pop().unwrap().state else {
                panic!("nothing runs")
            };
            assert_eq!(failure.code, "evicted");
        };
        let (first, other) = (pod(&labels, "first", &running), pod(&labels, "other", &running));
        check(&[first, taken(&labels, "first"), other.clone()]);
        // A list has no order.
        check(&[taken(&labels, "first"), other.clone()]);
        check(&[other, taken(&labels, "first")]);
    }

    #[test]
    fn a_job_of_two_pods_ends_when_both_have() {
        let (prefix, mut ledger) = (Prefix::default(), Ledger::default());
        let (labels, job) = job(&json!({}));
        let running = json!({ "phase": "Running" });
        let succeeded = json!({ "phase": "Succeeded" });
        ledger.job(&job, &prefix);
        ledger.pod(&pod(&labels, "first", &running), &prefix);
        ledger.pod(&pod(&labels, "second", &running), &prefix);
        assert_eq!(ledger.news().pop().unwrap().state, State::Running(String::new()));
        // The controller takes the one that was seen first for the surplus: the other one goes on.
        ledger.pod(&taken(&labels, "first"), &prefix);
        assert!((0..=LOST).all(|_| ledger.tick().is_empty()), "its Job is left alone");
        assert_eq!(ledger.sight("u").unwrap().name, "second");
        assert_eq!(ledger.pods("u"), ["first", "second"]);
        ledger.pod(&pod(&labels, "second", &succeeded), &prefix);
        assert!(ledger.news().is_empty(), "the first one runs still");
        ledger.pod_gone("first");
        let end = State::Ended(End::Work(ProcessEnd::Exit(0)));
        assert_eq!(ledger.news().pop().unwrap().state, end);
    }

    #[test]
    fn a_surplus_pod_on_a_lost_node_is_not_waited_for_for_ever() {
        let (prefix, mut ledger) = (Prefix::default(), Ledger::default());
        let (labels, job) = job(&json!({}));
        ledger.job(&job, &prefix);
        ledger.pod(&pod(&labels, "first", &json!({ "phase": "Running" })), &prefix);
        ledger.pod(&pod(&labels, "second", &json!({ "phase": "Succeeded" })), &prefix);
        let ticks = (1..).find(|_| {
            ledger.tick();
            let news = ledger.news().pop();
            news.is_some_and(|it| matches!(it.state, State::Ended(_)))
        });
        assert_eq!(ticks, Some(LOST + 1));
    }
}
