//! Pages of what the catalog holds, for those who show lists.

use jobwright_core::{
    Deployment, DeploymentId, EnvironmentId, EnvironmentParameter, GroupId, GroupSummary, JobBlock,
    JobId, Kind, Query, Release, ReleaseId, Revision, Run, RunId, StoreError,
};

use super::Engine;

/// Which part of a list is wanted: in the order of ids, from after one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// What comes after this id in the order; from the beginning where absent.
    pub after: Option<i64>,
    /// The greatest id first.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
}

impl Page {
    /// The first page of a list, the newest first.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self { after: None, descending: true, limit }
    }

    /// The first page of a list, the oldest first.
    #[must_use]
    pub fn oldest(limit: u32) -> Self {
        Self { after: None, descending: false, limit }
    }

    /// The page that comes after an id.
    #[must_use]
    pub fn after(self, id: i64) -> Self {
        Self { after: Some(id), ..self }
    }

    pub(super) fn of(self, kind: Kind) -> Query {
        let Self { after, descending, limit } = self;
        Query { after, descending, limit, ..Query::all(kind) }
    }
}

impl Engine {
    /// Lists a page of deployments.
    ///
    /// # Errors
    /// The store failed.
    pub async fn deployments_page(&self, page: Page) -> Result<Vec<Deployment>, StoreError> {
        self.list(page.of(Kind::Deployment)).await
    }

    /// Lists a page of releases, of one deployment or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn releases_page(
        &self,
        of: Option<DeploymentId>,
        page: Page,
    ) -> Result<Vec<Release>, StoreError> {
        let parent = of.map(DeploymentId::get);
        self.list(Query { parent, ..page.of(Kind::Release) }).await
    }

    /// Lists a page of runs, of one deployment or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn runs_page(
        &self,
        of: Option<DeploymentId>,
        page: Page,
    ) -> Result<Vec<Run>, StoreError> {
        let parent = of.map(DeploymentId::get);
        self.list(Query { parent, ..page.of(Kind::Run) }).await
    }

    /// Lists a page of job groups, of one run or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn groups_page(
        &self,
        of: Option<RunId>,
        page: Page,
    ) -> Result<Vec<GroupSummary>, StoreError> {
        let parent = of.map(RunId::get);
        self.list(Query { parent, ..page.of(Kind::Group) }).await
    }

    /// Lists a page of the job groups that have not ended.
    ///
    /// # Errors
    /// The store failed.
    pub async fn live_groups_page(&self, page: Page) -> Result<Vec<GroupSummary>, StoreError> {
        self.list(Query { live: true, ..page.of(Kind::Group) }).await
    }

    /// Lists a page of the environment's parameters.
    ///
    /// # Errors
    /// The store failed.
    pub async fn environment_page(
        &self,
        page: Page,
    ) -> Result<Vec<EnvironmentParameter>, StoreError> {
        self.list(page.of(Kind::Environment)).await
    }

    /// Finds a parameter of the environment.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_environment(
        &self,
        id: EnvironmentId,
    ) -> Result<Option<EnvironmentParameter>, StoreError> {
        Ok(self.find(id).await?.map(|(parameter, _)| parameter))
    }

    /// Finds a deployment with its revision.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_deployment(
        &self,
        id: DeploymentId,
    ) -> Result<Option<(Deployment, Revision)>, StoreError> {
        self.find(id).await
    }

    /// Finds a release, its deployment and the revisions of both: a release is active where its
    /// deployment says so.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_release(&self, id: ReleaseId) -> Result<Option<FoundRelease>, StoreError> {
        let Some((release, revision)) = self.find::<Release>(id).await? else { return Ok(None) };
        let Some((deployment, owner)) = self.find::<Deployment>(release.deployment).await? else {
            return Ok(None);
        };
        Ok(Some(FoundRelease { release, revision, deployment, owner }))
    }

    /// Finds the group of a job.
    ///
    /// # Errors
    /// The store failed.
    pub async fn group_of(&self, job: JobId) -> Result<Option<GroupId>, StoreError> {
        let page = Page { after: Some(job.get() + 1), descending: true, limit: 1 };
        let block: Option<JobBlock> = self.list(page.of(Kind::Job)).await?.pop();
        let holds = |it: &JobBlock| job.get() - it.first.get() < i64::from(it.count);
        let Some(block) = block.filter(holds) else { return Ok(None) };
        let Some((run, _)) = self.find::<Run>(block.run).await? else { return Ok(None) };
        let behind = run.groups.partition_point(|group| group.first_job <= job);
        Ok(behind.checked_sub(1).map(|at| run.groups[at].id))
    }
}

/// A release as it is found: with its deployment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FoundRelease {
    /// The release.
    pub release: Release,
    /// Its revision.
    pub revision: Revision,
    /// Its deployment.
    pub deployment: Deployment,
    /// The deployment's revision.
    pub owner: Revision,
}

impl FoundRelease {
    /// Tells whether the release is the active one.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.deployment.active == Some(self.release.id)
    }
}
