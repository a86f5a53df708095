//! Everything that is promised of Spark, on a real one.
//! Usage: `spark [SCENARIO [N]]… [with EXAMPLE]`, where `EXAMPLE` is the program examples/spark.rs.
//!
//! A scenario takes seconds, since every driver is a JVM, so these are no tests of the usual kind:
//! they share a cluster, run one after the other, and each tells how long it took.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of the tests: it may fail, and it speaks"
)]

mod bench;
#[path = "../support/cluster.rs"]
mod cluster;
mod faults;
mod kill9;
#[path = "../../../postgres/tests/support/cluster.rs"]
#[allow(dead_code, reason = "the tests of the store use all of it")]
mod postgres;
mod proxy;
mod runs;
mod stage;
mod submit;

use std::time::Instant;

use stage::Stage;

/// What is run where nothing is asked for.
const USUAL: [&str; 13] = [
    "conformance",
    "wrangle",
    "failure",
    "stop",
    "killed",
    "class",
    "unanswered",
    "crash",
    "master",
    "worker",
    "submit",
    "kill9",
    "nodes",
];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["engine", setting] => return kill9::engine(setting).await,
        ["doomed", place, group] => return faults::engine(place, group).await,
        _ => {}
    }
    let mut chosen: Vec<(&str, Option<u32>)> = Vec::new();
    let (arguments, example) = match arguments.iter().position(|it| it == "with") {
        Some(at) => (&arguments[..at], arguments.get(at + 1)),
        None => (&arguments[..], None),
    };
    for argument in arguments {
        match argument.parse() {
            Ok(number) => chosen.last_mut().expect("a number follows a scenario").1 = Some(number),
            Err(_) => chosen.push((argument, None)),
        }
    }
    if chosen.is_empty() && example.is_none() {
        chosen = USUAL.map(|name| (name, None)).into();
    }
    let began = Instant::now();
    let stage = Stage::set();
    println!("a master and a worker: {:.1} s", began.elapsed().as_secs_f64());
    for (name, number) in chosen {
        let began = Instant::now();
        match name {
            "conformance" => runs::conformance(&stage).await,
            "wrangle" => runs::wrangle(&stage).await,
            "failure" => runs::failure(&stage).await,
            "stop" => runs::stop(&stage).await,
            "killed" => runs::killed(&stage).await,
            "class" => runs::class(&stage).await,
            "unanswered" => faults::unanswered(&stage).await,
            "crash" => faults::crash(&stage).await,
            "master" => faults::master(&stage).await,
            "worker" => faults::worker().await,
            "submit" => submit::submit(&stage).await,
            "kill9" => kill9::kill9(&stage, number.unwrap_or(3)).await,
            "nodes" => kill9::nodes(&stage, number.unwrap_or(2)).await,
            "bench" => bench::bench(&stage, number.unwrap_or(20)).await,
            other => panic!("no scenario `{other}`"),
        }
        println!("{name}: {:.1} s", began.elapsed().as_secs_f64());
    }
    if let Some(example) = example {
        runs::example(&stage, example).await;
        println!("{example}");
    }
    println!("all: {:.1} s", began.elapsed().as_secs_f64());
}
