//! Deterministic simulation of the machine: seeds become random groups and faults, an oracle
//! watches, and a seed that fails is printed with the command that repeats it.

mod damage;
mod engine;
mod executor;
mod exhaustive;
mod faults;
mod hand;
mod limits;
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

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use world::{Totals, World};

/// Runs one seed; where it fails, says how to repeat it.
fn run(seed: u64) -> (u64, u64, Totals) {
    let mut world = World::new(seed, None);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(fault) = result {
        eprintln!("seed {seed} fails; repeat it, with all that happens, by");
        eprintln!(
            "JOBWRIGHT_SIM_SEED={seed} cargo test -p jobwright-scheduler --release --test sim -- --nocapture one_seed"
        );
        resume_unwind(fault);
    }
    (world.trace.hash, world.oracle.events, world.totals)
}

fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the door through which a person picks seeds")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number of seeds, or a seed"))
}

#[test]
fn seeds() {
    for seed in 0..2000 {
        run(seed);
    }
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
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {} turns, {} steps, {events} events, {} attempts, {} crashes, {} fenced rows in {took:.1} s: {:.0} seeds/s",
        all.turns,
        all.steps,
        all.attempts,
        all.crashes,
        all.fenced,
        seeds as f64 / took
    );
}

#[test]
fn survey() {
    let Some(seeds) = number("SURVEY") else { return };
    std::panic::set_hook(Box::new(|_| {}));
    let mut faults = std::collections::BTreeMap::<String, (u64, u64)>::new();
    let mut failed = 0;
    for seed in 0..seeds {
        let mut world = World::new(seed, None);
        if let Err(fault) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            let text = fault
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| (*fault.downcast_ref::<&str>().unwrap_or(&"?")).to_owned());
            let text: String =
                text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).take(150).collect();
            let mut text = text.replace('\n', " ");
            while text.contains("99") {
                text = text.replace("99", "9");
            }
            faults.entry(text).or_insert((0, seed)).0 += 1;
            failed += 1;
        }
    }
    let mut faults: Vec<_> = faults.into_iter().collect();
    faults.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    for (text, (n, seed)) in faults.iter().take(25) {
        println!("{n:5} seed {seed}: {text}");
    }
    println!("{failed} of {seeds} failed");
}
