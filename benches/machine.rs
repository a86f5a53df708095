//! The machine alone.

use std::sync::Arc;
use std::time::Instant;

use jobwright::core::parameter::{Layers, resolve};
use jobwright::core::{
    DeploymentId, Digest, Epoch, ExecutorName, FlowName, GroupId, JobId, JobIndex, JobKind,
    Outcome, OutputTrigger, Plan, PlannedJob, PlannedNeed, ReleaseId, RunContext, RunId, StepName,
    Success, Timestamp, Trigger,
};
use jobwright::machine::{Capacity, Effect, Input, Report, Scheduler, StepResult};

fn plan(run: &Arc<RunContext>, at: i64, jobs: &[PlannedJob]) -> Arc<Plan> {
    Arc::new(Plan {
        run: run.clone(),
        first_job: JobId::new(1 + at * 10).unwrap(),
        outputs: vec![],
        on_failure: Default::default(),
        jobs: jobs.to_vec(),
    })
}

fn main() {
    let groups = 10_000;
    let run = Arc::new(RunContext {
        run: RunId::new(1).unwrap(),
        session: Default::default(),
        deployment: DeploymentId::new(1).unwrap(),
        release: ReleaseId::new(1).unwrap(),
        package: Digest::of(b""),
        trigger: OutputTrigger::Manual,
        policy: Default::default(),
        deployment_limit: None,
        parameters: resolve(&[], &Layers::default(), Timestamp::from_millis(0)).unwrap(),
    });
    let executor = ExecutorName::new("mock").unwrap();
    let jobs: Vec<_> = (0..10u32)
        .map(|at| PlannedJob {
            shared: Arc::new(jobwright::core::PlannedStep {
                step: StepName::new(&at.to_string()).unwrap(),
                flow: FlowName::new("f").unwrap(),
                kind: JobKind::Wrangle,
                executor: executor.clone(),
                policy: Default::default(),
                optional: false,
            }),
            payload: Default::default(),
            needs: match at {
                0 => Box::default(),
                9 => (1..9)
                    .map(|job| PlannedNeed { job: JobIndex(job), when: Trigger::Succeeded })
                    .collect(),
                _ => Box::new([PlannedNeed { job: JobIndex(0), when: Trigger::Succeeded }]),
            },
        })
        .collect();
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    for _ in 0..rounds {
        let plans: Vec<_> =
            (0..groups).map(|at| (GroupId::new(at + 1).unwrap(), plan(&run, at, &jobs))).collect();
        let capacity = Capacity { executors: vec![(executor.clone(), None)], pools: vec![] };
        let mut machine = Scheduler::new(&capacity);
        let mut out = StepResult::default();
        let mut done = 0;
        let mut events = 0;
        let start = Instant::now();
        let mut inputs = vec![Input::Submit { groups: plans, epoch: Epoch(1) }];
        let mut now = Timestamp::from_millis(0);
        while !inputs.is_empty() {
            now = now + std::time::Duration::from_millis(1);
            out.clear();
            for input in inputs.drain(..) {
                machine.step(now, input, &mut out);
            }
            if out.more {
                inputs.push(Input::Tick);
            }
            events += out.journal.iter().map(|entry| entry.events.len()).sum::<usize>();
            for effect in out.effects.drain(..) {
                if let Effect::Dispatch(order) = effect {
                    done += 1;
                    inputs.push(Input::Report {
                        attempt: order.attempt,
                        report: Report::Ended(Outcome::Succeeded(Success::empty())),
                    });
                }
            }
        }
        let taken = start.elapsed();
        println!("{done} jobs {events} events {:.0} ns/job", taken.as_nanos() as f64 / done as f64);
    }
}
