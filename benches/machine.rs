//! The machine alone: what one decision costs, without a store, an executor or a runtime.

#![expect(clippy::disallowed_methods, reason = "it reads the clock")]

#[path = "support/plans.rs"]
mod plans;
#[path = "support/shapes.rs"]
mod shapes;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use jobwright::core::{Epoch, ExecutorName, GroupId, Outcome, Plan, Success, Timestamp};
use jobwright::machine::{Capacity, Effect, Input, Report, Scheduler, StepResult};

use shapes::{EXECUTOR, Shape};

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let mut group = criterion.benchmark_group("machine");
    group.sampling_mode(SamplingMode::Flat);
    for (name, shape) in [
        ("groups 10k × 10", Shape::diamonds(10_000)),
        ("wide 100k", Shape::wide(100_000)),
        ("chain 10k", Shape::chain(10_000)),
        ("ladder 1k × (1 → 8 → 1)", Shape::ladder(1_000)),
        ("layered 100 × 1000", Shape::layered(100, 1_000)),
    ] {
        let plans = plans::plans(&shape)?;
        group.throughput(Throughput::Elements(shape.jobs() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations).map(|_| drive(plans.clone(), shape.jobs())).sum()
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// Drives a run to its end, every attempt succeeding in the turn after its dispatch.
fn drive(groups: Vec<(GroupId, Arc<Plan>)>, jobs: usize) -> Duration {
    let executor = ExecutorName::new(EXECUTOR).expect("the name is good in every shape");
    let capacity = Capacity { executors: vec![(executor, None)], pools: Vec::new() };
    let mut out = StepResult::default();
    let mut now = Timestamp::from_millis(0);
    let mut ended = 0;

    let begin = Instant::now();
    let mut machine = Scheduler::new(&capacity);
    let mut inputs = vec![Input::Submit { groups, epoch: Epoch(1) }];
    while !inputs.is_empty() {
        now = now + Duration::from_millis(1);
        out.clear();
        for input in inputs.drain(..) {
            machine.step(now, input, &mut out);
        }
        if out.more {
            inputs.push(Input::Tick);
        }
        black_box(&out.journal);
        for effect in out.effects.drain(..) {
            if let Effect::Dispatch(order) = effect {
                ended += 1;
                let report = Report::Ended(Outcome::Succeeded(Success::empty()));
                inputs.push(Input::Report { attempt: order.attempt, report });
            }
        }
    }
    let taken = begin.elapsed();
    assert!(machine.is_empty(), "every group has ended");
    assert_eq!(ended, jobs, "every job was dispatched once");
    taken
}
