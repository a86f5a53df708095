//! Releases, and what an import changed.

use jobwright_core::rule::RuleChanges;
use jobwright_core::{Deployment, OutputTrigger, Package, Release, ReleaseId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Creator, Reference, Updater};
use crate::version::Version;
use crate::wrangled::WrangledId;

/// One imported package of a deployment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Release)]
pub(crate) struct ReleaseBody {
    /// Its id.
    pub(crate) id: i64,
    /// Whether it is the one that runs.
    active: bool,
    /// Its deployment.
    deployment: Reference,
    /// The name of its package.
    name: String,
    /// The digest of its package as it is run: after the import rules.
    package_digest: String,
    /// The names of its primary flows.
    primary_flows: Vec<String>,
    /// When it was imported.
    created_at: String,
    /// When it was imported, or last made the active one.
    updated_at: String,
    #[serde(flatten)]
    creator: Creator,
    #[serde(flatten)]
    updater: Updater,
}

impl ReleaseBody {
    pub(crate) fn new(version: Version, release: &Release, active: bool) -> Self {
        Self {
            id: release.id.get(),
            active,
            deployment: Reference { id: release.deployment.get() },
            name: release.package_name.to_string(),
            package_digest: release.package.to_string(),
            primary_flows: release.primary.iter().map(ToString::to_string).collect(),
            created_at: release.created_at.to_string(),
            updated_at: release.updated_at.to_string(),
            creator: Creator::new(version, release.created_by),
            updater: Updater::new(version, release.created_by),
        }
    }
}

/// Whether a release is to be the active one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRelease {
    /// True makes it the active one of its deployment, false leaves that without one.
    pub(crate) active: bool,
}

/// What an import did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportResult)]
pub(crate) struct ImportBody {
    /// What the import rules changed.
    #[schema(value_type = Object)]
    import_rule_changes: Value,
    /// The name of the first primary flow.
    flow_name: String,
    /// The rest, in `/v4`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImportedObjects>)]
    rest: Option<ImportedObjects>,
}

/// What was imported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportedObjects {
    /// What could not be carried along: nothing, since such a package is refused.
    #[schema(value_type = Object)]
    deleted_objects: Value,
    /// Ids that were given: none, since what a package holds keeps its names.
    #[schema(value_type = Object)]
    created_object_mapping: Value,
    /// The places of the primary flows in `flows`, from 1.
    primary_flow_ids: Vec<usize>,
    /// The flows of the package.
    #[schema(value_type = Vec<Object>)]
    flows: Vec<Value>,
    /// The outputs of all flows.
    #[schema(value_type = Vec<Object>)]
    outputobjects: Vec<Value>,
    /// The steps of all flows.
    #[schema(value_type = Vec<Object>)]
    flownodes: Vec<Value>,
    /// Which step needs which.
    #[schema(value_type = Vec<Object>)]
    flowedges: Vec<Value>,
    /// Always empty: what steps read stands in their payloads.
    #[schema(value_type = Vec<Object>)]
    datasources: Vec<Value>,
    /// Always empty: a recipe is a step.
    #[schema(value_type = Vec<Object>)]
    recipes: Vec<Value>,
    /// Always empty: webhooks are not imported.
    #[schema(value_type = Vec<Object>)]
    webhookflowtasks: Vec<Value>,
    /// The release that was made; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseBody>,
}

impl ImportBody {
    pub(crate) fn new(
        version: Version,
        package: &Package,
        changes: &RuleChanges,
        release: Option<(&Release, &Deployment)>,
    ) -> Self {
        let flow_name = package.primary.first().map(ToString::to_string).unwrap_or_default();
        let rest = (version == Version::V4).then(|| {
            let shown = |(release, deployment): (&Release, &Deployment)| {
                let active = deployment.active == Some(release.id);
                ReleaseBody::new(version, release, active)
            };
            let id = release.map(|(release, _)| release.id);
            ImportedObjects::new(package, id, release.map(shown))
        });
        let import_rule_changes = json!({ "object": changes.object, "value": changes.value });
        Self { import_rule_changes, flow_name, rest }
    }
}

impl ImportedObjects {
    fn new(package: &Package, of_release: Option<ReleaseId>, release: Option<ReleaseBody>) -> Self {
        let at = |name: &_| package.flows.iter().position(|flow| flow.name == *name);
        let mut it = Self {
            deleted_objects: json!({}),
            created_object_mapping: json!({}),
            primary_flow_ids: package
                .primary
                .iter()
                .filter_map(|name| Some(at(name)? + 1))
                .collect(),
            flows: Vec::new(),
            outputobjects: Vec::new(),
            flownodes: Vec::new(),
            flowedges: Vec::new(),
            datasources: Vec::new(),
            recipes: Vec::new(),
            webhookflowtasks: Vec::new(),
            release,
        };
        let mut place = 0;
        for (flow, id) in package.flows.iter().zip(1..) {
            let (name, of) = (&flow.name, json!({ "id": id }));
            it.flows.push(json!({ "id": id, "name": name, "description": flow.description }));
            let is_primary = package.primary.contains(name);
            for output in &flow.outputs {
                let manual = output.trigger == OutputTrigger::Manual;
                let mut shown =
                    json!({ "name": output.name, "flow": of, "manual": manual, "isAdhoc": manual });
                // The outputs of primary flows have numbers, as soon as there is a release.
                if is_primary && let Some(release) = of_release {
                    let id = WrangledId::new(release, place).map(WrangledId::get);
                    (shown["id"], place) = (id.into(), place + 1);
                }
                it.outputobjects.push(shown);
            }
            for step in &flow.steps {
                let (kind, executor) = (step.kind, &step.executor);
                it.flownodes.push(json!({ "name": step.name, "flow": of, "jobType": kind, "execution": executor }));
                for need in &step.needs {
                    let source = need.on.to_string();
                    it.flowedges.push(json!({ "source": source, "target": step.name, "flow": of }));
                }
            }
        }
        it
    }
}
