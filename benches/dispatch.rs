//! Jobs per second through the whole engine, beside the floor: what the same work costs without
//! one. `cargo bench --bench dispatch` prints the table; `benches/README.md` tells the method.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it reads the clock, spawns what it measures, and reports"
)]

#[path = "support/floors.rs"]
mod floors;
#[path = "support/options.rs"]
mod options;
#[path = "support/place.rs"]
mod place;
#[path = "support/rig.rs"]
mod rig;
#[path = "support/shapes.rs"]
mod shapes;
#[path = "support/table.rs"]
mod table;
#[path = "support/work.rs"]
mod work;

use std::path::Path;

use anyhow::Result;
use jobwright::adapters::MockExecutor;
use serde_json::{Value, json};

use options::Options;
use rig::Kept;
use shapes::Shape;
use table::Row;
use work::{Floor, Place, Work};

const WARM_UPS: usize = 2;
const ROUNDS: usize = 9;

/// How many runs a sample of the durable row has, one after another.
const DURABLE_RUNS: usize = 5;

/// What is measured in one row.
struct Case {
    row: Row,
    work: Work,
}

fn main() -> Result<()> {
    let options = Options::read("dispatch")?;
    // Inside a spawned task: what `block_on` itself spawns goes a longer way to the threads.
    rig::runtime()?.block_on(async { tokio::spawn(measure_all(options)).await? })
}

async fn measure_all(options: Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cases = cases(options.quick)?;
    cases.retain(|case| options.wants(case.row.name));
    if options.quick {
        cases.iter_mut().for_each(|case| case.row.target = None);
    }
    let (warm_ups, rounds) = if options.quick { (0, 1) } else { (WARM_UPS, ROUNDS) };
    let rounds = options.rounds.unwrap_or(rounds);
    let mut place = Place { folder: folder.path().to_owned(), turn: 0 };
    for round in 0..warm_ups + rounds {
        eprintln!("round {} of {}", round + 1, warm_ups + rounds);
        // Each round begins with another row, so that none always follows the same one.
        let first = round % cases.len().max(1);
        cases.rotate_left(first);
        for case in &mut cases {
            place.turn += 1;
            let sample = case.work.measure(&place).await?;
            if round >= warm_ups {
                case.row.samples.push(sample);
            }
        }
        cases.rotate_right(first);
    }
    report(&options, &cases, rounds, folder.path());
    Ok(())
}

fn cases(quick: bool) -> Result<Vec<Case>> {
    // A smoke run goes through the same code with a hundredth of the jobs.
    let sized = |size: usize| if quick { size.div_ceil(100) } else { size };
    let (inline, spawned) = (MockExecutor::new(), MockExecutor::new().spawned());
    let null = Value::Null;
    let groups = Shape::diamonds(sized(10_000)).bundle(&null)?;
    let in_memory = |shape: Shape, executor: &MockExecutor| {
        let bundle = shape.bundle(&null)?;
        anyhow::Ok(Work::Memory { bundle, executor: executor.clone(), kept: Kept::Journals })
    };
    let of_groups = |executor: &MockExecutor, kept: Kept| Work::Memory {
        bundle: groups.clone(),
        executor: executor.clone(),
        kept,
    };
    let wide = || Shape::wide(sized(100_000));
    let chain = || Shape::chain(sized(10_000));
    let layered = || Shape::layered(100, sized(1_000));
    let durable = Shape::diamonds(sized(1_000).max(10)).bundle(&null)?;
    let processes = Shape::wide(sized(1_000)).bundle(&json!({ "command": [floors::PROGRAM] }))?;
    let runs = if quick { 1 } else { DURABLE_RUNS };
    let floor = |floor| Work::Floor { units: sized(100_000), floor };
    let (set, few) =
        (Floor::JoinSet { permits: None }, Floor::JoinSet { permits: Some(work::LIMIT) });
    let (every, forgetting) = (Kept::Journals, Kept::Verdicts);
    Ok(vec![
        Case::new("floor: spawn and join", floor(Floor::Same)),
        Case::new("floor: JoinSet", floor(set)),
        Case::new("floor: JoinSet, 1024 permits", floor(few)),
        Case::new("10k × 10, inline", of_groups(&inline, every)).target(0.8),
        Case::new("10k × 10, task per job", of_groups(&spawned, every)).target(0.35),
        Case::new("10k × 10, inline, ended forgotten", of_groups(&inline, forgetting)),
        Case::new("10k × 10, task per job, ended forgotten", of_groups(&spawned, forgetting)),
        Case::new("wide 100k, inline", in_memory(wide(), &inline)?),
        Case::new("wide 100k, task per job", in_memory(wide(), &spawned)?),
        Case::new("chain 10k, inline", in_memory(chain(), &inline)?),
        Case::new("chain 10k, task per job", in_memory(chain(), &spawned)?),
        Case::new("layered 100 × 1000, inline", in_memory(layered(), &inline)?),
        Case::new("layered 100 × 1000, task per job", in_memory(layered(), &spawned)?),
        Case::new("floor: append, nobody waits", floor(Floor::Append)).unit("rows"),
        // 50,000 jobs/s where a bare append reaches 370,000 rows/s.
        Case::new("SQLite FULL, 1000 × 10", Work::Durable { bundle: durable, runs })
            .target(0.135)
            .unit("rows"),
        Case::new("local processes", Work::Processes { bundle: processes })
            .target(0.8)
            .unit("processes"),
    ])
}

impl Case {
    fn new(name: &'static str, work: Work) -> Self {
        let row = Row { name, unit: "tasks", target: None, samples: Vec::new() };
        Self { row, work }
    }

    fn target(mut self, ratio: f64) -> Self {
        self.row.target = Some(ratio);
        self
    }

    fn unit(mut self, unit: &'static str) -> Self {
        self.row.unit = unit;
        self
    }
}

fn report(options: &Options, cases: &[Case], rounds: usize, folder: &Path) {
    let rows: Vec<_> = cases.iter().map(|case| case.row.clone()).collect();
    println!("## dispatch\n");
    for line in place::describe(&options.command, folder) {
        println!("- {line}");
    }
    println!("- median of {rounds} round(s) in turns, each row beside the floor just before it");
    for row in rows.iter().filter(|row| row.missed() > 0) {
        println!("- {}: the subscriber was too slow for {} turns", row.name, row.missed());
    }
    if options.quick {
        println!("- a smoke run: sizes are a hundredth, and the figures mean nothing");
    }
    println!("\n{}", table::markdown(&rows));
}
