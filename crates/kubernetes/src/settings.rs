//! What an installation says about the pods of its attempts.

use std::collections::BTreeMap;
use std::time::Duration;

use jobwright_adapters::remote::Resources;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

/// How attempts become pods.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Jobs are made; absent: the namespace of the connection.
    pub namespace: Option<String>,
    /// The image of steps that name none. A step without either is refused.
    pub image: Option<String>,
    /// What every pod begins as: volumes, security, pull secrets, and whatever else there is. Its
    /// container named `work`, or its only one, is what a step's own words are added to. Its
    /// restart policy is never heeded: an attempt runs once.
    pub template: PodTemplateSpec,
    /// The service accounts that steps may ask for. A pod has no token of any other.
    pub service_accounts: Vec<String>,
    /// The Kubernetes Secret that holds the secrets of steps, each under its own name as key. A
    /// pod gets a reference, so no content passes through here.
    pub secret: Option<String>,
    /// What is asked of a machine where a step says nothing.
    pub resources: Resources,
    /// The name under which the cluster has graphics processors.
    pub gpu: String,
    /// The shell that runs a step's program, forwards the request to stop and hands the result
    /// over. Absent, for images without one: the program is started by itself, writes its result
    /// in place and reads nothing.
    pub shell: Option<String>,
    /// How long Jobs that have ended are kept: longer than any outage of the engine, since
    /// nobody learns how they ended once they are gone.
    pub keep: Duration,
    /// Further labels of Jobs and pods.
    pub labels: BTreeMap<String, String>,
}

impl Default for Settings {
    /// No image, `/bin/sh`, `nvidia.com/gpu`, and a day for Jobs that have ended.
    fn default() -> Self {
        Self {
            namespace: None,
            image: None,
            template: PodTemplateSpec::default(),
            service_accounts: Vec::new(),
            secret: None,
            resources: Resources::default(),
            gpu: "nvidia.com/gpu".to_owned(),
            shell: Some("/bin/sh".to_owned()),
            keep: Duration::from_secs(24 * 3600),
            labels: BTreeMap::new(),
        }
    }
}

/// A pod that the cluster would not understand as it was meant.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PodError {
    /// It is no `PodSpec`.
    #[error("`pod` is no PodSpec: {0}")]
    Shape(#[source] serde_json::Error),
    /// A field is not known, and would be left out in silence.
    #[error(
        "`pod` has a field `{0}` that no PodSpec has: it is spelled as in Kubernetes's manuals"
    )]
    Unknown(String),
}

impl Settings {
    /// Takes what every pod begins as, in the cluster's own words: a `PodSpec` with the names of
    /// its fields as they stand in Kubernetes's manuals.
    ///
    /// # Errors
    /// It is none, or has a field that none has.
    pub fn pod(mut self, spec: &Value) -> Result<Self, PodError> {
        let read = PodSpec::deserialize(spec).map_err(PodError::Shape)?;
        let known = serde_json::to_value(&read).map_err(PodError::Shape)?;
        if let Some(field) = unknown(spec, &known) {
            return Err(PodError::Unknown(field));
        }
        self.template.spec = Some(read);
        Ok(self)
    }
}

/// Finds a field that was left out when a document was read.
fn unknown(written: &Value, read: &Value) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            written.iter().find_map(|(name, value)| match read.get(name) {
                Some(read) => unknown(value, read).map(|rest| format!("{name}.{rest}")),
                // What is empty need not be written.
                None if value.is_null() || *value == json!([]) || *value == json!({}) => None,
                None => Some(name.clone()),
            })
        }
        (Value::Array(written), Value::Array(read)) => {
            let items = written.iter().zip(read).enumerate();
            items.into_iter().find_map(|(at, (written, read))| {
                unknown(written, read).map(|rest| format!("{at}.{rest}"))
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_taken_as_it_is_written_or_not_at_all() {
        let pod = json!({ "nodeSelector": { "disk": "fast" }, "containers": [],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }] });
        let settings = Settings::default().pod(&pod).unwrap();
        assert_eq!(settings.template.spec.unwrap().volumes.unwrap().len(), 1);
        let check = |pod: Value, expect: &str| {
            let error = Settings::default().pod(&pod).unwrap_err().to_string();
            assert!(error.contains(expect), "{pod}: {error}");
        };
        check(json!({ "node_selector": {} , "nodeSelectors": { "a": "b" } }), "`nodeSelectors`");
        let container = json!({ "name": "work", "resources": { "limit": { "cpu": "1" } } });
        check(json!({ "containers": [container] }), "`containers.0.resources.limit`");
        check(json!({ "volumes": "data" }), "is no PodSpec");
    }
}
