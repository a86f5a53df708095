//! What a step needs, in its short and its long form: `step`, `flow/step`, or a map.

use std::fmt;

use jobwright_core::{FlowName, Need, StepName, StepRef, Trigger};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// A need as it stands in a document.
pub(super) struct NeedDocument(pub(super) Need);

impl<'de> Deserialize<'de> for NeedDocument {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NeedVisitor)
    }
}

/// The long form. `step` may hold the flow too, as in the short form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    flow: Option<FlowName>,
    step: String,
    #[serde(default)]
    when: Trigger,
}

struct NeedVisitor;

impl<'de> Visitor<'de> for NeedVisitor {
    type Value = NeedDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a step, `flow/step`, or a map with `step` and `when`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NeedDocument, E> {
        let on = step_ref(text).map_err(E::custom)?;
        Ok(NeedDocument(Need { on, when: Trigger::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NeedDocument, A::Error> {
        let long = Long::deserialize(MapAccessDeserializer::new(map))?;
        let on = match long.flow {
            Some(flow) => {
                let step = StepName::new(&long.step).map_err(A::Error::custom)?;
                StepRef { flow: Some(flow), step }
            }
            None => step_ref(&long.step).map_err(A::Error::custom)?,
        };
        Ok(NeedDocument(Need { on, when: long.when }))
    }
}

fn step_ref(text: &str) -> Result<StepRef, jobwright_core::NameError> {
    match text.split_once('/') {
        Some((flow, step)) => {
            Ok(StepRef { flow: Some(FlowName::new(flow)?), step: StepName::new(step)? })
        }
        None => Ok(StepRef { flow: None, step: StepName::new(text)? }),
    }
}
