//! Real exported packages, where the machine has them: they are not part of the repository. Each
//! must expand to what the README beside them says.

#![cfg(test)]

use std::path::PathBuf;

use jobwright_core::{Flow, JobKind, Output, OutputTrigger, Step};

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/packages");
    let found = folder.is_dir();
    if !found {
        eprintln!("skipped: there are no real packages at {}", folder.display());
    }
    found.then_some(folder)
}

/// Everything that an output needs, in declared order.
fn branch<'a>(flow: &'a Flow, output: &Output) -> Vec<&'a Step> {
    let mut wanted: Vec<_> = output.steps.clone();
    let mut at = 0;
    while at < wanted.len() {
        let step = flow.step(&wanted[at]).unwrap();
        for need in &step.needs {
            if !wanted.contains(&need.on.step) {
                wanted.push(need.on.step.clone());
            }
        }
        at += 1;
    }
    flow.steps.iter().filter(|step| wanted.contains(&step.name)).collect()
}

/// Describes each output of the primary flow on a line: trigger, executor, kinds of jobs.
fn describe(file: &str) -> Option<String> {
    let bundle = jobwright_package::read_path(folder()?.join(file)).unwrap();
    let again = jobwright_package::read_path(folder()?.join(file)).unwrap();
    assert_eq!(bundle.package.digest(), again.package.digest());
    let package = bundle.package;
    let flow = package.flow(&package.primary[0]).unwrap();
    let mut lines = Vec::new();
    let mut used = 0;
    for output in &flow.outputs {
        let steps = branch(flow, output);
        used += steps.len();
        let mut executors: Vec<_> = steps.iter().map(|step| step.executor.as_str()).collect();
        executors.dedup();
        let mut kinds = Vec::new();
        for kind in JobKind::ALL {
            match steps.iter().filter(|step| step.kind == kind).count() {
                0 => {}
                1 => kinds.push(kind.to_string()),
                count => kinds.push(format!("{count} {kind}")),
            }
        }
        let trigger = match output.trigger {
            OutputTrigger::Manual => "manual",
            OutputTrigger::Scheduled => "scheduled",
        };
        lines.push(format!("{trigger} {}: {}", executors.join("+"), kinds.join(", ")));
    }
    assert_eq!(used, flow.steps.len(), "outputs share no steps, and no step is without an output");
    let parameters: Vec<_> = flow.parameters.iter().map(|it| it.name.as_str()).collect();
    if !parameters.is_empty() {
        lines.push(format!("parameters {}", parameters.join(", ")));
    }
    Some(lines.join("\n"))
}

#[test]
fn they_expand_as_their_readme_says() {
    let check = |file: &str, expect: &[&str]| {
        if let Some(found) = describe(file) {
            assert_eq!(found, expect.join("\n"), "{file}");
        }
    };
    check(
        "flow_434_r6.4.zip",
        &[
            "manual photon: wrangle, profile, filewriter",
            "scheduled spark: ingest, wrangle, profile",
            "manual photon: ingest, wrangle, profile, filewriter",
            "manual photon: ingest, wrangle, profile, filewriter",
            "manual photon: ingest, wrangle, profile, filewriter",
        ],
    );
    check(
        "flow_18_r6.8.zip",
        &["manual databricksSpark: wrangle, filewriter", "parameters filename, outputfile"],
    );
    check(
        "flow_pricing_r8.6.zip",
        &[
            "scheduled dataflow: 5 ingest, artifactstaging, wrangle, profile, filewriter",
            "manual photon: 5 ingest, artifactstaging, wrangle, profile, publish",
        ],
    );
    check("flow_5_empty_r6.0.zip", &[]);
}
