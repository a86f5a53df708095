//! Validation of a package: what an import refuses, with every fault at once and the place of each.

mod artifact;
mod graph;
mod needs;
mod payload;
mod policy;
mod problem;
mod shell;

use std::collections::{BTreeMap, BTreeSet};

use super::Package;
use crate::flow::{Flow, Step};
use crate::name::{FlowName, OutputName, ParameterName, StepName};
use crate::near::Nearest;

pub use artifact::ArtifactError;
pub use artifact::MAX_ARTIFACT_PATH;
pub use payload::MAX_PAYLOAD;
pub use payload::MAX_PAYLOAD_DEPTH;
pub use policy::PolicyError;
pub use problem::PackageFault;
pub use problem::PackageFaults;
pub use problem::PackageProblem;

/// The most flows of a package.
pub const MAX_FLOWS: usize = 1_000;

/// The most steps of a package, over all its flows.
pub const MAX_STEPS: usize = 100_000;

impl Package {
    /// Checks that the package can be run: names are unique and lead somewhere, steps do not need
    /// each other in a circle, parameters are declared soundly and references name them, policies
    /// make sense, artifact paths stay in their directory, and nothing is too large.
    ///
    /// References to `env.` parameters are not looked up: they are resolved when a run begins.
    ///
    /// # Errors
    /// Returns every fault, sorted by flow, step and place in the payload. A package that has too
    /// many flows or steps is not looked at further.
    pub fn check(&self) -> Result<(), PackageFaults> {
        let mut faults = too_large(self);
        if faults.is_empty() {
            let mut found = Found { faults: Vec::new(), nearest: Nearest::default() };
            check_primary(self, &mut found);
            for flow in &self.flows {
                check_flow(flow, &mut found);
            }
            needs::check(self, &mut found);
            artifact::check(&self.artifacts, &mut found);
            faults = found.faults;
        }
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by(|left, right| left.place().cmp(&right.place()));
        Err(PackageFaults { faults })
    }
}

/// What has been found so far.
struct Found {
    faults: Vec<PackageFault>,
    nearest: Nearest,
}

impl Found {
    fn package(&mut self, problem: PackageProblem) {
        let (flow, step, pointer) = (None, None, String::new());
        self.faults.push(PackageFault { flow, step, pointer, problem });
    }

    fn flow(&mut self, flow: &FlowName, problem: PackageProblem) {
        let (flow, step, pointer) = (Some(flow.clone()), None, String::new());
        self.faults.push(PackageFault { flow, step, pointer, problem });
    }

    fn step(&mut self, at: (&FlowName, &StepName), pointer: String, problem: PackageProblem) {
        let (flow, step) = (Some(at.0.clone()), Some(at.1.clone()));
        self.faults.push(PackageFault { flow, step, pointer, problem });
    }
}

fn too_large(package: &Package) -> Vec<PackageFault> {
    let flows = package.flows.len();
    let steps = package.flows.iter().map(|flow| flow.steps.len()).sum();
    let mut found = Found { faults: Vec::new(), nearest: Nearest::default() };
    if flows > MAX_FLOWS {
        found.package(PackageProblem::TooManyFlows { found: flows });
    }
    if steps > MAX_STEPS {
        found.package(PackageProblem::TooManySteps { found: steps });
    }
    found.faults
}

fn check_primary(package: &Package, found: &mut Found) {
    if package.primary.is_empty() {
        found.package(PackageProblem::NoPrimary);
    }
    let known: BTreeSet<_> = package.flows.iter().map(|flow| &flow.name).collect();
    for name in package.primary.iter().filter(|name| !known.contains(name)) {
        let near = found.nearest.find(name.as_str(), known.iter().copied()).cloned();
        found.package(PackageProblem::UnknownPrimary { name: name.clone(), near });
    }
    for name in repeated(&package.primary) {
        found.package(PackageProblem::DuplicatePrimary { name: name.clone() });
    }
    for name in repeated(package.flows.iter().map(|flow| &flow.name)) {
        found.flow(name, PackageProblem::DuplicateFlow);
    }
}

fn check_flow(flow: &Flow, found: &mut Found) {
    for parameter in &flow.parameters {
        for error in parameter.check().err().unwrap_or_default() {
            let name = parameter.name.clone();
            found.flow(&flow.name, PackageProblem::Parameter { name, error });
        }
    }
    for name in repeated::<ParameterName>(flow.parameters.iter().map(|it| &it.name)) {
        found.flow(&flow.name, PackageProblem::DuplicateParameter { name: name.clone() });
    }
    for name in repeated(flow.steps.iter().map(|step| &step.name)) {
        found.step((&flow.name, name), String::new(), PackageProblem::DuplicateStep);
    }
    check_outputs(flow, found);
    let declared: BTreeMap<_, _> =
        flow.parameters.iter().map(|it| (it.name.as_str(), it)).collect();
    for step in &flow.steps {
        let at = (&flow.name, &step.name);
        check_policy(step, at, found);
        payload::check(&step.payload, &declared, at, found);
    }
}

fn check_policy(step: &Step, at: (&FlowName, &StepName), found: &mut Found) {
    for error in policy::check(&step.policy) {
        found.step(at, String::new(), PackageProblem::Policy(error));
    }
}

fn check_outputs(flow: &Flow, found: &mut Found) {
    let known: BTreeSet<_> = flow.steps.iter().map(|step| &step.name).collect();
    for name in repeated::<OutputName>(flow.outputs.iter().map(|output| &output.name)) {
        found.flow(&flow.name, PackageProblem::DuplicateOutput { name: name.clone() });
    }
    for output in &flow.outputs {
        let name = || output.name.clone();
        if output.steps.is_empty() {
            found.flow(&flow.name, PackageProblem::EmptyOutput { name: name() });
        }
        for step in output.steps.iter().filter(|step| !known.contains(step)) {
            let near = found.nearest.find(step.as_str(), known.iter().copied()).cloned();
            let (name, step) = (name(), step.clone());
            found.flow(&flow.name, PackageProblem::OutputOfUnknownStep { name, step, near });
        }
        for step in repeated(&output.steps) {
            let (name, step) = (name(), step.clone());
            found.flow(&flow.name, PackageProblem::OutputRepeatsStep { name, step });
        }
    }
}

/// Returns each name that stands there more than once, once and sorted.
fn repeated<'n, N: Ord>(names: impl IntoIterator<Item = &'n N>) -> BTreeSet<&'n N> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| !seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// Checks a package and tells its faults, one a line.
    fn told(package: &Json) -> String {
        let package: Package = serde_json::from_value(package.clone()).unwrap();
        let faults = package.check().err().map(|error| error.faults).unwrap_or_default();
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn step(name: &str, needs: &Json, payload: &Json) -> Json {
        json!({ "name": name, "kind": "wrangle", "executor": "local",
                "needs": needs, "payload": payload })
    }

    fn package(parameters: &Json, steps: &[Json], outputs: &Json) -> Json {
        json!({
            "name": "pos",
            "primary": ["main"],
            "flows": [
                { "name": "main", "parameters": parameters, "steps": steps, "outputs": outputs },
                { "name": "other", "steps": [
                    step("a", &json!([{ "flow": "main", "step": "read" }]), &json!(null)),
                ] },
            ],
        })
    }

    #[test]
    fn a_sound_package_passes() {
        let parameters = json!([
            { "name": "region", "type": "string" },
            { "name": "login", "type": "secret" },
        ]);
        let payload = json!({
            "command": ["sh", "-c", "cat \"$$1\"", "cat", "${region}"],
            "user": "$login", "to": "s3://${env.bucket}/$region-$region", "cost": "5 $$",
        });
        let steps = [
            step("read", &json!([]), &payload),
            step(
                "write",
                &json!([{ "step": "read" }, { "flow": "other", "step": "a" }]),
                &json!({}),
            ),
        ];
        let mut sound =
            package(&parameters, &steps, &json!([{ "name": "out", "steps": ["write"] }]));
        let digest = "0".repeat(64);
        sound["artifacts"] = ["script.sh", "sql/a b.sql", "sql/b.sql"]
            .map(|path| json!({ "path": path, "digest": digest, "size": 1 }))
            .into();
        assert_eq!(told(&sound), "");
    }

    #[test]
    fn names_and_needs_lead_somewhere() {
        let steps = [
            step(
                "read",
                &json!([{ "step": "wriet" }, { "flow": "othr", "step": "a" }]),
                &json!(null),
            ),
            step(
                "write",
                &json!([{ "step": "read" }, { "step": "read", "when": "failed" }]),
                &json!(null),
            ),
            step("write", &json!([{ "step": "write" }]), &json!(null)),
            step("self", &json!([{ "flow": "main", "step": "self" }]), &json!(null)),
        ];
        let outputs = json!([
            { "name": "out", "steps": ["wirte", "read", "read"] },
            { "name": "out", "steps": [] },
        ]);
        let parameters = json!([
            { "name": "region", "type": "choice", "choices": [] },
            { "name": "region", "type": "integer", "min": 2, "default": 1 },
        ]);
        let mut package = package(&parameters, &steps, &outputs);
        package["primary"] = json!(["main", "mian", "main"]);
        package["flows"][1]["name"] = "main".into();
        insta::assert_snapshot!(told(&package), @r#"
        primary flow `mian` is not in the package; did you mean `main`?
        flow `main` is named primary twice
        flow `main`: another flow has the same name
        flow `main`: parameter `region`: it has no choices
        flow `main`: parameter `region`: its default: expected at least 2, found 1
        flow `main`: two parameters are named `region`
        flow `main`: two outputs are named `out`
        flow `main`: output `out` names step `wirte`, which is not in the flow; did you mean `write`?
        flow `main`: output `out` names step `read` twice
        flow `main`: output `out` names no steps
        flow `main`, step `read`: it needs `wriet`, which is not there; did you mean `write`?
        flow `main`, step `read`: it needs `othr/a`, whose flow is not in the package
        flow `main`, step `self`: it needs itself
        flow `main`, step `write`: another step of the flow has the same name
        flow `main`, step `write`: it needs `read` twice
        "#);
        package["primary"] = json!([]);
        package["flows"] = json!([]);
        assert_eq!(told(&package), "no flow is primary: name at least one under `primary`");
    }

    #[test]
    fn a_circle_over_flows_is_named_whole() {
        let steps = [
            step("read", &json!([{ "step": "load" }]), &json!(null)),
            step("load", &json!([{ "flow": "other", "step": "a" }]), &json!(null)),
        ];
        let expect = "flow `main`, step `read`: the steps need each other in a circle: \
                      main/read -> main/load -> other/a -> main/read";
        assert_eq!(told(&package(&json!([]), &steps, &json!([]))), expect);
    }

    #[test]
    fn references_name_parameters_and_are_no_code() {
        let parameters =
            json!([{ "name": "region", "type": "string" }, { "name": "login", "type": "secret" }]);
        let payload = json!({
            "a/b": ["${regoin}", "x ${", "$region"], "url": "db://$login@host", "login": "$login",
            "command": ["bash", "-ec", "rm $region", "$region"],
        });
        let steps = [step("read", &json!([]), &payload)];
        insta::assert_snapshot!(told(&package(&parameters, &steps, &json!([]))), @r#"
        flow `main`, step `read`, payload at `/a~1b/0`: the flow declares no parameter `regoin` (a dollar sign is written `$$`); did you mean `region`?
        flow `main`, step `read`, payload at `/a~1b/1`: `${` at byte 2 has no `}`; a dollar sign is written `$$`
        flow `main`, step `read`, payload at `/command/2`: a reference is part of a shell's program, where its value would be run as code: pass it as an argument after the program (`$$1`) or read it from the environment
        flow `main`, step `read`, payload at `/url`: secret `login` must be the whole text, not a part of it
        "#);
    }

    #[test]
    fn policies_and_artifacts_make_sense() {
        let mut read = step("read", &json!([]), &json!(null));
        read["policy"] = json!({
            "retry": { "max_attempts": 0, "jitter": 101, "max_elapsed": "0s" },
            "timeouts": { "queue": "0s", "attempt": "1s", "heartbeat": "0s" },
            "pool": { "name": "gpu", "weight": 0 },
        });
        let mut package = package(&json!([]), &[read], &json!([]));
        let digest = "0".repeat(64);
        let long = "x".repeat(256);
        let paths = [
            "a",
            "A",
            "a/b",
            "/etc/passwd",
            "C:x",
            "../x",
            "x/../y",
            "x//y",
            "x/",
            ".",
            "",
            "x\\y",
            "x\0y",
            &long,
        ];
        package["artifacts"] =
            paths.map(|path| json!({ "path": path, "digest": digest, "size": 1 })).into();
        insta::assert_snapshot!(told(&package).replace(&long, "(long)"), @r#"
        artifact "A": its path is that of artifact `a` where case does not count
        artifact "/etc/passwd": the path is absolute or begins with a drive
        artifact "C:x": the path is absolute or begins with a drive
        artifact "../x": part `..` of the path is no plain name
        artifact "x/../y": part `..` of the path is no plain name
        artifact "x//y": part `` of the path is no plain name
        artifact "x/": part `` of the path is no plain name
        artifact ".": part `.` of the path is no plain name
        artifact "": part `` of the path is no plain name
        artifact "x\\y": the path holds a backslash or a control character
        artifact "x\0y": the path holds a backslash or a control character
        artifact "(long)": the path is longer than 1024 bytes, or a part of it than 255
        artifact "a/b": artifact `a` is a file on its path
        flow `main`, step `read`: policy: `retry.max_attempts` is 0: at least 1 attempt is needed
        flow `main`, step `read`: policy: `retry.jitter` is 101 per cent: 0 to 100 are allowed
        flow `main`, step `read`: policy: `retry.max_elapsed` is zero: leave it out or give it a length
        flow `main`, step `read`: policy: `timeouts.queue` is zero: leave it out or give it a length
        flow `main`, step `read`: policy: `timeouts.heartbeat` is zero: leave it out or give it a length
        flow `main`, step `read`: policy: `pool.weight` is 0: at least 1 is needed
        "#);
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let nested = |depth| (1..depth).fold(json!([]), |inner, _| json!([inner]));
        let check = |payload: &Json, expect: &str| {
            let steps = [step("read", &json!([]), payload)];
            assert_eq!(told(&package(&json!([]), &steps, &json!([]))), expect);
        };
        check(&nested(MAX_PAYLOAD_DEPTH), "");
        let deep = "flow `main`, step `read`: the payload has more than 64 lists and objects \
                    inside each other";
        check(&nested(MAX_PAYLOAD_DEPTH + 1), deep);
        check(&json!("x".repeat(MAX_PAYLOAD - 2)), "");
        let large = "flow `main`, step `read`: the payload has 8388609 bytes as JSON, 8388608 are \
                     allowed";
        check(&json!("x".repeat(MAX_PAYLOAD - 1)), large);

        let chain: Vec<_> = (0..=MAX_STEPS)
            .map(|n| step(&n.to_string(), &json!([{ "step": (n + 1).to_string() }]), &json!(null)))
            .collect();
        let mut package = package(&json!([]), &chain, &json!([]));
        let many = "the package has 100002 steps, 100000 are allowed";
        assert_eq!(told(&package), many);
        package["flows"] = (0..=MAX_FLOWS).map(|n| json!({ "name": n.to_string() })).collect();
        assert_eq!(told(&package), "the package has 1001 flows, 1000 are allowed");
    }
}
