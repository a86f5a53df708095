//! From the model to steps. Each output object becomes its own steps; two outputs never share any:
//!
//! ```text
//! schemadrift → sqlexecution (before) ─┬→ fileconverter ───┐
//!                                      ├→ ingest ──────────┼→ wrangle ─┬→ profile
//!                                      └→ artifactstaging ─┘           ├→ filewriter ─┐
//!                                                                      └→ publish ────┴→ sqlexec-
//!                                                                                  ution (after)
//! ```
//!
//! A publication needs the transform, not the file writers: it loads a result, and a file that
//! cannot be written is no reason to leave a table stale. Scripts of one side run one after the
//! other, since a later one may use what an earlier one made.

use std::collections::BTreeSet;

use jobwright_core::parameter::Parameter;
use jobwright_core::{
    ExecutorName, FailurePolicy, Flow, FlowName, JobKind, NameError, Need, Output, OutputName,
    OutputTrigger, Policy, Step, StepName, StepRef, Trigger,
};
use serde_json::{Value, json};

use super::ExportError;
use super::dataset::Preparation;
use super::graph::{Graph, source};
use super::model::{Export, OutputObject, Target, Work};
use super::name::Names;
use super::parameter::Declared;
use super::payload::{Budget, Payloads};
use super::row::Row;
use super::text::literal;
use super::wrangle::Transform;
use crate::files::Files;

/// Expands one flow of an export.
pub(super) fn expand<'a>(
    export: &Export<'a>,
    graph: &Graph,
    files: &Files,
    budget: &mut Budget,
    flow: usize,
    name: &FlowName,
) -> Result<Flow, ExportError> {
    let exported = &export.flows[flow];
    let declared = Declared::new(&exported.overrides);
    let payloads = Payloads { export, declared, budget };
    let mut expansion = Expansion {
        payloads,
        export,
        graph,
        files,
        flow,
        step_names: Names::default(),
        output_names: Names::default(),
        steps: Vec::new(),
        outputs: Vec::new(),
    };
    expansion.declare_own()?;
    for object in &exported.outputs {
        expansion.output(object)?;
    }
    let Expansion { payloads, steps, outputs, .. } = expansion;
    let parameters: Vec<Parameter> = payloads.declared.parameters;
    Ok(Flow {
        name: name.clone(),
        description: exported.row.maybe_text("description")?.unwrap_or("").to_owned(),
        on_failure: FailurePolicy::default(),
        parameters,
        steps,
        outputs,
    })
}

struct Expansion<'a, 'e> {
    payloads: Payloads<'a, 'e>,
    export: &'e Export<'a>,
    graph: &'e Graph,
    files: &'e Files,
    flow: usize,
    step_names: Names,
    output_names: Names,
    steps: Vec<Step>,
    outputs: Vec<Output>,
}

/// What the steps of one output have in common.
struct Branch {
    /// How the output is called, and how its steps' names begin.
    label: String,
    executor: ExecutorName,
    /// The output object.
    id: i64,
    /// The recipe, as payloads show it.
    recipe: Value,
    /// The flow, as payloads show it.
    flow: Value,
    /// Where its steps begin.
    first: usize,
}

impl<'a> Expansion<'a, '_> {
    /// Declares what the flow's own objects have, whether or not an output uses it.
    fn declare_own(&mut self) -> Result<(), ExportError> {
        let export = self.export;
        let overrides = &export.flows[self.flow].overrides;
        for parameter in &export.flows[self.flow].parameters {
            self.payloads.declared.stand_in(parameter, overrides)?;
        }
        for node in export.nodes.iter().filter(|node| node.flow == self.flow) {
            let Work::Dataset(script) = node.work else { continue };
            for parameter in &export.datasets[&script].parameters {
                self.payloads.declared.stand_in(parameter, overrides)?;
            }
        }
        Ok(())
    }

    fn output(&mut self, object: &OutputObject<'a>) -> Result<(), ExportError> {
        self.payloads.budget.output = object.row.id;
        let branch = self.branch(object)?;
        let upstream = self.graph.upstream(&self.export.nodes, object.node);
        self.payloads.budget.charge(upstream.len() * 48)?;
        let datasets = self.datasets(&upstream);
        let before = self.before(object, &branch, &datasets)?;
        let prepared = self.prepare(&branch, &upstream, &datasets, &before)?;
        let needs = if prepared.is_empty() { before } else { prepared };
        let transform =
            Transform { object, flow: self.flow, upstream: &upstream, datasets: &datasets };
        let mut payload = self.payloads.wrangle(&transform)?;
        payload.insert("recipe".to_owned(), branch.recipe.clone());
        payload.insert("flow".to_owned(), branch.flow.clone());
        let payload = Value::Object(payload);
        let wrangle = self.add(&branch, JobKind::Wrangle, "wrangle", &needs, payload)?;
        self.after(object, &branch, wrangle)?;
        self.finish(object, &branch)
    }

    fn branch(&mut self, object: &OutputObject<'a>) -> Result<Branch, ExportError> {
        let id = object.row.id;
        let node = source(&self.export.nodes, object.node);
        let (Work::Recipe(script) | Work::Dataset(script)) = self.export.nodes[node].work else {
            let node = self.export.nodes[object.node].row.id;
            return Err(ExportError::OutputNode { id, node });
        };
        let recipe = self.export.recipe_name(script);
        let label = if object.row.flag("isAdhoc")? {
            recipe.clone()
        } else {
            format!("{recipe} (scheduled)")
        };
        let executor = object.row.text("execution")?;
        let executor = ExecutorName::new(executor).map_err(named("outputobjects", id))?;
        let flow = self.export.flows[self.flow].row;
        Ok(Branch {
            label: self.output_names.take(&label, id),
            executor,
            id,
            recipe: json!({"id": script, "name": literal(&recipe)}),
            flow: json!({"id": flow.id, "name": literal(flow.maybe_text("name")?.unwrap_or("").trim())}),
            first: self.steps.len(),
        })
    }

    /// Lists the datasets upstream, each once, with the flow that holds it.
    fn datasets(&self, upstream: &[usize]) -> Vec<(i64, usize)> {
        let mut seen = BTreeSet::new();
        let nodes = upstream.iter().map(|&at| &self.export.nodes[at]);
        nodes
            .filter_map(|node| match node.work {
                Work::Dataset(script) => seen.insert(script).then_some((script, node.flow)),
                Work::Recipe(_) | Work::Reference => None,
            })
            .collect()
    }

    /// Makes the steps that come before anything is read. Returns the last one.
    fn before(
        &mut self,
        object: &OutputObject<'a>,
        branch: &Branch,
        datasets: &[(i64, usize)],
    ) -> Result<Vec<usize>, ExportError> {
        let mut last = Vec::new();
        if let Some(options) = drift(object.row)? {
            let options = options.map(|row| self.payloads.fields(row, &["id"])).transpose()?;
            let inputs = self.describe(datasets)?;
            let payload = json!({"options": options.unwrap_or_default(), "inputs": inputs});
            last = vec![self.add(branch, JobKind::SchemaDrift, "schemadrift", &last, payload)?];
        }
        self.scripts(object, branch, Side::Before, last)
    }

    /// Makes the steps that bring what the transform reads to where it can read it.
    fn prepare(
        &mut self,
        branch: &Branch,
        upstream: &[usize],
        datasets: &[(i64, usize)],
        before: &[usize],
    ) -> Result<Vec<usize>, ExportError> {
        let mut made = Vec::new();
        for kind in [Preparation::Convert, Preparation::Ingest] {
            for &(script, flow) in datasets {
                let dataset = &self.export.datasets[&script];
                if dataset.preparation()? != kind {
                    continue;
                }
                let job = match kind {
                    Preparation::Convert => JobKind::FileConverter,
                    Preparation::None | Preparation::Ingest => JobKind::Ingest,
                };
                let described = self.payloads.dataset(script, flow)?;
                let payload = json!({"dataset": described, "recipe": branch.recipe});
                let name = format!("{job} {}", self.export.recipe_name(script));
                made.push(self.add(branch, job, &name, before, payload)?);
            }
        }
        let artifacts = self.artifacts(upstream)?;
        if !artifacts.is_empty() {
            let payload = json!({"artifacts": artifacts, "recipe": branch.recipe});
            let kind = JobKind::ArtifactStaging;
            made.push(self.add(branch, kind, "artifactstaging", before, payload)?);
        }
        Ok(made)
    }

    /// Lists the mapping artifacts that recipes upstream use, each with the file that holds it.
    fn artifacts(&self, upstream: &[usize]) -> Result<Vec<Value>, ExportError> {
        let mut seen = BTreeSet::new();
        let mut artifacts = Vec::new();
        for &at in upstream {
            let (Work::Recipe(script) | Work::Dataset(script)) = self.export.nodes[at].work else {
                continue;
            };
            let Some(recipe) = self.export.recipes.get(&script) else { continue };
            for &id in recipe.artifacts.iter().filter(|&&id| seen.insert(id)) {
                let row = self.export.artifacts.get(&id).copied();
                let row = row.ok_or_else(|| recipe.row.dangling("artifactId", "artifacts", id))?;
                let storage = row.maybe_int("artifactStorageId")?.unwrap_or(id);
                let file = format!("artifact_{storage}.data");
                if !self.files.contains(&file) {
                    return Err(ExportError::MissingArtifact { id, file });
                }
                let kind = row.maybe_text("type")?.unwrap_or("");
                artifacts.push(json!({"id": id, "type": literal(kind), "file": file}));
            }
        }
        Ok(artifacts)
    }

    /// Makes the steps that follow the transform.
    fn after(
        &mut self,
        object: &OutputObject<'a>,
        branch: &Branch,
        wrangle: usize,
    ) -> Result<(), ExportError> {
        if object.row.flag("profiler")? {
            let payload = json!({"recipe": branch.recipe, "output": branch.id});
            self.add(branch, JobKind::Profile, "profile", &[wrangle], payload)?;
        }
        let mut results = Vec::new();
        for target in &object.write_settings {
            let mut payload = self.payloads.write_setting(target, self.flow)?;
            payload.insert("recipe".to_owned(), branch.recipe.clone());
            let name = format!("filewriter {}", target.row.id);
            let payload = Value::Object(payload);
            results.push(self.add(branch, JobKind::FileWriter, &name, &[wrangle], payload)?);
        }
        for target in &object.publications {
            let mut payload = self.payloads.publication(target, self.flow)?;
            payload.insert("recipe".to_owned(), branch.recipe.clone());
            let name = format!("publish {}", target.row.id);
            let payload = Value::Object(payload);
            results.push(self.add(branch, JobKind::Publish, &name, &[wrangle], payload)?);
        }
        let last = if results.is_empty() { vec![wrangle] } else { results };
        self.scripts(object, branch, Side::After, last)?;
        Ok(())
    }

    /// Makes the steps of the scripts of one side, one after the other. Returns the last one.
    fn scripts(
        &mut self,
        object: &OutputObject<'a>,
        branch: &Branch,
        side: Side,
        mut last: Vec<usize>,
    ) -> Result<Vec<usize>, ExportError> {
        for target in &object.scripts {
            if Side::of(target)? != side {
                continue;
            }
            let mut payload = self.payloads.script(target, self.flow)?;
            payload.insert("recipe".to_owned(), branch.recipe.clone());
            let name = format!("sqlexecution {}", target.row.id);
            let payload = Value::Object(payload);
            last = vec![self.add(branch, JobKind::SqlExecution, &name, &last, payload)?];
        }
        Ok(last)
    }

    fn describe(&mut self, datasets: &[(i64, usize)]) -> Result<Vec<Value>, ExportError> {
        let described = datasets.iter().map(|&(script, flow)| self.payloads.dataset(script, flow));
        described.map(|it| it.map(Value::Object)).collect()
    }

    fn add(
        &mut self,
        branch: &Branch,
        kind: JobKind,
        name: &str,
        needs: &[usize],
        payload: Value,
    ) -> Result<usize, ExportError> {
        self.payloads.budget.charge(512)?;
        let name = self.step_names.take(&format!("{}: {name}", branch.label), branch.id);
        let name = StepName::new(&name).map_err(named("outputobjects", branch.id))?;
        let need = |&at: &usize| Need {
            on: StepRef { flow: None, step: self.steps[at].name.clone() },
            when: Trigger::Succeeded,
        };
        self.steps.push(Step {
            needs: needs.iter().map(need).collect(),
            name,
            kind,
            executor: branch.executor.clone(),
            payload,
            policy: Policy::default(),
            optional: false,
        });
        Ok(self.steps.len() - 1)
    }

    /// Makes the output: its result is what none of its own steps needs.
    fn finish(&mut self, object: &OutputObject<'a>, branch: &Branch) -> Result<(), ExportError> {
        let steps = &self.steps[branch.first..];
        let needed: BTreeSet<&StepName> =
            steps.iter().flat_map(|step| step.needs.iter().map(|need| &need.on.step)).collect();
        let last = steps.iter().map(|step| &step.name).filter(|name| !needed.contains(name));
        let steps = last.cloned().collect();
        let name = OutputName::new(&branch.label).map_err(named("outputobjects", branch.id))?;
        let manual = object.row.flag("isAdhoc")?;
        let trigger = if manual { OutputTrigger::Manual } else { OutputTrigger::Scheduled };
        self.outputs.push(Output { name, trigger, steps });
        Ok(())
    }
}

/// On which side of the job a script runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Side {
    fn of(script: &Target<'_>) -> Result<Self, ExportError> {
        let word = script.row.text("type")?.to_lowercase();
        if word.starts_with("pre") || word.starts_with("before") {
            Ok(Self::Before)
        } else if word.starts_with("post") || word.starts_with("after") {
            Ok(Self::After)
        } else {
            Err(script.row.fault("type", "`pre` or `post`"))
        }
    }
}

/// Tells whether the source schemas are checked first, and with what options. Releases say it in
/// an object of options or in a flag.
fn drift(object: Row<'_>) -> Result<Option<Option<Row<'_>>>, ExportError> {
    let options = match object.nested("outputobjects", "schemaDriftOptions")? {
        Some(options) => Some(options),
        None => object.nested("outputobjects", "outputobjectschemadriftoptions")?,
    };
    let wanted = match options {
        Some(options) => options.flag("schemaValidation")?,
        None => false,
    };
    Ok((wanted || object.flag("checkSchemaDrift")?).then_some(options))
}

fn named(table: &'static str, id: i64) -> impl Fn(NameError) -> ExportError {
    move |source| ExportError::Name { table, id, source }
}
