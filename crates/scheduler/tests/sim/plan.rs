//! Plans for tests, with as few words as possible.

use std::sync::Arc;

use jobwright_core::parameter::Resolution;
use jobwright_core::{
    CarriedJob, DeploymentId, Digest, ExecutorName, FailurePolicy, FlowName, GroupId, JobId,
    JobKind, OutputTrigger, Plan, PlannedJob, PlannedNeed, PlannedStep, Policy, ReleaseId,
    RunContext, RunId, RunPolicy, StepName, Success, Timestamp, Trigger,
};
use uuid::Uuid;

pub(crate) fn group_id(id: u64) -> GroupId {
    GroupId::new(id.cast_signed()).expect("tests use small ids")
}

/// A run of a deployment.
pub(crate) fn run(
    run: u64,
    deployment: u64,
    policy: RunPolicy,
    limit: Option<u32>,
) -> Arc<RunContext> {
    Arc::new(RunContext {
        run: RunId::new(run.cast_signed()).expect("tests use small ids"),
        session: Uuid::nil(),
        deployment: DeploymentId::new(deployment.cast_signed()).expect("tests use small ids"),
        release: ReleaseId::new(1).expect("one is an id"),
        package: Digest::of(b"package"),
        trigger: OutputTrigger::Manual,
        policy,
        deployment_limit: limit,
        traceparent: None,
        announce: run.is_multiple_of(2),
        parameters: Resolution {
            reference_date: Timestamp::from_millis(0),
            parameters: Vec::new(),
            digest: Digest::of(b"parameters"),
        },
    })
}

/// A job that runs on `executor`.
pub(crate) fn job(
    step: usize,
    executor: &str,
    policy: Policy,
    needs: Vec<PlannedNeed>,
) -> PlannedJob {
    let shared = PlannedStep {
        step: StepName::new(&format!("s{step}")).expect("a step's name"),
        flow: FlowName::new("flow").expect("a flow's name"),
        kind: JobKind::Wrangle,
        executor: ExecutorName::new(executor).expect("an executor's name"),
        policy: Arc::new(policy),
        optional: false,
    };
    PlannedJob {
        shared: Arc::new(shared),
        payload: Arc::new(serde_json::Value::Null),
        needs: needs.into(),
    }
}

pub(crate) fn need(job: usize, when: Trigger) -> PlannedNeed {
    PlannedNeed { job: job.into(), when }
}

/// A group's plan; `first_job` keeps the ids of jobs apart between groups.
pub(crate) fn plan(
    run: &Arc<RunContext>,
    first_job: u64,
    on_failure: FailurePolicy,
    jobs: Vec<PlannedJob>,
) -> Arc<Plan> {
    rerun(run, first_job, on_failure, jobs, &[])
}

/// A group's plan of which an earlier group has done some jobs.
pub(crate) fn rerun(
    run: &Arc<RunContext>,
    first_job: u64,
    on_failure: FailurePolicy,
    jobs: Vec<PlannedJob>,
    carried: &[usize],
) -> Arc<Plan> {
    let carried = carried.iter().map(|at| CarriedJob {
        job: (*at).into(),
        from: JobId::new(1).expect("one is an id"),
        result: Success::with(serde_json::json!(at)),
    });
    let plan = Plan {
        run: Arc::clone(run),
        first_job: JobId::new(first_job.cast_signed()).expect("tests use small ids"),
        outputs: Vec::new(),
        on_failure,
        jobs,
        carried: carried.collect(),
    };
    plan.check().expect("tests make plans that can be driven");
    Arc::new(plan)
}
