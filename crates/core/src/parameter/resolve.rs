//! Resolution: layers in, one immutable and hashed set of values out, or every fault at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Layer, Parameter, ParameterType, Value, ValueError, Values};
use crate::digest::Digest;
use crate::faults::Listed;
use crate::flow::Flow;
use crate::name::{FlowName, ParameterName};
use crate::near::Nearest;
use crate::time::Timestamp;

/// The values that each layer above the flow's defaults gives, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The instance-wide environment; its names begin with `env.`.
    pub environment: Values,
    /// Values frozen with the release.
    pub release: Values,
    /// Values of the deployment.
    pub deployment: Values,
    /// Values of the schedule that started the run.
    pub schedule: Values,
    /// Values of the one run.
    pub run: Values,
}

/// The resolved parameters of a run: immutable, with where each value came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// What "now" means for the run's date parameters.
    pub reference_date: Timestamp,
    /// The values, sorted by flow and name; those of the environment come first.
    pub parameters: Vec<Resolved>,
    /// The hash of the names, values and reference date: equal inputs, equal digest.
    pub digest: Digest,
}

/// One resolved parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The flow that declares it; absent for parameters of the environment.
    pub flow: Option<FlowName>,
    /// Its name.
    pub name: ParameterName,
    /// Its value.
    pub value: Value,
    /// The layer that gave the value.
    pub layer: Layer,
    /// The weaker layers that gave one too, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<Shadowed>,
}

/// A value that a stronger layer shadowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadowed {
    /// The weaker layer.
    pub layer: Layer,
    /// Its value.
    pub value: Value,
}

impl Resolution {
    /// Finds the value that a name has in a flow: the environment's where the name begins with
    /// `env.`, else the flow's own parameter.
    #[must_use]
    pub fn value(&self, flow: &FlowName, name: &str) -> Option<&Value> {
        let flow = (!name.starts_with("env.")).then_some(flow);
        let order = |it: &Resolved| (it.flow.as_ref(), it.name.as_str()).cmp(&(flow, name));
        let at = self.parameters.binary_search_by(order).ok()?;
        Some(&self.parameters[at].value)
    }
}

impl Layers {
    /// Goes through the layers above the environment, weakest first.
    fn above(&self) -> [(Layer, &Values); 4] {
        [
            (Layer::Release, &self.release),
            (Layer::Deployment, &self.deployment),
            (Layer::Schedule, &self.schedule),
            (Layer::Run, &self.run),
        ]
    }

    /// Goes through what those layers give for one name, weakest first.
    fn given(&self, name: &ParameterName) -> impl Iterator<Item = (Layer, &serde_json::Value)> {
        let all = self.above().into_iter();
        all.filter_map(|(layer, values)| Some((layer, values.get(name)?)))
    }
}

/// Everything that is wrong with the values of a run, sorted by flow, name and layer.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}", Listed(.faults))]
pub struct ResolveError {
    /// The faults; never empty.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with the values of a run.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// No flow of the run declares the parameter.
    #[error("unknown parameter `{name}` in the values of the {layer}{}",
        .near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The name given.
        name: ParameterName,
        /// The layer that gave it.
        layer: Layer,
        /// A declared name that is close to it.
        near: Option<ParameterName>,
    },
    /// The environment holds a name that is not its own.
    #[error("parameter `{name}` of the environment does not begin with `env.`: rename it")]
    NotEnvironment {
        /// The name given.
        name: ParameterName,
    },
    /// No layer gives a value, and the parameter has no default.
    #[error(
        "parameter `{name}` of flow `{flow}` has no value: give one in the run, deployment or release"
    )]
    Missing {
        /// The flow that declares it.
        flow: FlowName,
        /// Its name.
        name: ParameterName,
    },
    /// A layer gives a value to a locked parameter.
    #[error("parameter `{name}` of flow `{flow}` is locked: the {layer} may not set it")]
    Locked {
        /// The flow that declares it.
        flow: FlowName,
        /// Its name.
        name: ParameterName,
        /// The layer that tried.
        layer: Layer,
    },
    /// A value does not fit.
    #[error("value of parameter `{name}`{} in the {layer}: {error}",
        .flow.as_ref().map(|flow| format!(" of flow `{flow}`")).unwrap_or_default())]
    Value {
        /// The flow that declares it; absent for parameters of the environment.
        flow: Option<FlowName>,
        /// Its name.
        name: ParameterName,
        /// The layer that gave the value.
        layer: Layer,
        /// Why it does not fit.
        error: ValueError,
    },
}

impl Fault {
    fn place(&self) -> (Option<&FlowName>, &ParameterName, Layer) {
        match self {
            Self::Unknown { name, layer, .. } => (None, name, *layer),
            Self::NotEnvironment { name } => (None, name, Layer::Environment),
            Self::Missing { flow, name } => (Some(flow), name, Layer::Default),
            Self::Locked { flow, name, layer } => (Some(flow), name, *layer),
            Self::Value { flow, name, layer, .. } => (flow.as_ref(), name, *layer),
        }
    }
}

/// Resolves the parameters that `flows` declare, and those of the environment.
///
/// A value of a layer goes to every flow that declares its name, each of which keeps its own
/// default and constraints. A value that a stronger layer shadows must fit all the same.
///
/// # Errors
/// Returns every fault at once: unknown keys with a near name, missing values, wrong types, broken
/// constraints, locked parameters.
pub fn resolve(
    flows: &[&Flow],
    layers: &Layers,
    reference_date: Timestamp,
) -> Result<Resolution, ResolveError> {
    let mut run = Resolving { layers, reference_date, parameters: Vec::new(), faults: Vec::new() };
    for (name, given) in &layers.environment {
        run.environment(name, given);
    }
    for flow in flows {
        for parameter in &flow.parameters {
            run.declared(&flow.name, parameter);
        }
    }
    run.unknown(flows);
    run.end()
}

/// What has been resolved so far.
struct Resolving<'r> {
    layers: &'r Layers,
    reference_date: Timestamp,
    parameters: Vec<Resolved>,
    faults: Vec<Fault>,
}

impl Resolving<'_> {
    fn environment(&mut self, name: &ParameterName, given: &serde_json::Value) {
        if !name.is_environment() {
            self.faults.push(Fault::NotEnvironment { name: name.clone() });
            return;
        }
        // Its own value is all that declares an environment parameter: what is stronger must be
        // of the same type. What no type fits is refused as the text that it should have been.
        let kind = if given.is_boolean() {
            ParameterType::Boolean {}
        } else if given.is_i64() {
            ParameterType::Integer { min: None, max: None }
        } else if given.is_f64() {
            ParameterType::Number { min: None, max: None }
        } else {
            ParameterType::String { pattern: None, min_length: None, max_length: None }
        };
        let weakest = Some((Layer::Environment, kind.parse(given)));
        self.layered(None, name, &kind, weakest);
    }

    fn declared(&mut self, flow: &FlowName, parameter: &Parameter) {
        let name = &parameter.name;
        let default = parameter.default_value(self.reference_date).transpose();
        if !parameter.locked {
            let weakest = default.map(|value| (Layer::Default, value));
            self.layered(Some(flow), name, &parameter.kind, weakest);
            return;
        }
        let layers = self.layers;
        self.faults.extend(layers.given(name).map(|(layer, _)| Fault::Locked {
            flow: flow.clone(),
            name: name.clone(),
            layer,
        }));
        let default = default.map(|value| (Layer::Default, value));
        self.keep(Some(flow), name, default);
    }

    /// Takes the weakest value and what the layers above give for the same name.
    fn layered(
        &mut self,
        flow: Option<&FlowName>,
        name: &ParameterName,
        kind: &ParameterType,
        weakest: Option<(Layer, Result<Value, ValueError>)>,
    ) {
        let layers = self.layers;
        let above = layers.given(name).map(|(layer, given)| (layer, kind.parse(given)));
        self.keep(flow, name, weakest.into_iter().chain(above));
    }

    /// Keeps the strongest of some values, weakest first, and remembers the others.
    fn keep(
        &mut self,
        flow: Option<&FlowName>,
        name: &ParameterName,
        values: impl IntoIterator<Item = (Layer, Result<Value, ValueError>)>,
    ) {
        let faults = self.faults.len();
        let mut fitting = Vec::new();
        for (layer, value) in values {
            match value {
                Ok(value) => fitting.push(Shadowed { layer, value }),
                Err(error) => {
                    let (flow, name) = (flow.cloned(), name.clone());
                    self.faults.push(Fault::Value { flow, name, layer, error });
                }
            }
        }
        let refused = self.faults.len() > faults;
        match (fitting.pop(), flow) {
            (Some(Shadowed { layer, value }), _) => {
                fitting.reverse();
                let (flow, name) = (flow.cloned(), name.clone());
                self.parameters.push(Resolved { flow, name, value, layer, shadowed: fitting });
            }
            (None, Some(flow)) if !refused => {
                self.faults.push(Fault::Missing { flow: flow.clone(), name: name.clone() });
            }
            (None, _) => {}
        }
    }

    fn unknown(&mut self, flows: &[&Flow]) {
        let declared = flows.iter().flat_map(|flow| &flow.parameters).map(|it| &it.name);
        let known: BTreeSet<_> = declared.chain(self.layers.environment.keys()).collect();
        let mut nearest = Nearest::default();
        for (layer, values) in self.layers.above() {
            for name in values.keys().filter(|name| !known.contains(name)) {
                let near = nearest.find(name.as_str(), known.iter().copied()).cloned();
                self.faults.push(Fault::Unknown { name: name.clone(), layer, near });
            }
        }
    }

    fn end(mut self) -> Result<Resolution, ResolveError> {
        if !self.faults.is_empty() {
            self.faults.sort_by(|left, right| left.place().cmp(&right.place()));
            return Err(ResolveError { faults: self.faults });
        }
        let mut parameters = self.parameters;
        parameters.sort_by(|left, right| (&left.flow, &left.name).cmp(&(&right.flow, &right.name)));
        let digest = digest(self.reference_date, &parameters);
        Ok(Resolution { reference_date: self.reference_date, parameters, digest })
    }
}

/// Hashes what a run sees: not which layer gave a value, nor what it shadowed. The JSON of names
/// and typed values can be read in one way only, so different inputs have different bytes.
fn digest(reference_date: Timestamp, parameters: &[Resolved]) -> Digest {
    let seen: Vec<_> = parameters.iter().map(|it| (&it.flow, &it.name, &it.value)).collect();
    let canonical = serde_json::to_vec(&(reference_date, seen));
    Digest::of(&canonical.expect("names and finite values are JSON"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    fn flow(name: &str, parameters: &serde_json::Value) -> Flow {
        serde_json::from_value(json!({ "name": name, "parameters": parameters })).unwrap()
    }

    fn values(values: serde_json::Value) -> Values {
        serde_json::from_value(values).unwrap()
    }

    /// Two flows that share a name, and one parameter of each sort.
    fn flows() -> [Flow; 2] {
        let shared = json!({ "name": "region", "type": "string", "default": "north",
                             "max_length": 8 });
        let first = json!([
            shared,
            { "name": "rows", "type": "integer", "min": 1 },
            { "name": "mode", "type": "choice", "choices": ["fast", "safe"] },
            { "name": "tax", "type": "number", "default": 0.2, "locked": true },
            { "name": "as of", "type": "date", "format": "%Y-%m-%d", "offset": "-1d" },
            { "name": "login", "type": "secret", "default": "warehouse" },
        ]);
        let second = json!([{ "name": "region", "type": "choice", "choices": ["west", "east"] }]);
        [flow("pos", &first), flow("stock", &second)]
    }

    fn told(layers: &Layers, reference_date: &str) -> String {
        let flows = flows();
        let flows: Vec<_> = flows.iter().collect();
        let mut told = String::new();
        match resolve(&flows, layers, reference_date.parse().unwrap()) {
            Ok(resolution) => {
                for it in resolution.parameters {
                    let flow = it.flow.as_ref().map_or("", FlowName::as_str);
                    write!(told, "{flow}/{} = {:?} ({}", it.name, it.value, it.layer).unwrap();
                    for weaker in it.shadowed {
                        write!(told, ", over {} {:?}", weaker.layer, weaker.value).unwrap();
                    }
                    told.push_str(")\n");
                }
            }
            Err(error) => {
                for fault in error.faults {
                    writeln!(told, "{fault}").unwrap();
                }
            }
        }
        told
    }

    #[test]
    fn the_strongest_layer_wins_and_the_weaker_are_remembered() {
        let layers = Layers {
            environment: values(json!({ "env.bucket": "dev", "env.cores": 4, "env.on": true })),
            release: values(json!({ "region": "west" })),
            deployment: values(json!({ "rows": 10, "env.cores": "8" })),
            schedule: values(json!({ "rows": "20" })),
            run: values(json!({ "rows": "02", "region": "east", "as of": "2024-02-29" })),
        };
        insta::assert_snapshot!(told(&layers, "2024-03-01T05:00:00Z"), @r#"
        /env.bucket = Text("dev") (environment)
        /env.cores = Integer(8) (deployment, over environment Integer(4))
        /env.on = Boolean(true) (environment)
        pos/as of = Text("2024-02-29") (run, over flow default Text("2024-02-29"))
        pos/login = Secret("warehouse") (flow default)
        pos/mode = Text("fast") (flow default)
        pos/region = Text("east") (run, over release Text("west"), over flow default Text("north"))
        pos/rows = Integer(2) (run, over schedule Integer(20), over deployment Integer(10))
        pos/tax = Number(0.2) (flow default)
        stock/region = Text("east") (run, over release Text("west"), over flow default Text("west"))
        "#);
    }

    #[test]
    fn every_fault_is_told_at_once_and_sorted() {
        let layers = Layers {
            environment: values(json!({ "bucket": "dev", "env.list": [1], "env.cores": 4 })),
            release: values(json!({ "regoin": "west", "env.core": 3 })),
            deployment: values(json!({ "region": "southwest", "rows": 0, "bucket": "x" })),
            schedule: values(json!({ "tax": 0.1, "env.cores": "four" })),
            run: values(json!({ "tax": 0.3, "region": 5, "as of": "2023-02-29", "login": "\n" })),
        };
        insta::assert_snapshot!(told(&layers, "2024-03-01T05:00:00Z"), @r"
        parameter `bucket` of the environment does not begin with `env.`: rename it
        unknown parameter `env.core` in the values of the release; did you mean `env.cores`?
        value of parameter `env.cores` in the schedule: expected a whole number of 64 bits, found the text `four`
        value of parameter `env.list` in the environment: expected text, found a list
        unknown parameter `regoin` in the values of the release; did you mean `region`?
        value of parameter `as of` of flow `pos` in the run: `2023-02-29` is not a date written as `%Y-%m-%d`: invalid date: parameter 'day' for `2023-02` is invalid, must be in range `1..=28`
        value of parameter `login` of flow `pos` in the run: expected the name of a secret: 1 to 255 bytes of text without control characters
        value of parameter `region` of flow `pos` in the deployment: expected at most 8 characters, found 9
        value of parameter `region` of flow `pos` in the run: expected text, found the number 5
        value of parameter `rows` of flow `pos` in the deployment: expected at least 1, found 0
        parameter `tax` of flow `pos` is locked: the schedule may not set it
        parameter `tax` of flow `pos` is locked: the run may not set it
        value of parameter `region` of flow `stock` in the deployment: expected one of `west`, `east`, found `southwest`
        value of parameter `region` of flow `stock` in the run: expected one of the choices as text, found the number 5
        ");
        insta::assert_snapshot!(told(&Layers::default(), "2024-03-01T05:00:00Z"), @"parameter `rows` of flow `pos` has no value: give one in the run, deployment or release");
        let run = values(json!({ "rows": 1 }));
        let late = told(&Layers { run, ..Layers::default() }, "9999-12-30T00:00:00Z");
        assert!(late.contains("pos/as of = Text(\"9999-12-29\")"), "{late}");
    }

    #[test]
    fn the_digest_is_of_what_a_run_sees() {
        let flows = flows();
        let flows: Vec<_> = flows.iter().collect();
        let digest = |deployment: serde_json::Value, run: serde_json::Value, date: i64| {
            let (deployment, run) = (values(deployment), values(run));
            let layers = Layers { deployment, run, ..Layers::default() };
            resolve(&flows, &layers, Timestamp::from_millis(date)).unwrap().digest
        };
        let one = digest(json!({ "rows": 1 }), json!({}), 0);
        assert_eq!(one, digest(json!({ "rows": 7 }), json!({ "rows": "1" }), 0), "shadowed");
        assert_ne!(one, digest(json!({ "rows": 2 }), json!({}), 0), "another value");
        assert_ne!(one, digest(json!({ "rows": 1 }), json!({}), 1), "another date");
        assert_ne!(one, digest(json!({ "rows": 1 }), json!({ "region": "east" }), 0));
    }

    #[test]
    fn a_value_is_found_by_flow_and_name() {
        let flows = flows();
        let layers = Layers {
            environment: values(json!({ "env.bucket": "dev" })),
            run: values(json!({ "rows": 1, "region": "east" })),
            ..Layers::default()
        };
        let flows: Vec<_> = flows.iter().collect();
        let resolution = resolve(&flows, &layers, Timestamp::default()).unwrap();
        let check = |flow: &str, name: &str, expect: Option<&str>| {
            let found = resolution.value(&FlowName::new(flow).unwrap(), name);
            assert_eq!(found.map(ToString::to_string).as_deref(), expect, "{flow} {name}");
        };
        check("pos", "rows", Some("1"));
        check("stock", "rows", None);
        check("stock", "region", Some("east"));
        check("stock", "env.bucket", Some("dev"));
        check("pos", "env.none", None);
        check("pos", "login", Some("(secret)"));
    }
}
