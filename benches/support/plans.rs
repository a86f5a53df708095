//! Shapes as plans, for the machine alone.

use std::sync::Arc;

use anyhow::Result;
use jobwright::core::parameter::{Layers, resolve};
use jobwright::core::{
    DeploymentId, Digest, ExecutorName, FlowName, GroupId, JobId, JobKind, OutputTrigger, Plan,
    PlannedJob, PlannedNeed, PlannedStep, ReleaseId, RunContext, RunId, StepName, Timestamp,
    Trigger,
};

use super::shapes::{EXECUTOR, Shape};

/// Makes the plans of a run of the shape, as expansion would: what does not differ between jobs
/// is shared.
pub(crate) fn plans(shape: &Shape) -> Result<Vec<(GroupId, Arc<Plan>)>> {
    let run = Arc::new(RunContext {
        run: RunId::new(1)?,
        session: Default::default(),
        deployment: DeploymentId::new(1)?,
        release: ReleaseId::new(1)?,
        package: Digest::of(b""),
        trigger: OutputTrigger::Manual,
        policy: Default::default(),
        deployment_limit: None,
        traceparent: None,
        announce: false,
        parameters: resolve(&[], &Layers::default(), Timestamp::from_millis(0))?,
    });
    let (executor, flow) = (ExecutorName::new(EXECUTOR)?, FlowName::new("main")?);
    let payload = Arc::default();
    let mut plans = Vec::with_capacity(shape.groups.len());
    let mut first_job = 1;
    for (group, id) in shape.groups.iter().zip(1..) {
        let mut jobs = Vec::with_capacity(group.len());
        for (at, needs) in group.iter().enumerate() {
            let need = |job: &usize| PlannedNeed { job: (*job).into(), when: Trigger::Succeeded };
            let shared = PlannedStep {
                step: StepName::new(&at.to_string())?,
                flow: flow.clone(),
                kind: JobKind::Wrangle,
                executor: executor.clone(),
                policy: Default::default(),
                optional: false,
            };
            jobs.push(PlannedJob {
                shared: Arc::new(shared),
                payload: Arc::clone(&payload),
                needs: needs.iter().map(need).collect(),
            });
        }
        let run = Arc::clone(&run);
        let on_failure = Default::default();
        let first = JobId::new(first_job)?;
        first_job += i64::try_from(jobs.len())?;
        let plan = Plan {
            run,
            first_job: first,
            outputs: Vec::new(),
            on_failure,
            jobs,
            carried: Box::default(),
        };
        plans.push((GroupId::new(id)?, Arc::new(plan)));
    }
    Ok(plans)
}
