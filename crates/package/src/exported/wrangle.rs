//! The payload of a transform: the recipe and everything upstream of it that is not prepared by a
//! step of its own. Upstream recipes are part of the work, also those of other flows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::ExportError;
use super::graph::source;
use super::model::{OutputObject, RunParameter, Work};
use super::payload::{Payloads, copy};
use super::row::Row;
use super::text::{literal, recipe_text};

/// What a transform consists of.
pub(super) struct Transform<'a, 't> {
    pub(super) object: &'t OutputObject<'a>,
    pub(super) flow: usize,
    /// The nodes upstream of the output, in the graph's order, its own included.
    pub(super) upstream: &'t [usize],
    /// The datasets among them, by parsing recipe, with the flows that hold them.
    pub(super) datasets: &'t [(i64, usize)],
}

/// The parameters that recipes may refer to, and the flows that declare them.
type FlowParameters<'a, 'e> = BTreeMap<&'a str, (&'e RunParameter<'a>, usize)>;

impl<'a, 'e> Payloads<'a, 'e> {
    /// Makes the payload of a transform, but for what names its output.
    pub(super) fn wrangle(
        &mut self,
        transform: &Transform<'a, '_>,
    ) -> Result<Map<String, Value>, ExportError> {
        let export = self.export;
        let parameters = self.flow_parameters(transform);
        let mut inputs = Vec::new();
        for &(script, flow) in transform.datasets {
            let mut described = self.dataset(script, flow)?;
            if let Some(recipe) = export.recipes.get(&script) {
                let steps = self.recipe_steps(&recipe.steps, &parameters)?;
                described.insert("parsing".to_owned(), json!({"id": script, "steps": steps}));
            }
            inputs.push(Value::Object(described));
        }
        let mut recipes = Vec::new();
        for &at in transform.upstream {
            let Work::Recipe(script) = export.nodes[at].work else { continue };
            recipes.push(json!({
                "id": script,
                "name": literal(&export.recipe_name(script)),
                "inputs": self.recipe_inputs(at),
                "steps": self.recipe_steps(&export.recipes[&script].steps, &parameters)?,
            }));
        }
        let mut payload = Map::new();
        payload.insert("engine".to_owned(), Value::Object(self.engine(transform)?));
        payload.insert("recipes".to_owned(), Value::Array(recipes));
        payload.insert("inputs".to_owned(), Value::Array(inputs));
        Ok(payload)
    }

    fn engine(&mut self, transform: &Transform<'a, '_>) -> Result<Map<String, Value>, ExportError> {
        let object = transform.object.row;
        let mut engine = Map::new();
        engine.insert("execution".to_owned(), json!(literal(object.text("execution")?)));
        let ignore = object.flag("ignoreRecipeErrors")?;
        engine.insert("ignoreRecipeErrors".to_owned(), json!(ignore));
        if let Some(settings) = self.export.flows[transform.flow].row.value("settings") {
            engine.insert("settings".to_owned(), self.copy(settings)?);
        }
        if let Some(options) = self.options(&transform.object.options)? {
            engine.insert("options".to_owned(), options);
        }
        Ok(engine)
    }

    /// Lists what flows into a recipe, by port.
    fn recipe_inputs(&mut self, node: usize) -> Vec<Value> {
        let nodes = &self.export.nodes;
        let described =
            nodes[node].inputs.iter().map(|input| match nodes[source(nodes, input.from)].work {
                Work::Dataset(script) => {
                    let dataset = self.export.datasets[&script].row.id;
                    json!({"port": input.port, "dataset": dataset})
                }
                Work::Recipe(script) => json!({"port": input.port, "recipe": script}),
                Work::Reference => json!({"port": input.port}),
            });
        described.collect()
    }

    /// Gathers the flow parameters of this flow, and of the flows upstream, which are inherited.
    fn flow_parameters(&self, transform: &Transform<'a, '_>) -> FlowParameters<'a, 'e> {
        let export = self.export;
        let mut parameters = FlowParameters::new();
        let mut seen = BTreeSet::new();
        let reached = transform.upstream.iter().map(|&at| export.nodes[at].flow);
        for flow in std::iter::once(transform.flow).chain(reached).filter(|&it| seen.insert(it)) {
            for parameter in &export.flows[flow].parameters {
                if let Some(key) = parameter.key {
                    parameters.entry(key).or_insert((parameter, flow));
                }
            }
        }
        parameters
    }

    /// Copies the steps of a recipe; declares the flow parameters that they refer to. What the
    /// product's editor remembers about their columns is left out: task trees name columns.
    fn recipe_steps(
        &mut self,
        steps: &[Row<'a>],
        parameters: &FlowParameters<'a, 'e>,
    ) -> Result<Vec<Value>, ExportError> {
        let mut used = BTreeSet::new();
        let mut copied = Vec::new();
        for step in steps {
            let mut fields = Map::new();
            for field in ["id", "portId", "task"] {
                let Some(value) = step.value(field) else { continue };
                let is_parameter = |name: &str| parameters.contains_key(name);
                let mut text = |text: &'a str| recipe_text(text, is_parameter, &mut used);
                let value = copy(value, self.budget, &mut text)?;
                fields.insert(field.to_owned(), value);
            }
            copied.push(Value::Object(fields));
        }
        for name in used {
            let (parameter, flow) = parameters[name];
            let overrides = &self.export.flows[flow].overrides;
            self.declared.stand_in(parameter, overrides)?;
        }
        Ok(copied)
    }
}
