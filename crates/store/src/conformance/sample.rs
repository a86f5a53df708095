//! What the checks write: documents and records that differ where it matters.

use jobwright_core::{
    Append, Commit, Deployment, DeploymentId, DeploymentName, Digest, Document, EnvironmentId,
    EnvironmentParameter, Epoch, Event, Events, FlowName, GroupId, GroupSummary, JobId, JobIndex,
    NodeId, OutputName, OutputTrigger, PackageName, ParameterName, Record, Release, ReleaseId, Run,
    RunGroup, RunId, RunPolicy, Seq, Status, Store, Timestamp,
};
use uuid::Uuid;

use super::Fault;

pub(super) const ONE: NodeId = NodeId(Uuid::from_u128(0x1111));
pub(super) const TWO: NodeId = NodeId(Uuid::from_u128(0x2222));
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

macro_rules! made {
    ($($(#[$doc:meta])* $name:ident: $type:ident($from:ty);)+) => {$(
        $(#[$doc])*
        pub(super) fn $name(from: $from) -> $type {
            $type::new(from).expect("the checks write only what is valid")
        }
    )+};
}

made! {
    group: GroupId(i64);
    deployment_id: DeploymentId(i64);
    release_id: ReleaseId(i64);
    run_id: RunId(i64);
    job: JobId(i64);
    environment_id: EnvironmentId(i64);
    deployment_name: DeploymentName(&str);
    package_name: PackageName(&str);
    flow_name: FlowName(&str);
    output_name: OutputName(&str);
    parameter_name: ParameterName(&str);
}

/// A row with `events` events, each of which tells its own position.
pub(super) fn record(id: i64, first: u64, epoch: u64, events: u32) -> Record {
    let at = |n: u32| Timestamp::from_millis(i64::from(n));
    let event = |n: u32| Event::Beat { job: JobIndex(n), attempt: 1, beat_by: at(n) };
    let start = u32::try_from(first % 1_000_000).unwrap_or(0);
    let events: Events = (start..start + events).map(event).collect();
    Record { group: group(id), first: Seq(first), epoch: Epoch(epoch), at: NOW, events }
}

pub(super) fn append(id: i64, first: u64, epoch: u64, events: u32) -> Append {
    Append { owner: ONE, record: record(id, first, epoch, events), summary: None }
}

pub(super) fn summed(id: i64, first: u64, epoch: u64, status: Status) -> Append {
    Append { summary: Some(summary(id, 1, status)), ..append(id, first, epoch, 1) }
}

pub(super) fn rows(journal: Vec<Append>) -> Commit {
    Commit { journal, ..Commit::default() }
}

pub(super) fn summary(id: i64, run: i64, status: Status) -> GroupSummary {
    GroupSummary {
        id: group(id),
        run: run_id(run),
        deployment: deployment_id(1),
        release: release_id(1),
        status,
        jobs: 3,
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(super) fn deployment(id: i64, name: &str) -> Document {
    Document::Deployment(Deployment {
        id: deployment_id(id),
        name: deployment_name(name),
        active: None,
        values: std::iter::once((parameter_name("ratio"), serde_json::json!(0.1 + 0.2))).collect(),
        object_rules: Vec::new(),
        value_rules: Vec::new(),
        run_policy: RunPolicy::Queue,
        limit: Some(4),
        retention: None,
        paused: false,
        webhooks: 0,
        created_by: None,
        updated_by: None,
        created_at: NOW,
        updated_at: NOW,
    })
}

pub(super) fn release(id: i64, deployment: i64) -> Document {
    Document::Release(Release {
        id: release_id(id),
        deployment: deployment_id(deployment),
        package: Digest::of(b"a package"),
        package_name: package_name("sales"),
        primary: vec![flow_name("main")],
        values: Default::default(),
        changes: Default::default(),
        created_by: None,
        created_at: NOW,
        updated_at: NOW,
    })
}

pub(super) fn run(id: i64, deployment: i64, key: Option<&str>) -> Document {
    let run = Run {
        id: run_id(id),
        session: Uuid::from_u128(7),
        deployment: deployment_id(deployment),
        release: release_id(1),
        groups: vec![RunGroup {
            id: group(id),
            outputs: vec![output_name("report")],
            first_job: job(1),
            jobs: 3,
        }],
        idempotency_key: key.map(str::to_owned),
        request: Digest::of(b"a request"),
        overrides: Default::default(),
        rerun_of: None,
        trigger: OutputTrigger::Manual,
        reference_date: NOW,
        parameters: Digest::of(b"parameters"),
        created_by: None,
        created_at: NOW,
    };
    Document::Run(run.into())
}

pub(super) fn schedule(id: i64, deployment: i64) -> Document {
    let schedule = serde_json::json!({
        "id": id, "deployment": deployment, "name": "nightly", "cron": "30 2 * * MON-FRI",
        "zone": "Europe/Berlin", "window": "1h", "cursor": NOW, "created_at": NOW,
        "updated_at": NOW,
    });
    let schedule = serde_json::from_value(schedule);
    Document::Schedule(schedule.expect("the checks write only what is valid"))
}

pub(super) fn backfill(id: i64, schedule: i64) -> Document {
    let backfill = serde_json::json!({
        "id": id, "schedule": schedule, "deployment": 1, "from": NOW, "to": NOW, "parallel": 1,
        "total": 1, "state": "running", "created_at": NOW, "updated_at": NOW,
    });
    let backfill = serde_json::from_value(backfill);
    Document::Backfill(backfill.expect("the checks write only what is valid"))
}

pub(super) fn environment(id: i64, name: &str) -> Document {
    Document::Environment(EnvironmentParameter {
        id: environment_id(id),
        name: parameter_name(name),
        value: serde_json::json!({ "nested": ["text \u{0} ü", 1.5, null] }),
    })
}

/// Makes a journal for each group, with one event.
pub(super) async fn journals(store: &dyn Store, groups: &[i64]) -> Result<(), Fault> {
    let journal = groups.iter().map(|id| append(*id, 1, 1, 1)).collect();
    Ok(store.commit(rows(journal).into()).await?)
}
