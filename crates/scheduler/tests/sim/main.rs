//! Deterministic simulation of the machine: seeds become random groups and faults, an oracle
//! watches, and a seed that fails is printed with the command that repeats it.

mod damage;
mod engine;
mod executor;
mod exhaustive;
mod faults;
mod hand;
mod limits;
mod nodes;
mod notation;
mod oracle;
mod perform;
mod plan;
mod prefixes;
mod random;
mod rules;
mod store;
mod transitions;
mod workload;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use world::{Totals, World};

/// Runs one seed; where it fails, says how to repeat it.
fn run(seed: u64) -> (u64, u64, Totals) {
    let mut world = World::new(seed, None);
    if let Err(fault) = catch_unwind(AssertUnwindSafe(|| world.run())) {
        panic!(
            "seed {seed}: {}\nrepeat it, with all that happens, by\nJOBWRIGHT_SIM_SEED={seed} \
             cargo test -p jobwright-scheduler --release --test sim -- --nocapture one_seed",
            words(&*fault)
        );
    }
    (world.trace.hash, world.oracle.events, world.totals)
}

/// What a panic said.
fn words(fault: &(dyn Any + Send)) -> &str {
    let literal = fault.downcast_ref::<&str>().copied();
    literal.or_else(|| fault.downcast_ref::<String>().map(String::as_str)).unwrap_or("a fault")
}

fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the door through which a person picks seeds")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number of seeds, or a seed"))
}

#[test]
fn seeds() {
    for seed in 0..1000 {
        run(seed);
    }
}

/// What happens in random worlds must be all that can happen, or the oracle sees too little.
#[test]
fn seeds_reach_everything() {
    let mut missing = vec![
        ".started#",
        ".beat#",
        "retry@",
        ".ended#17",
        "succeeded Attempt",
        "failed Attempt",
        "failed Lost",
        "failed CrashLimit",
        "failed Rejected",
        "failed TotalTimeout",
        "over(failed TotalTimeout",
        "over(failed QueueTimeout",
        "over(skipped Need",
        "over(cancelled GroupCancelled",
        "(attempt kill",
        "(heartbeat kill",
        "(total kill",
        "(shutdown kill",
        "cancelled:requested",
        "cancelled:superseded",
        "cancelled:fail_fast",
        "cancel(fail_fast",
        "GROUP succeeded",
        "GROUP failed",
        "GROUP cancelled",
        ".adopted(e3)",
        "!stop",
        "!abandon",
        "!refuse",
        "pid 1",
        "fenced",
        "claims",
        "BeforeAppend",
        "AfterAppend",
        "Amid(1)",
        "is stopped until",
        "cannot renew until",
        "over from",
        "starts over",
    ];
    for seed in 0..600 {
        let mut world = World::new(seed, Some(String::new()));
        world.compare = 0;
        world.run();
        let lines = world.trace.lines.unwrap_or_default();
        missing.retain(|word| !lines.contains(word));
    }
    assert_eq!(missing, [""; 0], "what no seed reached");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7, 42, 1000, 31_337] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// Repeats the seed in `JOBWRIGHT_SIM_SEED` and prints all that happens.
#[test]
fn one_seed() {
    let Some(seed) = number("JOBWRIGHT_SIM_SEED") else { return };
    let mut world = World::new(seed, Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    println!("{:#?}", world.faults);
    println!("{}", world.trace.lines.unwrap_or_default());
    if let Err(fault) = result {
        resume_unwind(fault);
    }
}

/// Runs as many seeds as `JOBWRIGHT_SIM_SEEDS` says.
#[test]
fn soak() {
    let seeds = number("JOBWRIGHT_SIM_SEEDS").unwrap_or(50);
    #[expect(clippy::disallowed_methods, reason = "seeds per second are read by a person")]
    let begin = Instant::now();
    let mut all = Totals::default();
    let mut events = 0;
    for seed in 1_000_000..1_000_000 + seeds {
        let (_, of_seed, totals) = run(seed);
        events += of_seed;
        all.turns += totals.turns;
        all.steps += totals.steps;
        all.attempts += totals.attempts;
        all.crashes += totals.crashes;
        all.fenced += totals.fenced;
        all.taken_over += totals.taken_over;
        all.started_over += totals.started_over;
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {} turns, {} steps, {events} events, {} attempts, {} crashes, {} fenced rows, {} groups taken over, {} times started over, in {took:.1} s: {:.0} seeds/s",
        all.turns,
        all.steps,
        all.attempts,
        all.crashes,
        all.fenced,
        all.taken_over,
        all.started_over,
        seeds as f64 / took
    );
}
