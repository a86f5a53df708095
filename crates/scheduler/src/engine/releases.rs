//! Releases: imported, activated, rolled back, deleted.

use std::sync::Arc;

use jobwright_core::parameter::Values;
use jobwright_core::rule::{RuleChanges, RuleError};
use jobwright_core::{
    Bundle, Change, Deployment, DeploymentId, Digest, Document, GroupSummary, Kind, OutputName,
    Package, PackageFaults, Query, Release, ReleaseId, Revision, RunId, StoreError, Timestamp,
};
use thiserror::Error;

use super::Engine;
use super::catalog::WriteError;
use super::deployments::{DeploymentError, TRIES, stale};

/// Why a package was not imported. Nothing was stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is no such deployment.
    #[error("deployment {0} does not exist")]
    NoDeployment(DeploymentId),
    /// The package is wrong, before or after the import rules were applied.
    #[error("the package is wrong")]
    Package(#[from] PackageFaults),
    /// The import rules cannot be applied.
    #[error("the import rules cannot be applied")]
    Rules(#[from] RuleError),
    /// An artifact has no content.
    #[error("artifact `{0}` has no content in the bundle")]
    NoContent(String),
    /// The content of an artifact is another one.
    #[error("the content of artifact `{0}` in the bundle does not have its digest and size")]
    WrongContent(String),
    /// The deployment is being changed by others.
    #[error("deployment {0} is being changed by others: try again")]
    Changed(DeploymentId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Why a release cannot be activated, deactivated or deleted. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There is no such release.
    #[error("release {0} does not exist")]
    NotFound(ReleaseId),
    /// A run of it is live.
    #[error(
        "release {release} is used by run {run}, which has not ended: wait for it or cancel it"
    )]
    InUse {
        /// The release.
        release: ReleaseId,
        /// The run.
        run: RunId,
    },
    /// Its deployment cannot be changed.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// Somebody else changed the release or its deployment meanwhile.
    #[error("release {0} is being changed by others: try again")]
    Changed(ReleaseId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// What an import would store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImportPreview {
    /// The package after the import rules.
    pub package: Package,
    /// What each rule changed.
    pub changes: RuleChanges,
}

impl Engine {
    /// Says what importing the package would do, and stores nothing.
    ///
    /// # Errors
    /// What [`Engine::import`] would refuse, for the same reasons.
    pub async fn dry_run_import(
        &self,
        deployment: DeploymentId,
        bundle: &Bundle,
    ) -> Result<ImportPreview, ImportError> {
        let (deployment, _) = self.for_import(deployment).await?;
        preview(&deployment, bundle)
    }

    /// Imports a package as a new release of a deployment, and makes it the active one. The
    /// deployment's import rules are applied now and never again; `values` are frozen with the
    /// release. Runs that go on are not affected.
    ///
    /// # Errors
    /// There is no such deployment, the package or the rules are wrong, or the store fails.
    pub async fn import(
        &self,
        deployment: DeploymentId,
        bundle: &Bundle,
        values: Values,
    ) -> Result<Release, ImportError> {
        let id = self.0.ids.take(Kind::Release, 1).await?;
        let id = super::submit::id(ReleaseId::new(id))?;
        let _alone = self.0.gates.change().await;
        // Another engine may come between: then the rules may be others.
        for _ in 0..TRIES {
            let (mut owner, revision) = self.for_import(deployment).await?;
            let ImportPreview { package, changes } = preview(&owner, bundle)?;
            let now = self.0.clock.now();
            let canonical = package.canonical();
            let release = Release {
                id,
                deployment,
                package: Digest::of(&canonical),
                package_name: package.name.clone(),
                primary: package.primary.clone(),
                values: values.clone(),
                changes,
                created_by: self.actor(),
                created_at: now,
                updated_at: now,
            };
            let mut contents: Vec<Arc<[u8]>> = bundle.contents.values().cloned().collect();
            contents.push(canonical.into());
            let mut catalog = vec![Change::insert(Document::Release(release.clone()))];
            catalog.extend(self.touched(owner.active, now).await?);
            owner.active = Some(id);
            owner.updated_at = now;
            owner.updated_by = self.actor();
            catalog.push(Change::update(Document::Deployment(owner), revision));
            match self.write(catalog, contents).await {
                Ok(()) => return Ok(release),
                Err(WriteError::Changed | WriteError::Taken(_)) => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(ImportError::Changed(deployment))
    }

    async fn for_import(
        &self,
        deployment: DeploymentId,
    ) -> Result<(Deployment, Revision), ImportError> {
        let found = self.find::<Deployment>(deployment).await?;
        found.ok_or(ImportError::NoDeployment(deployment))
    }

    /// Finds a release.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn release(&self, id: ReleaseId) -> Result<Release, ReleaseError> {
        let found = self.find::<Release>(id).await?;
        found.map(|(release, _)| release).ok_or(ReleaseError::NotFound(id))
    }

    /// Lists the releases of a deployment, in the order of their import.
    ///
    /// # Errors
    /// The store failed.
    pub async fn releases(&self, deployment: DeploymentId) -> Result<Vec<Release>, StoreError> {
        self.list_all(Query::all(Kind::Release).parent(deployment.get())).await
    }

    /// Reads the package of a release.
    ///
    /// # Errors
    /// There is no such release, its package cannot be read, or the store fails.
    pub async fn package(&self, id: ReleaseId) -> Result<Package, super::PrepareError> {
        let found = self.find::<Release>(id).await?;
        let (release, _) = found.ok_or(super::PrepareError::NoSuchRelease(id))?;
        let prepared = self.prepared(release.package).await;
        let prepared = prepared
            .map_err(|source| super::PrepareError::Package { release: release.id, source })?;
        Ok(prepared.template.package.clone())
    }

    /// Lists the outputs of a release's primary flows, in declared order: their places stay for as
    /// long as the release does.
    ///
    /// # Errors
    /// There is no such release, its package cannot be read, or the store fails.
    pub async fn outputs(&self, id: ReleaseId) -> Result<Vec<OutputName>, super::PrepareError> {
        let found = self.find::<Release>(id).await?;
        let (release, _) = found.ok_or(super::PrepareError::NoSuchRelease(id))?;
        let prepared = self.prepared(release.package).await;
        let prepared =
            prepared.map_err(|source| super::PrepareError::Package { release: id, source })?;
        let package = &prepared.template.package;
        let flows = package.flows.iter().filter(|flow| package.primary.contains(&flow.name));
        Ok(flows.flat_map(|flow| &flow.outputs).map(|output| output.name.clone()).collect())
    }

    /// Makes a release the active one of its deployment; the one that was active is it no more.
    /// Activating an older release rolls back. Runs that go on are not affected.
    ///
    /// # Errors
    /// There is no such release, or the store fails.
    pub async fn activate(&self, id: ReleaseId) -> Result<Deployment, ReleaseError> {
        self.activate_at(id, None).await
    }

    /// Activates a release if its deployment still has this revision.
    ///
    /// # Errors
    /// As for [`Engine::activate`], and if the deployment has another revision.
    pub async fn activate_at(
        &self,
        id: ReleaseId,
        expected: Option<Revision>,
    ) -> Result<Deployment, ReleaseError> {
        self.switch(id, expected, |_| Some(id)).await
    }

    /// Leaves the deployment of a release without an active one, if this is it.
    ///
    /// # Errors
    /// There is no such release, or the store fails.
    pub async fn deactivate(&self, id: ReleaseId) -> Result<Deployment, ReleaseError> {
        self.deactivate_at(id, None).await
    }

    /// Deactivates a release if its deployment still has this revision.
    ///
    /// # Errors
    /// As for [`Engine::deactivate`], and if the deployment has another revision.
    pub async fn deactivate_at(
        &self,
        id: ReleaseId,
        expected: Option<Revision>,
    ) -> Result<Deployment, ReleaseError> {
        self.switch(id, expected, |active| active.filter(|active| *active != id)).await
    }

    /// Lets the deployment of a release have another active release, in one commit with the
    /// releases that begin or cease to be it: so none is deleted meanwhile.
    async fn switch(
        &self,
        id: ReleaseId,
        expected: Option<Revision>,
        next: impl Fn(Option<ReleaseId>) -> Option<ReleaseId>,
    ) -> Result<Deployment, ReleaseError> {
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let deployment = self.release(id).await?.deployment;
            let found = self.find::<Deployment>(deployment).await?;
            let (mut owner, revision) = found.ok_or(DeploymentError::NotFound(deployment))?;
            stale(deployment, expected, revision)?;
            let (before, after) = (owner.active, next(owner.active));
            if before == after {
                return Ok(owner);
            }
            let now = self.0.clock.now();
            let mut catalog = self.touched(before, now).await?;
            let begins = self.touched(after, now).await?;
            if begins.is_empty() && after.is_some() {
                continue;
            }
            catalog.extend(begins);
            owner.active = after;
            owner.updated_at = now;
            owner.updated_by = self.actor();
            catalog.push(Change::update(Document::Deployment(owner.clone()), revision));
            match self.write(catalog, Vec::new()).await {
                Ok(()) => return Ok(owner),
                Err(WriteError::Changed | WriteError::Taken(_)) => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(ReleaseError::Changed(id))
    }

    /// The change of a release that begins or ceases to be the active one.
    async fn touched(
        &self,
        release: Option<ReleaseId>,
        now: Timestamp,
    ) -> Result<Vec<Change>, StoreError> {
        let Some(id) = release else { return Ok(Vec::new()) };
        let found = self.find::<Release>(id).await?;
        let touched = found.map(|(mut release, revision)| {
            release.updated_at = now;
            Change::update(Document::Release(release), revision)
        });
        Ok(touched.into_iter().collect())
    }

    /// Deletes a release; its deployment has no active release then, if this was it.
    ///
    /// # Errors
    /// There is no such release, a live run uses it, or the store fails.
    pub async fn delete_release(&self, id: ReleaseId) -> Result<(), ReleaseError> {
        self.delete_release_at(id, None).await
    }

    /// Deletes a release if its deployment still has this revision.
    ///
    /// # Errors
    /// As for [`Engine::delete_release`], and if the deployment has another revision.
    pub async fn delete_release_at(
        &self,
        id: ReleaseId,
        expected: Option<Revision>,
    ) -> Result<(), ReleaseError> {
        let _alone = self.0.gates.change().await;
        let _no_runs = self.0.gates.no_runs().await;
        let found = self.find::<Release>(id).await?;
        let (release, revision) = found.ok_or(ReleaseError::NotFound(id))?;
        let live = Query { live: true, ..Query::all(Kind::Group) };
        let groups = self.list_all::<GroupSummary>(live).await?;
        if let Some(group) = groups.iter().find(|group| group.release == id) {
            return Err(ReleaseError::InUse { release: id, run: group.run });
        }
        let mut catalog = vec![Change::remove(id.into(), revision)];
        if let Some((mut owner, revision)) = self.find::<Deployment>(release.deployment).await? {
            stale(owner.id, expected, revision)?;
            if owner.active == Some(id) {
                owner.active = None;
                owner.updated_at = self.0.clock.now();
                owner.updated_by = self.actor();
            }
            // Written even where nothing changes: another engine may be activating the release.
            catalog.push(Change::update(Document::Deployment(owner), revision));
        }
        match self.write(catalog, Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(ReleaseError::Changed(id)),
            Err(WriteError::Store(error)) => Err(error.into()),
        }
    }
}

fn preview(deployment: &Deployment, bundle: &Bundle) -> Result<ImportPreview, ImportError> {
    bundle.package.check()?;
    for artifact in &bundle.package.artifacts {
        let Some(content) = bundle.contents.get(&artifact.digest) else {
            return Err(ImportError::NoContent(artifact.path.clone()));
        };
        if content.len() as u64 != artifact.size || Digest::of(content) != artifact.digest {
            return Err(ImportError::WrongContent(artifact.path.clone()));
        }
    }
    let (package, changes) = jobwright_core::rule::apply(
        &bundle.package,
        &deployment.object_rules,
        &deployment.value_rules,
    )?;
    package.check()?;
    Ok(ImportPreview { package, changes })
}
