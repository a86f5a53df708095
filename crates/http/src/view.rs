//! The way to the engine for those who only read.

use std::collections::BTreeMap;

use jobwright_core::schedule::{Backfill, Schedule};
use jobwright_core::webhook::{Delivery, Webhook};
use jobwright_core::{
    Audit, AuditId, BackfillId, Deployment, DeploymentId, EnvironmentId, EnvironmentParameter,
    GroupId, GroupSummary, JobId, JobIndex, OutputName, Package, Release, ReleaseId, Revision, Run,
    RunId, ScheduleId, Seq, Status, StoreError, Token, WebhookId,
};
use jobwright_scheduler::{
    AuditCheck, Ended, Engine, FoundRelease, GroupView, HistoryEntry, Page, PrepareError,
    ReadError, RunHandle, Subscription, WaitReason,
};

/// An engine that can be read from and not changed.
#[derive(Clone)]
pub(crate) struct View(Engine);

/// A parameter of the environment with its revision.
type FoundParameter = (EnvironmentParameter, Revision);

macro_rules! reads {
    ($(fn $name:ident($($argument:ident: $from:ty),*) -> $to:ty;)+) => {
        impl View {$(
            pub(crate) async fn $name(&self, $($argument: $from),*) -> $to {
                self.0.$name($($argument),*).await
            }
        )+}
    };
}

reads! {
    fn deployments_page(page: Page) -> Result<Vec<Deployment>, StoreError>;
    fn find_deployment(id: DeploymentId) -> Result<Option<(Deployment, Revision)>, StoreError>;
    fn releases_page(of: Option<DeploymentId>, page: Page) -> Result<Vec<Release>, StoreError>;
    fn find_release(id: ReleaseId) -> Result<Option<FoundRelease>, StoreError>;
    fn outputs(id: ReleaseId) -> Result<Vec<OutputName>, PrepareError>;
    fn package(id: ReleaseId) -> Result<Package, PrepareError>;
    fn runs_page(of: Option<DeploymentId>, page: Page) -> Result<Vec<Run>, StoreError>;
    fn find_run(id: RunId) -> Result<Option<RunHandle>, StoreError>;
    fn groups(run: RunId) -> Result<Vec<GroupSummary>, StoreError>;
    fn groups_page(of: Option<RunId>, page: Page) -> Result<Vec<GroupSummary>, StoreError>;
    fn live_groups_page(page: Page) -> Result<Vec<GroupSummary>, StoreError>;
    fn status(id: GroupId) -> Result<Status, ReadError>;
    fn summary(id: GroupId) -> Result<GroupSummary, ReadError>;
    fn group(id: GroupId) -> Result<GroupView, ReadError>;
    fn group_of(job: JobId) -> Result<Option<GroupId>, StoreError>;
    fn waiting(id: GroupId) -> Result<BTreeMap<JobIndex, WaitReason>, Ended>;
    fn history(id: GroupId, from: Seq) -> Result<Vec<HistoryEntry>, ReadError>;
    fn environment_page(page: Page) -> Result<Vec<EnvironmentParameter>, StoreError>;
    fn find_environment(id: EnvironmentId) -> Result<Option<FoundParameter>, StoreError>;
    fn webhooks_page(of: Option<DeploymentId>, page: Page) -> Result<Vec<Webhook>, StoreError>;
    fn find_webhook(id: WebhookId) -> Result<Option<Webhook>, StoreError>;
    fn deliveries_page(of: Option<WebhookId>, page: Page) -> Result<Vec<Delivery>, StoreError>;
    fn schedules_page(of: Option<DeploymentId>, page: Page) -> Result<Vec<Schedule>, StoreError>;
    fn find_schedule(id: ScheduleId) -> Result<Option<(Schedule, Revision)>, StoreError>;
    fn backfills_page(of: Option<ScheduleId>, page: Page) -> Result<Vec<Backfill>, StoreError>;
    fn find_backfill(id: BackfillId) -> Result<Option<(Backfill, Revision)>, StoreError>;
    fn tokens() -> Result<Vec<Token>, StoreError>;
    fn check_audit() -> Result<AuditCheck, StoreError>;
    fn audit(before: Option<AuditId>, limit: u32) -> Result<Vec<Audit>, StoreError>;
}

impl View {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self(engine.clone())
    }

    pub(crate) fn now(&self) -> jobwright_core::Timestamp {
        self.0.now()
    }

    pub(crate) fn gauges(&self) -> jobwright_scheduler::Gauges {
        self.0.gauges()
    }

    pub(crate) fn subscribe(&self, group: Option<GroupId>) -> Subscription {
        self.0.subscribe(group)
    }

    /// What a run would start; nothing starts.
    pub(crate) fn to_explain(&self, id: DeploymentId) -> jobwright_scheduler::RunRequest {
        self.0.run(id)
    }
}
