//! Takes the path of a package, exported or native, and shows what becomes of it: what an import
//! would store, then each job group of a run as a Mermaid flowchart. The work itself is only
//! pretended, so no executor that the package names needs to be there.
//! Usage: `import_export FILE [--scheduled]`
#![expect(clippy::print_stdout, reason = "it talks to a person")]

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use jobwright::adapters::MockExecutor;
use jobwright::core::{Bundle, OutputTrigger, Package, Verdict};
use jobwright::store::MemoryStore;
use jobwright::{Engine, GroupView, Selection};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            println!("refused: {refusal:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (file, trigger) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [file] => (file, OutputTrigger::Manual),
        [file, "--scheduled"] => (file, OutputTrigger::Scheduled),
        _ => anyhow::bail!("usage: import_export FILE [--scheduled]"),
    };
    let bundle = jobwright::package::read_path(file).context("the package cannot be read")?;
    let engine = engine(&bundle).await?;
    let deployment = engine.create_deployment("import").await?.id;

    let preview = engine.dry_run_import(deployment, &bundle).await.context("the dry run")?;
    describe(&preview.package);
    let release = engine.import(deployment, &bundle, Default::default()).await?;
    println!("imported as release {}, which is active now", release.id);

    let run = engine.run(deployment).select(Selection::Trigger(trigger)).await?;
    println!("job groups of run {}: {}", run.id(), run.run().groups.len());
    let outcome = run.wait().await?;
    for group in run.groups() {
        println!("\n{}", mermaid(&engine.group(group).await?));
    }
    anyhow::ensure!(outcome.groups.iter().all(|(_, it)| *it == Verdict::Succeeded), "it failed");
    Ok(())
}

/// An engine that pretends to have every executor that the package names.
async fn engine(bundle: &Bundle) -> anyhow::Result<Engine> {
    let steps = bundle.package.flows.iter().flat_map(|flow| &flow.steps);
    let executors: BTreeSet<_> = steps.map(|step| step.executor.as_str()).collect();
    let mut builder = Engine::builder().store(MemoryStore::new());
    for executor in executors {
        builder = builder.executor(executor, MockExecutor::new());
    }
    Ok(builder.start().await?)
}

fn describe(package: &Package) {
    println!("package `{}`, artifacts: {}", package.name, package.artifacts.len());
    for flow in &package.flows {
        let primary = if package.primary.contains(&flow.name) { "primary flow" } else { "flow" };
        println!("{primary} `{}`, steps: {}", flow.name, flow.steps.len());
        for parameter in &flow.parameters {
            println!("  parameter `{}`", parameter.name);
        }
        for output in &flow.outputs {
            let trigger = match output.trigger {
                OutputTrigger::Manual => "manual",
                OutputTrigger::Scheduled => "scheduled",
            };
            println!("  output `{}`, {trigger}", output.name);
        }
    }
}

/// Draws a job group: each job with its kind, executor and status, each need as an arrow.
fn mermaid(group: &GroupView) -> String {
    let outputs: Vec<_> = group.plan.outputs.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!("%% job group {}: {}, {}", group.id, outputs.join(", "), group.status),
        "flowchart LR".to_owned(),
    ];
    for (job, planned) in group.jobs.iter().zip(&group.plan.jobs) {
        // In a label `#` begins an entity and a quotation mark ends it.
        let step = planned.step.as_str().replace('#', "#35;").replace('"', "#quot;");
        let (id, kind, executor, status) = (job.id, job.kind, &job.executor, job.status);
        lines.push(format!("    j{id}[\"{step}<br/>{kind} on {executor}<br/>{status}\"]"));
        for need in &planned.needs {
            lines.push(format!("    j{} --> j{id}", group.jobs[need.job.at()].id));
        }
    }
    lines.join("\n")
}
