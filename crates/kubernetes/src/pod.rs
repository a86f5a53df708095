//! What a pod says about its attempt: why it waits, where it runs, how it ended. Pure.

use jobwright_adapters::log::ProcessEnd;
use jobwright_adapters::remote::{End, State};
use jobwright_core::{Failure, FailureClass};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use serde_json::json;

use crate::manifest::CONTAINER;

/// One pod, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sight {
    /// Its name.
    pub(crate) name: String,
    /// How it is; never [`State::Gone`].
    pub(crate) state: State,
    /// What its program left.
    pub(crate) message: Option<String>,
    /// It is being deleted, and will be killed after so many seconds.
    pub(crate) leaves: Option<u32>,
    /// It is no more.
    pub(crate) is_deleted: bool,
    /// Its program has begun, so there is a log.
    pub(crate) has_begun: bool,
}

impl Sight {
    /// Tells whether its program did its work.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.state == State::Ended(End::Work(ProcessEnd::Exit(0)))
    }

    /// Tells whether somebody took it away: it is being deleted, or was.
    pub(crate) fn is_taken(&self) -> bool {
        self.leaves.is_some() || self.is_deleted
    }

    /// Tells whether nothing of it runs any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_deleted || matches!(self.state, State::Ended(_))
    }
}

/// Reads a pod.
pub(crate) fn read(pod: &Pod) -> Sight {
    let empty = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&empty);
    let container = container(status);
    let ended = container.and_then(|it| it.state.as_ref()?.terminated.as_ref());
    let running = container.and_then(|it| it.state.as_ref()?.running.as_ref());
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let leaves = pod.metadata.deletion_timestamp.as_ref();
    Sight {
        name: pod.metadata.name.clone().unwrap_or_default(),
        state: state(pod, status),
        message: ended.and_then(|it| it.message.clone()),
        leaves: leaves.map(|_| u32::try_from(grace).unwrap_or(0)),
        is_deleted: false,
        has_begun: ended.is_some() || running.is_some(),
    }
}

fn container(status: &PodStatus) -> Option<&ContainerStatus> {
    status.container_statuses.as_ref()?.iter().find(|it| it.name == CONTAINER)
}

fn state(pod: &Pod, status: &PodStatus) -> State {
    match status.phase.as_deref() {
        Some("Succeeded" | "Failed") => State::Ended(end(status)),
        Some("Running") => {
            let node = pod.spec.as_ref().and_then(|it| it.node_name.clone());
            State::Running(node.map(|node| format!("node {node}")).unwrap_or_default())
        }
        // `Unknown` is what a lost node leaves: whether it runs will be seen.
        Some(_) | None => State::Waiting(waiting(status)),
    }
}

/// Says why a pod has not begun, in the words that `kubectl` shows.
fn waiting(status: &PodStatus) -> String {
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    let reasons = containers.flatten().filter_map(|it| {
        let waiting = it.state.as_ref()?.waiting.as_ref()?;
        told(waiting.reason.as_deref()?, waiting.message.as_deref())
    });
    // What is merely under way says less than what is wrong.
    let ordinary = |words: &String| words == "ContainerCreating" || words == "PodInitializing";
    let reasons: Vec<String> = reasons.collect();
    let wrong = reasons.iter().find(|it| !ordinary(it)).or(reasons.first());
    if let Some(reason) = wrong {
        return reason.clone();
    }
    let unscheduled = condition(status, "PodScheduled").filter(|it| it.status == "False");
    let words = unscheduled.and_then(|it| told(it.reason.as_deref()?, it.message.as_deref()));
    words.unwrap_or_else(|| "its pod has not begun".to_owned())
}

fn told(reason: &str, message: Option<&str>) -> Option<String> {
    match message.map(str::trim).filter(|it| !it.is_empty()) {
        Some(message) => Some(format!("{reason}: {message}")),
        None => Some(reason.to_owned()),
    }
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.as_ref()?.iter().find(|it| it.type_ == kind)
}

/// Says what the end of a pod means. Engine's ends come before the program's own: a program that
/// was evicted has an exit code, too.
fn end(status: &PodStatus) -> End {
    let reason = status.reason.as_deref().unwrap_or_default();
    let words = |fallback: &str| match status.message.as_deref() {
        Some(message) if !message.is_empty() => message.to_owned(),
        Some(_) | None => fallback.to_owned(),
    };
    let cluster = |class, code, fallback: &str| {
        let details = json!({ "reason": reason });
        End::Cluster(Failure::new(class, code, words(fallback)).details(details))
    };
    let container = container(status).and_then(|it| it.state.as_ref()?.terminated.as_ref());
    let has_succeeded = status.phase.as_deref() == Some("Succeeded");
    match (reason, container) {
        _ if has_succeeded => End::Work(ProcessEnd::Exit(0)),
        ("Evicted" | "Preempting", _) => {
            cluster(FailureClass::Lost, "evicted", "its pod was evicted from its node")
        }
        ("NodeLost" | "NodeShutdown" | "Shutdown" | "Terminated", _) => {
            cluster(FailureClass::Lost, "node_lost", "its node was lost")
        }
        ("DeadlineExceeded", _) => deadline(&words("its pod ran for longer than it may")),
        _ if condition(status, "DisruptionTarget").is_some_and(|it| it.status == "True") => {
            let condition = condition(status, "DisruptionTarget");
            let message = condition.and_then(|it| it.message.clone());
            let message = message.unwrap_or_else(|| "its pod was taken off its node".to_owned());
            End::Cluster(Failure::new(FailureClass::Lost, "evicted", message))
        }
        (_, Some(ended)) => match ended.reason.as_deref() {
            Some("OOMKilled") => End::Cluster(
                Failure::retryable("out_of_memory", "it used more memory than it asked for")
                    .details(json!({ "exit_code": ended.exit_code })),
            ),
            Some(why @ ("ContainerCannotRun" | "StartError" | "RunContainerError")) => {
                let message = ended.message.as_deref().unwrap_or(why);
                End::Cluster(Failure::permanent(
                    "not_started",
                    format!("the program cannot be started: {message}"),
                ))
            }
            Some("ContainerStatusUnknown") => {
                cluster(FailureClass::Lost, "node_lost", "its node does not know how it ended")
            }
            Some(_) | None => match ended.signal.filter(|it| *it > 0) {
                Some(signal) => End::Work(ProcessEnd::Signal(signal)),
                None => End::Work(ProcessEnd::Exit(ended.exit_code)),
            },
        },
        // A node that will not have it, such as `OutOfcpu` or `UnexpectedAdmissionError`.
        (_, None) if !reason.is_empty() => {
            cluster(FailureClass::Rejected, "refused_by_node", "its node refused it")
        }
        (_, None) => cluster(FailureClass::Lost, "pod_failed", "its pod failed without a reason"),
    }
}

/// It ran into the limit of time that the cluster knows.
pub(crate) fn deadline(message: &str) -> End {
    End::Cluster(Failure::new(FailureClass::TimedOut, "deadline", message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(status: &Value) -> Sight {
        let pod = json!({ "metadata": { "name": "p" }, "spec": { "nodeName": "n7", "containers": [] },
            "status": status });
        read(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn why_it_waits_is_told_as_kubectl_does() {
        let check = |status: Value, expect: &str| {
            let sight = seen(&status);
            assert_eq!(sight.state, State::Waiting(expect.to_owned()));
            assert!(!sight.has_begun);
        };
        let waiting = |reason: &str, message: &str| {
            let waiting = json!({ "reason": reason, "message": message });
            json!({ "phase": "Pending", "containerStatuses":
                [{ "name": "work", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                   "state": { "waiting": waiting } }] })
        };
        check(json!({}), "its pod has not begun");
        check(waiting("ContainerCreating", ""), "ContainerCreating");
        check(
            waiting("ImagePullBackOff", "Back-off pulling image \"nope\""),
            "ImagePullBackOff: Back-off pulling image \"nope\"",
        );
        check(waiting("ErrImagePull", ""), "ErrImagePull");
        let unscheduled = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }] });
        check(unscheduled, "Unschedulable: 0/3 nodes are available");
    }

    #[test]
    fn ends_are_told_apart() {
        let ended = |phase: &str, ended: Value| {
            json!({ "phase": phase, "containerStatuses":
                [{ "name": "work", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                   "state": { "terminated": ended } }] })
        };
        let check = |status: Value, expect: &str| {
            let State::Ended(end) = seen(&status).state else { panic!("{status}") };
            let told = match end {
                End::Work(process) => format!("{process:?}"),
                End::Stopped => "stopped".to_owned(),
                End::Cluster(failure) => format!("{} {}", failure.class.as_str(), failure.code),
            };
            assert_eq!(told, expect, "{status}");
        };
        check(ended("Succeeded", json!({ "exitCode": 0, "reason": "Completed" })), "Exit(0)");
        check(ended("Failed", json!({ "exitCode": 3, "reason": "Error" })), "Exit(3)");
        check(ended("Failed", json!({ "exitCode": 137, "signal": 9 })), "Signal(9)");
        let oom = json!({ "exitCode": 137, "reason": "OOMKilled" });
        check(ended("Failed", oom), "retryable out_of_memory");
        let start = json!({ "exitCode": 128, "reason": "StartError", "message": "no such file" });
        check(ended("Failed", start), "permanent not_started");
        check(json!({ "phase": "Failed", "reason": "Evicted" }), "lost evicted");
        let mut evicted = ended("Failed", json!({ "exitCode": 143 }));
        evicted["reason"] = "Evicted".into();
        check(evicted, "lost evicted");
        check(json!({ "phase": "Failed", "reason": "NodeLost" }), "lost node_lost");
        check(json!({ "phase": "Failed", "reason": "DeadlineExceeded" }), "timed_out deadline");
        check(json!({ "phase": "Failed", "reason": "OutOfcpu" }), "rejected refused_by_node");
        check(json!({ "phase": "Failed" }), "lost pod_failed");
        let mut disrupted = ended("Failed", json!({ "exitCode": 143 }));
        disrupted["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True" }]);
        check(disrupted, "lost evicted");
    }
}
