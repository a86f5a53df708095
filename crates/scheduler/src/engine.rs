//! The handle that users hold. It reads and writes the catalog, prepares runs, and talks to the
//! loop that drives them.

mod audit;
mod backfills;
mod bucket;
mod builder;
mod cancel;
mod catalog;
mod deployments;
mod environment;
mod firing;
mod gates;
mod gauges;
mod group;
mod ids;
mod lists;
mod logs;
mod lookout;
mod order;
mod outbox;
mod prepare;
mod releases;
mod rerun;
mod resume;
mod retention;
mod run;
mod schedules;
mod seal;
mod shelf;
mod submit;
mod tokens;
mod wait;
mod webhooks;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jobwright_core::{Durability, ExecutorName, GroupId, NodeId, Store, Timestamp};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::driver::{Listener, Message, ShutdownReport};
use crate::hub::{Hub, Subscription, Tail};
use crate::statuses::Statuses;

pub use audit::Actor;
pub use backfills::{BackfillError, BackfillRequest};
pub use builder::{EngineBuilder, StartError};
pub use cancel::CancelError;
pub use deployments::{DeploymentChange, DeploymentError};
pub use environment::EnvironmentError;
pub use gauges::Gauges;
pub use group::{AttemptView, GroupView, HistoryEntry, JobView, ReadError};
pub use lists::{FoundRelease, Page};
pub use logs::LogKeeper;
pub use outbox::{NewDelivery, Settlement};
pub use prepare::{Explanation, GroupPreview, PackageError, PrepareError};
pub use releases::{ImportError, ImportPreview, ReleaseError};
pub use rerun::{RerunError, RerunRequest};
pub use run::{PreparedRun, RunError, RunHandle, RunRequest};
pub use schedules::{NewSchedule, ScheduleChange, ScheduleError};
pub use seal::AuditCheck;
pub use tokens::TokenError;
pub use wait::{RunOutcome, WaitError};
pub use webhooks::WebhookError;

use bucket::Readmission;
pub(crate) use gates::Accepting;
use gates::Gates;
use ids::Ids;
use lookout::Lookout;
use prepare::Prepared;
use shelf::Shelf;

/// A running engine. Cheap to clone; when the last clone is dropped without
/// [`Engine::shutdown`], the engine ends as after a crash: what is unfinished is taken up at the
/// next start.
#[derive(Clone)]
pub struct Engine(Arc<Inner>, Option<Arc<Actor>>);

struct Inner {
    store: Arc<dyn Store>,
    node: NodeId,
    clock: Clock,
    ids: Ids,
    /// Held from taking a run's id to submitting it.
    submitting: tokio::sync::Mutex<()>,
    executors: BTreeSet<ExecutorName>,
    advice: Option<Arc<builder::ExecutorAdvice>>,
    logs: logs::Logs,
    /// Told when something has been announced to webhooks.
    announced: Arc<Notify>,
    gates: Gates,
    prepared: Shelf<Prepared>,
    sender: mpsc::Sender<Message>,
    listener: Arc<Listener>,
    hub: Hub,
    statuses: Arc<Statuses>,
    driver: AbortHandle,
    /// Rung when there is something new for the task that looks after schedules.
    bell: Arc<Notify>,
    /// How fast unfinished groups are taken up.
    readmission: Readmission,
    /// What the engine does beside its loop, if other engines use its store.
    lookout: Option<Arc<Lookout>>,
    /// The tasks beside the loop, which end with the engine.
    watching: OnceLock<Box<[AbortHandle]>>,
    /// When the engine must have ended although its store is away.
    ends_by: watch::Sender<Option<Timestamp>>,
    /// How the loop ended, once it has.
    end: Arc<OnceLock<End>>,
}

/// How the loop ended: with a report, or why it could not go on.
type End = Result<ShutdownReport, String>;

impl Drop for Inner {
    fn drop(&mut self) {
        self.bell.notify_one();
        for task in self.watching.get().into_iter().flatten() {
            task.abort();
        }
        if self.end.get().is_none() {
            tracing::warn!("the engine was dropped without a shutdown");
            self.driver.abort();
        }
    }
}

/// The engine does not run any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the engine has ended{}", .cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
pub struct Ended {
    /// Why, if it was not shut down: the store broke, or the engine itself has a bug.
    pub cause: Option<String>,
}

impl Engine {
    /// For how long the engine's job groups are its own if its lease is not renewed again; zero
    /// where it has lost them. None where no other engine could take them, since the store is not
    /// shared. Whoever watches over what attempts started ends that before the time is over.
    #[must_use]
    pub fn lease_left(&self) -> Option<Duration> {
        self.0.lookout.as_ref().map(|lookout| lookout.tenure.left())
    }

    /// Begins an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Says what an acknowledgement of this engine is worth.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.0.store.durability()
    }

    /// Names this life of the engine.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Listens to everything that happens from now on, or to one group. Facts are durable when they
    /// are told. A listener that falls behind is told so by a [`Gap`](crate::Notice::Gap), and
    /// slows nothing.
    ///
    /// Where other engines use the same store, facts are heard whichever engine wrote them, each
    /// once and in the order of its group. A listener to one group hears first those that are kept;
    /// one to all groups hears those after [`ready`](Subscription::ready), and a little later than
    /// they become durable. Progress and log lines are heard from this engine only.
    #[must_use]
    pub fn subscribe(&self, group: Option<GroupId>) -> Subscription {
        let subscription = self.0.hub.subscribe(group);
        match &self.0.lookout {
            Some(lookout) => {
                let store = Arc::clone(&self.0.store);
                subscription.following(Tail::new(store, lookout.wakes(), group))
            }
            None => subscription,
        }
    }

    /// Ends the engine: nothing begins any more; what runs may end by itself for as long as
    /// `drain`; what still runs then is asked to stop, with each step's grace, and then killed.
    /// Unfinished groups are left to the next engine. All calls return the same report; a later
    /// one with a shorter `drain` makes the end come sooner. Cancel safe: the engine goes on
    /// ending, and another call gets the report.
    ///
    /// # Errors
    /// The engine ended because its store broke, or was away when `drain` was over.
    pub async fn shutdown(&self, drain: Duration) -> Result<ShutdownReport, Ended> {
        let by = self.0.clock.now() + drain;
        self.0.ends_by.send_modify(|known| *known = Some(known.map_or(by, |known| known.min(by))));
        if self.0.sender.send(Message::Shutdown { drain }).await.is_ok() {
            self.0.sender.closed().await;
        }
        self.depart().await;
        match self.0.end.get() {
            Some(Ok(report)) => Ok(report.clone()),
            Some(Err(_)) | None => Err(self.ended()),
        }
    }

    /// Whether somebody has asked the engine to end.
    fn is_ending(&self) -> bool {
        self.0.ends_by.borrow().is_some()
    }

    /// Puts a message into the loop's inbox.
    async fn send(&self, message: Message) -> Result<(), Ended> {
        self.0.sender.send(message).await.map_err(|_| self.ended())
    }

    fn ended(&self) -> Ended {
        let end = self.0.end.get().and_then(|end| end.as_ref().err());
        Ended { cause: end.cloned() }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let executors = &self.0.executors;
        f.debug_struct("Engine").field("node", &self.0.node).field("executors", executors).finish()
    }
}
