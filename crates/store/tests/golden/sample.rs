//! Every event and every document, with every field and every variant of what they hold at least
//! once: what the golden bytes mean.

use std::sync::Arc;

use jobwright_core::webhook::{Announcement, Answer, Call, Delivery, Method, Moment, Webhook};
use jobwright_core::{
    Append, Audit, AuditId, CancelReason, CarriedJob, Cause, Change, Commit, Deed, DeliveryId,
    Deployment, DeploymentId, DeploymentName, Digest, Document, EnvironmentId,
    EnvironmentParameter, Epoch, Event, ExecutorName, Failure, FailureClass, FailurePolicy,
    FlowName, GroupId, GroupSummary, Handle, JobBlock, JobId, JobIndex, JobKind, Next, NodeId,
    Outcome, OutputName, OutputTrigger, PackageName, ParameterName, Plan, PlannedJob, PlannedNeed,
    PlannedStep, Policy, Record, Release, ReleaseId, Role, Run, RunContext, RunGroup, RunId,
    RunPolicy, Seq, Status, StepName, StopReason, Success, Timeout, Timestamp, Token, TokenId,
    Trigger, Verb, Verdict, WebhookId, parameter, rule,
};
use serde_json::json;
use uuid::Uuid;

pub(crate) const NODE: NodeId = NodeId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
pub(crate) const AT: Timestamp = Timestamp::from_millis(1_769_860_800_123);
const JOB: JobIndex = JobIndex(1);

pub(crate) fn group() -> GroupId {
    GroupId::new(7).unwrap()
}

fn plan() -> Plan {
    let run = RunContext {
        run: RunId::new(3).unwrap(),
        session: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002),
        deployment: DeploymentId::new(1).unwrap(),
        release: ReleaseId::new(2).unwrap(),
        package: Digest::of(b"package"),
        trigger: OutputTrigger::Scheduled,
        policy: RunPolicy::CancelPrevious,
        deployment_limit: Some(8),
        traceparent: None,
        announce: false,
        parameters: resolution(),
    };
    let policy = serde_json::from_value(json!({
        "retry": { "max_attempts": 3 },
        "timeouts": { "queue": "1h", "attempt": "30s", "total": "2h", "heartbeat": "500ms" },
        "priority": -3,
        "pool": { "name": "warehouse", "weight": 2 },
        "crash_limit": 1,
        "on_lost": "fail",
        "grace": "5s",
    }));
    let step = |step: &str| PlannedStep {
        step: StepName::new(step).unwrap(),
        flow: FlowName::new("main").unwrap(),
        kind: JobKind::Wrangle,
        executor: ExecutorName::new("local").unwrap(),
        policy: Policy::default().into(),
        optional: false,
    };
    let job = |name: &str| PlannedJob {
        shared: Arc::new(step(name)),
        payload: Arc::new(
            json!({ "argv": ["sort", "ü\u{0}"], "ratio": 0.1 + 0.2, "big": u64::MAX }),
        ),
        needs: Box::default(),
    };
    let need = |when| PlannedNeed { job: JobIndex(0), when };
    let shared = PlannedStep { policy: Arc::new(policy.unwrap()), optional: true, ..step("write") };
    let last = PlannedJob {
        shared: Arc::new(shared),
        payload: Arc::default(),
        needs: [Trigger::Succeeded, Trigger::Failed, Trigger::Done, Trigger::Always]
            .map(need)
            .into(),
    };
    Plan {
        run: Arc::new(run),
        first_job: JobId::new(40).unwrap(),
        outputs: vec![OutputName::new("report").unwrap()],
        on_failure: FailurePolicy::FailFast,
        jobs: vec![job("read"), last],
        carried: Box::default(),
    }
}

fn resolution() -> parameter::Resolution {
    use parameter::{Layer, Resolved, Shadowed, Value};
    let resolved = |name: &str, value, layer| Resolved {
        flow: None,
        name: ParameterName::new(name).unwrap(),
        value,
        layer,
        shadowed: Vec::new(),
    };
    let shadowed = Shadowed { layer: Layer::Default, value: Value::Integer(-1) };
    parameter::Resolution {
        reference_date: AT,
        parameters: vec![
            resolved("env.zone", Value::Text("UTC".into()), Layer::Environment),
            resolved("ratio", Value::Number(0.1), Layer::Release),
            resolved("dry", Value::Boolean(true), Layer::Schedule),
            resolved("token", Value::Secret("vault/token".into()), Layer::Deployment),
            Resolved {
                flow: Some(FlowName::new("main").unwrap()),
                shadowed: vec![shadowed],
                ..resolved("rows", Value::Integer(i64::MIN), Layer::Run)
            },
        ],
        digest: Digest::of(b"parameters"),
    }
}

fn ended(outcome: Outcome, next: Next) -> Event {
    Event::AttemptEnded { job: JOB, attempt: 2, outcome, next }
}

fn failed(class: FailureClass) -> Outcome {
    let failure = Failure::new(class, "exit", "it ended with 3").details(json!({ "exit": 3 }));
    Outcome::Failed(Box::new(failure))
}

pub(crate) fn events() -> Vec<Event> {
    let (job, attempt) = (JOB, 2);
    let stopping = |reason| Event::Stopping { job, attempt, reason, kill_by: AT };
    let job_ended = |cause| Event::JobEnded { job, verdict: Verdict::Skipped, cause };
    let retry = Next::Retry { at: AT };
    let mut events = vec![
        Event::Accepted { plan: Arc::new(plan()) },
        Event::Adopted { epoch: Epoch(2), node: NODE },
        Event::Ready { job, queue_by: AT, total_by: Timestamp::NEVER },
        Event::Requested { job, attempt, end_by: AT, beat_by: None },
        Event::Requested { job, attempt, end_by: AT, beat_by: Some(AT) },
        Event::Started { job, attempt, handle: None },
        Event::Started { job, attempt, handle: Some(Handle::new("pid 7")) },
        Event::Beat { job, attempt, beat_by: AT },
        stopping(StopReason::Cancelled { reason: CancelReason::Requested("by hand".into()) }),
        stopping(StopReason::TimedOut(Timeout::Attempt)),
        stopping(StopReason::TimedOut(Timeout::Total)),
        stopping(StopReason::TimedOut(Timeout::Heartbeat)),
        stopping(StopReason::Shutdown),
        ended(
            Outcome::Succeeded(Success::empty()),
            Next::End { verdict: Verdict::Succeeded, cause: Cause::Attempt },
        ),
        ended(Outcome::Succeeded(Success::with(json!({ "rows": [1, 2.5, null] }))), retry.clone()),
        job_ended(Cause::Need { job: JobIndex(0), was: Verdict::Failed }),
    ];
    let classes = [
        FailureClass::Retryable,
        FailureClass::Permanent,
        FailureClass::Cancelled,
        FailureClass::TimedOut,
        FailureClass::Lost,
        FailureClass::Rejected,
    ];
    events.extend(classes.map(|class| ended(failed(class), retry.clone())));
    let causes = [
        Cause::QueueTimeout,
        Cause::TotalTimeout,
        Cause::GroupCancelled,
        Cause::CrashLimit,
        Cause::Lost,
        Cause::Rejected,
    ];
    events.extend(causes.map(job_ended));
    let reasons = [CancelReason::FailFast { job }, CancelReason::Superseded];
    events.extend(reasons.map(|reason| Event::CancelRequested { reason }));
    events.push(Event::GroupEnded { verdict: Verdict::Cancelled });
    events
}

/// The beginning of a re-run.
pub(crate) fn rerun() -> Vec<Event> {
    let carried = CarriedJob {
        job: JobIndex(0),
        from: JobId::new(38).unwrap(),
        result: Success::with(json!({ "rows": 3 })),
    };
    let plan = |carried| Plan { carried: [carried].into(), ..plan() };
    let silent = CarriedJob { result: Success::empty(), ..carried.clone() };
    [carried, silent].map(|carried| Event::Accepted { plan: Arc::new(plan(carried)) }).into()
}

/// The beginning of a group whose end is announced.
pub(crate) fn announced() -> Vec<Event> {
    let mut plan = plan();
    plan.run = Arc::new(RunContext { announce: true, ..(*plan.run).clone() });
    vec![Event::Accepted { plan: Arc::new(plan) }]
}

#[expect(clippy::too_many_lines, reason = "one of each kind")]
pub(crate) fn documents() -> Vec<Document> {
    let (deployment, release) = (DeploymentId::new(1).unwrap(), ReleaseId::new(2).unwrap());
    let run = RunId::new(3).unwrap();
    let values = [(ParameterName::new("rows").unwrap(), json!(5))];
    let object = json!({
        "tableName": "connections", "onCondition": { "name": "a" }, "withCondition": { "name": "b" }
    });
    let value = json!({ "type": "s3Bucket", "on": "/dev/", "with": "prod" });
    let change = rule::RuleChange {
        rule: 0,
        place: "main/read /path".to_owned(),
        before: json!("dev"),
        after: json!("prod"),
    };
    vec![
        Document::Deployment(Deployment {
            id: deployment,
            name: DeploymentName::new("Sales – täglich").unwrap(),
            active: Some(release),
            values: values.clone().into(),
            object_rules: vec![serde_json::from_value(object).unwrap()],
            value_rules: vec![serde_json::from_value(value).unwrap()],
            run_policy: RunPolicy::Skip,
            limit: Some(4),
            retention: None,
            paused: false,
            webhooks: 0,
            created_by: None,
            updated_by: None,
            created_at: AT,
            updated_at: AT,
        }),
        Document::Release(Release {
            id: release,
            deployment,
            package: Digest::of(b"package"),
            package_name: PackageName::new("pos_report").unwrap(),
            primary: vec![FlowName::new("main").unwrap()],
            values: values.clone().into(),
            changes: rule::RuleChanges { object: vec![], value: vec![change] },
            created_by: None,
            created_at: AT,
            updated_at: AT,
        }),
        Document::Run(Arc::new(Run {
            id: run,
            session: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002),
            deployment,
            release,
            groups: vec![RunGroup {
                id: group(),
                outputs: vec![OutputName::new("report").unwrap()],
                first_job: JobId::new(40).unwrap(),
                jobs: 2,
            }],
            idempotency_key: Some("nightly".to_owned()),
            request: Digest::of(b"request"),
            overrides: values.into(),
            rerun_of: None,
            trigger: OutputTrigger::Manual,
            reference_date: AT,
            parameters: Digest::of(b"parameters"),
            created_by: None,
            created_at: AT,
        })),
        Document::Group(summary(Status::Canceled)),
        Document::Environment(EnvironmentParameter {
            id: EnvironmentId::new(5).unwrap(),
            name: ParameterName::new("env.zone").unwrap(),
            value: json!("UTC"),
        }),
    ]
}

/// Documents that came after the first format's files were written, which the format holds as well.
pub(crate) fn later() -> Vec<Document> {
    let by = TokenId::new(9).unwrap();
    let documents = documents();
    let [Document::Deployment(deployment), Document::Release(release), Document::Run(run), ..] =
        &documents[..]
    else {
        unreachable!("these come first")
    };
    let deployment = deployment.clone();
    vec![
        Document::Deployment(Deployment {
            retention: None,
            paused: true,
            webhooks: 0,
            created_by: Some(by),
            updated_by: Some(by),
            ..deployment
        }),
        Document::Release(Release { created_by: Some(by), ..release.clone() }),
        Document::Run(Arc::new(Run { created_by: Some(by), ..Run::clone(run) })),
        Document::Jobs(JobBlock {
            first: JobId::new(40).unwrap(),
            count: 2,
            run: RunId::new(3).unwrap(),
        }),
        Document::Token(Token {
            id: by,
            name: "nightly".to_owned(),
            role: Role::Operator,
            hash: Digest::of(b"a secret").to_string(),
            created_by: Some(TokenId::new(1).unwrap()),
            created_at: AT,
            expires_at: Some(AT),
        }),
        Document::Audit(Audit {
            id: AuditId::new(4).unwrap(),
            at: AT,
            by: Some(by),
            request: "POST /v4/deployments/1/run".to_owned(),
            deeds: [Verb::Create, Verb::Change, Verb::Delete, Verb::Cancel, Verb::Denied]
                .map(|verb| Deed::new(verb, RunId::new(3).unwrap()))
                .into(),
            seal: None,
        }),
    ]
}

/// Webhooks, and what they are to be told.
pub(crate) fn webhooks() -> Vec<Document> {
    let (deployment, release) = (DeploymentId::new(1).unwrap(), ReleaseId::new(2).unwrap());
    let output = OutputName::new("report").unwrap();
    let plain = Call {
        name: "plain".to_owned(),
        url: "https://example.org/hook".to_owned(),
        method: Method::Post,
        trigger: Moment::Done,
        outputs: Vec::new(),
        body: None,
        headers: Default::default(),
        secret: None,
        retry: true,
    };
    let full = Call {
        method: Method::Patch,
        trigger: Moment::Failure,
        outputs: vec![output.clone()],
        body: Some("{\"job\":\"$jobId\"}".to_owned()),
        headers: [("x-team".to_owned(), "blue".to_owned())].into(),
        secret: Some("hook-key".to_owned()),
        retry: false,
        ..plain.clone()
    };
    let webhook = |id, call, created_by| {
        let id = WebhookId::new(id).unwrap();
        Document::Webhook(Webhook {
            id,
            deployment,
            call,
            created_by,
            created_at: AT,
            updated_at: AT,
        })
    };
    let delivery = |failed, body: Option<&str>, last| {
        Document::Delivery(Delivery {
            id: DeliveryId::new(5).unwrap(),
            webhook: WebhookId::new(2).unwrap(),
            group: group(),
            key: "s.7.2".to_owned(),
            body: body.map(str::to_owned),
            failed,
            tries: 2,
            next_at: AT,
            last,
            created_at: AT,
        })
    };
    let answer = Answer { status: Some(500), error: Some("it failed".to_owned()) };
    vec![
        webhook(1, plain, None),
        webhook(2, full, Some(TokenId::new(1).unwrap())),
        Document::Announcement(Announcement {
            group: group(),
            run: RunId::new(3).unwrap(),
            session: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002),
            deployment,
            release,
            outputs: vec![output],
            status: Status::Failed,
            at: AT,
        }),
        delivery(false, Some("{}"), None),
        delivery(true, None, Some(answer)),
    ]
}

pub(crate) fn summary(status: Status) -> GroupSummary {
    GroupSummary {
        id: group(),
        run: RunId::new(3).unwrap(),
        deployment: DeploymentId::new(1).unwrap(),
        release: ReleaseId::new(2).unwrap(),
        status,
        jobs: 2,
        created_at: AT,
        updated_at: AT,
    }
}

/// What the golden database holds beside the documents: the events in two rows of a group that
/// ended, a group that did not, a content.
pub(crate) fn commits() -> [Commit; 2] {
    let events = events();
    let (head, tail) = events.split_at(5);
    let record = |group, first, events: &[Event]| Record {
        group,
        first: Seq(first),
        epoch: Epoch(1),
        at: AT,
        events: events.into(),
    };
    let row = |record, summary| Append { owner: NODE, record, summary };
    let other = GroupId::new(8).unwrap();
    let catalog = documents().into_iter().filter(|it| it.key() != group().into());
    [
        Commit {
            journal: vec![
                row(record(group(), 1, head), Some(summary(Status::Created))),
                row(record(other, 1, &head[..1]), None),
            ],
            catalog: catalog.map(Change::insert).collect(),
            contents: vec![Arc::from(&b"a script"[..])],
        },
        Commit {
            journal: vec![row(record(group(), 6, tail), Some(summary(Status::Canceled)))],
            ..Commit::default()
        },
    ]
}
