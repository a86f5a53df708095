//! What an installation says about the pods of its attempts.

use std::collections::BTreeMap;

use jobwright_adapters::remote::Resources;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use std::time::Duration;

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
