//! From a deployment to what a run of it would start: one path for preview and run.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_core::parameter::{Layers, Resolution, ResolveError, Values, resolve};
use jobwright_core::{
    Artifacts, CarriedJob, Deployment, DeploymentId, Digest, EnvironmentParameter, ExecutorName,
    FailurePolicy, Flow, FlowName, Kind, OutputName, Package, ParameterName, PlannedJob, Query,
    Release, ReleaseId, StepName, StoreError, Timestamp,
};
use thiserror::Error;

use super::Engine;
use crate::expand::{self, ExpandError, Selection};
use crate::template::Template;

/// A release's package, ready for runs.
pub(super) struct Prepared {
    pub(super) template: Template,
    pub(super) artifacts: Artifacts,
}

/// What a run would start.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that would run.
    pub release: ReleaseId,
    /// The resolved parameters, with where each value comes from.
    pub parameters: Resolution,
    /// The job groups.
    pub groups: Vec<GroupPreview>,
}

/// A job group that a run would start.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupPreview {
    /// The outputs that it would produce.
    pub outputs: Vec<OutputName>,
    /// What a failed job would mean for the rest.
    pub on_failure: FailurePolicy,
    /// Its jobs, in an order in which they can run.
    pub jobs: Vec<PlannedJob>,
    /// The jobs that an earlier group has done already; none but in a re-run.
    pub carried: Box<[CarriedJob]>,
}

/// Why a deployment cannot run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// There is no such deployment.
    #[error("deployment {0} does not exist")]
    NoDeployment(DeploymentId),
    /// The deployment has no active release.
    #[error("deployment `{0}` has no active release: import one, or activate one of its releases")]
    NoRelease(jobwright_core::DeploymentName),
    /// The deployment is paused.
    #[error("deployment `{0}` is paused: resume it first")]
    Paused(jobwright_core::DeploymentName),
    /// The run was asked of a release that is not the active one.
    #[error(
        "release {release} is not the active one of deployment `{deployment}`: activate it first"
    )]
    NotActive {
        /// The release.
        release: ReleaseId,
        /// Its deployment.
        deployment: jobwright_core::DeploymentName,
    },
    /// There is no such release.
    #[error("release {0} does not exist")]
    NoSuchRelease(ReleaseId),
    /// Nothing is selected.
    #[error("release {release} cannot run")]
    Expand {
        /// The release.
        release: ReleaseId,
        /// Why.
        #[source]
        source: ExpandError,
    },
    /// Values are wrong or missing.
    #[error("the parameters of the run cannot be resolved")]
    Parameters(#[source] ResolveError),
    /// A step names an executor that the engine does not have.
    #[error("step `{step}` of flow `{flow}` runs on `{executor}`, which this engine does not have; it has {}{}", list(.known), told(.advice.as_deref()))]
    NoExecutor {
        /// The flow.
        flow: FlowName,
        /// The step.
        step: StepName,
        /// The executor that it names.
        executor: ExecutorName,
        /// The executors that there are.
        known: Vec<ExecutorName>,
        /// What to do about it, where the program said so.
        advice: Option<String>,
    },
    /// The package of the release is not in the store, or is not what it was.
    #[error("the package of release {release} cannot be used")]
    Package {
        /// The release.
        release: ReleaseId,
        /// Why.
        #[source]
        source: PackageError,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Takes the values away that belong to flows which the run does not reach: they are right, and
/// mean nothing here.
fn leave_out_unused(layers: &mut Layers, package: &Package, reached: &[&Flow]) {
    let declares = |flow: &Flow, name: &ParameterName| {
        flow.parameters.iter().any(|parameter| parameter.name == *name)
    };
    let is_unused = |name: &ParameterName| {
        !reached.iter().any(|flow| declares(flow, name))
            && package.flows.iter().any(|flow| declares(flow, name))
    };
    for layer in
        [&mut layers.release, &mut layers.deployment, &mut layers.schedule, &mut layers.run]
    {
        layer.retain(|name, _| !is_unused(name));
    }
}

fn list(names: &[ExecutorName]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn told(advice: Option<&str>) -> String {
    advice.map(|advice| format!(": {advice}")).unwrap_or_default()
}

/// Why a stored package cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The store does not have a content.
    #[error("content {0} is missing from the store")]
    Missing(Digest),
    /// The bytes are no package.
    #[error("content {digest} is not a package")]
    Unreadable {
        /// Its digest.
        digest: Digest,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// What a run is made of before it has ids.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) deployment: Deployment,
    pub(super) release: Release,
    pub(super) prepared: Arc<Prepared>,
    pub(super) parameters: Resolution,
    pub(super) groups: Vec<GroupPreview>,
}

impl Engine {
    /// Finds the package of a digest, made ready for runs.
    pub(super) async fn prepared(&self, digest: Digest) -> Result<Arc<Prepared>, PackageError> {
        if let Some(known) = self.0.prepared.find(digest) {
            return Ok(known);
        }
        let bytes = self.content(digest).await?;
        let package: Package = serde_json::from_slice(&bytes)
            .map_err(|source| PackageError::Unreadable { digest, source })?;
        let mut files = Vec::with_capacity(package.artifacts.len());
        for artifact in &package.artifacts {
            files.push((artifact.clone(), self.content(artifact.digest).await?));
        }
        let size = bytes.len() + files.iter().map(|(_, content)| content.len()).sum::<usize>();
        let artifacts = Artifacts::new(files);
        let prepared = Arc::new(Prepared { template: Template::new(package), artifacts });
        self.0.prepared.put(digest, Arc::clone(&prepared), size);
        Ok(prepared)
    }

    async fn content(&self, digest: Digest) -> Result<Arc<[u8]>, PackageError> {
        let content = self.0.store.content(digest).await?;
        content.ok_or(PackageError::Missing(digest))
    }

    /// Resolves and expands the active release of a deployment.
    pub(super) async fn draft(
        &self,
        deployment: DeploymentId,
        selection: &Selection,
        schedule: &Values,
        values: &Values,
        reference_date: Timestamp,
    ) -> Result<Draft, PrepareError> {
        let found = self.find::<Deployment>(deployment).await?;
        let (deployment, _) = found.ok_or(PrepareError::NoDeployment(deployment))?;
        let no_release = || PrepareError::NoRelease(deployment.name.clone());
        let active = deployment.active.ok_or_else(no_release)?;
        let (release, _) = self.find::<Release>(active).await?.ok_or_else(no_release)?;
        let prepared = self.prepared(release.package).await;
        let prepared =
            prepared.map_err(|source| PrepareError::Package { release: release.id, source })?;

        let mut layers = Layers {
            environment: self.environment_values().await?,
            release: release.values.clone(),
            deployment: deployment.values.clone(),
            schedule: schedule.clone(),
            run: values.clone(),
        };
        let refuse = |source| PrepareError::Expand { release: release.id, source };
        let template = &prepared.template;
        let parts = expand::parts(template, selection).map_err(refuse)?;
        let flows = expand::flows(template, &parts);
        leave_out_unused(&mut layers, &template.package, &flows);
        let parameters =
            resolve(&flows, &layers, reference_date).map_err(PrepareError::Parameters)?;
        let mut groups = Vec::with_capacity(parts.len());
        for part in parts {
            let jobs = expand::jobs(template, &part, &parameters).map_err(refuse)?;
            self.check_executors(&jobs)?;
            let on_failure = expand::on_failure(template, &part);
            let (outputs, carried) = (part.outputs, Box::default());
            groups.push(GroupPreview { outputs, on_failure, jobs, carried });
        }
        Ok(Draft { deployment, release, prepared, parameters, groups })
    }

    pub(super) fn check_executors(&self, jobs: &[PlannedJob]) -> Result<(), PrepareError> {
        match jobs.iter().find(|job| !self.0.executors.contains(&job.executor)) {
            None => Ok(()),
            Some(job) => Err(PrepareError::NoExecutor {
                flow: job.flow.clone(),
                step: job.step.clone(),
                executor: job.executor.clone(),
                known: self.0.executors.iter().cloned().collect(),
                advice: self.0.advice.as_ref().map(|advice| advice(&job.executor)),
            }),
        }
    }

    pub(super) async fn environment_values(&self) -> Result<Values, StoreError> {
        let all = self.list_all::<EnvironmentParameter>(Query::all(Kind::Environment)).await?;
        Ok(all.into_iter().map(|it| (it.name, it.value)).collect::<BTreeMap<_, _>>())
    }
}
