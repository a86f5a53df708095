//! How an engine begins.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use jobwright_core::secret::SecretSource;
use jobwright_core::{
    Executor, ExecutorName, NameError, NodeId, Observer, PoolName, Retention, Store, StoreError,
};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::bucket::Readmission;
use super::gates::Gates;
use super::ids::Ids;
use super::logs::LogKeeper;
use super::lookout::Lookout;
use super::shelf::Shelf;
use super::{End, Engine, Inner};
use crate::clock::Clock;
use crate::driver::{Audience, Driver, Listener, Seat};
use crate::hub::Hub;
use crate::machine::{Capacity, Scheduler};
use crate::statuses::Statuses;

/// How many messages the loop's inbox holds: submissions beyond it are refused, reports beyond it
/// wait.
const INBOX: usize = 8192;

/// The lease where nothing is said.
const LEASE: Duration = Duration::from_secs(15);

/// Below it, the time that a renewal takes would be a large part of the lease.
const MIN_LEASE: Duration = Duration::from_millis(100);

/// Says what to do about an executor that an engine does not have.
pub(super) type ExecutorAdvice = dyn Fn(&ExecutorName) -> String + Send + Sync;

/// What an engine is made of.
#[must_use = "a builder does nothing until `start`"]
#[derive(Default)]
pub struct EngineBuilder {
    store: Option<Arc<dyn Store>>,
    executors: BTreeMap<ExecutorName, Arc<dyn Executor>>,
    limits: BTreeMap<ExecutorName, u32>,
    totals: BTreeMap<ExecutorName, u32>,
    pools: BTreeMap<PoolName, u32>,
    secrets: Option<Arc<dyn SecretSource>>,
    advice: Option<Arc<ExecutorAdvice>>,
    observers: Vec<Arc<dyn Observer>>,
    leaves_unfinished: bool,
    retention: Option<Retention>,
    lease: Option<Duration>,
    predecessor: Option<NodeId>,
    logs: super::logs::Logs,
    readmission: Readmission,
    fault: Option<StartError>,
}

/// Why an engine did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// It was given no store.
    #[error("an engine needs a store: give it one with `EngineBuilder::store`")]
    NoStore,
    /// An executor or a pool has an impossible name.
    #[error("an executor or pool cannot have that name")]
    Name(#[from] NameError),
    /// Two executors have the same name.
    #[error("executor `{0}` is given twice")]
    Twice(ExecutorName),
    /// A limit is given for an executor that the engine does not have.
    #[error("executor `{0}` is given a limit, and the engine has no such executor")]
    NoExecutor(ExecutorName),
    /// The lease is too short to be renewed in time.
    #[error("a lease of {0:?} is too short: an engine needs 100 ms at least")]
    Lease(Duration),
    /// The store failed.
    #[error("unfinished job groups cannot be taken up")]
    Store(#[from] StoreError),
}

impl EngineBuilder {
    /// Where everything is kept.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Where everything is kept, shared with others.
    pub fn shared_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// What runs the steps that name this executor.
    pub fn executor(self, name: &str, executor: impl Executor) -> Self {
        self.shared_executor(name, Arc::new(executor))
    }

    /// What runs the steps that name this executor, shared with others: one executor may have
    /// several names.
    pub fn shared_executor(mut self, name: &str, executor: Arc<dyn Executor>) -> Self {
        match ExecutorName::new(name) {
            Ok(name) if self.executors.contains_key(&name) => {
                self.fault.get_or_insert(StartError::Twice(name));
            }
            Ok(name) => {
                self.executors.insert(name, executor);
            }
            Err(error) => {
                self.fault.get_or_insert(error.into());
            }
        }
        self
    }

    /// How many attempts an executor may have at a time, instead of what it says itself.
    pub fn executor_limit(mut self, name: &str, limit: u32) -> Self {
        match ExecutorName::new(name) {
            Ok(name) => {
                self.limits.insert(name, limit);
            }
            Err(error) => {
                self.fault.get_or_insert(error.into());
            }
        }
        self
    }

    /// How many attempts an executor may have at a time over all engines of a shared store, besides
    /// what each may have by itself. All engines should be told the same. On a store of its own an
    /// engine has all of it.
    ///
    /// Engines divide the slots by what their jobs need. What an engine leaves when it dies is free
    /// when its lease is over; work that outlives its engine counts again as soon as another one
    /// has taken it up, and in between others may begin as many.
    pub fn executor_total(mut self, name: &str, limit: u32) -> Self {
        match ExecutorName::new(name) {
            Ok(name) => {
                self.totals.insert(name, limit);
            }
            Err(error) => {
                self.fault.get_or_insert(error.into());
            }
        }
        self
    }

    /// How much of a pool live attempts may use together. A pool that is not declared has 1.
    pub fn pool(mut self, name: &str, limit: u32) -> Self {
        match PoolName::new(name) {
            Ok(name) => {
                self.pools.insert(name, limit);
            }
            Err(error) => {
                self.fault.get_or_insert(error.into());
            }
        }
        self
    }

    /// Where the contents of secrets come from.
    pub fn secrets(self, source: impl SecretSource) -> Self {
        self.shared_secrets(Arc::new(source))
    }

    /// Where the contents of secrets come from, shared with others.
    pub fn shared_secrets(mut self, source: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(source);
        self
    }

    /// What whoever runs a step on an executor that the engine does not have is told to do about
    /// it: a program whose executors are configured knows where. Nothing where nothing is said.
    pub fn executor_advice(
        mut self,
        advice: impl Fn(&ExecutorName) -> String + Send + Sync + 'static,
    ) -> Self {
        self.advice = Some(Arc::new(advice));
        self
    }

    /// Who is told of the engine's work, for metrics and the like; may be given several times. See
    /// [`Observer`] for what it may do.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Leaves what earlier engines left unfinished as it is: for a program that only looks, or that
    /// changes nothing but the catalog.
    pub fn leave_unfinished(mut self) -> Self {
        self.leaves_unfinished = true;
        self
    }

    /// How long runs are kept when they are over, where their deployment says nothing else; none is
    /// for ever. 30 days where nothing is said. With a run go its job groups, their history, what
    /// executors keep of them, and its idempotency key.
    pub fn retention(mut self, retention: Option<Duration>) -> Self {
        self.retention = Some(retention.into());
        self
    }

    /// For how long the engine's groups stay its own when it is not heard, where other engines use
    /// the same store; 15 seconds where nothing is said. It renews thrice in that time. Others take
    /// its groups up so long after its death; and an engine that was stopped, or did not reach its
    /// store, for nine tenths of it gives its groups up by itself. At least 100 milliseconds.
    pub fn lease(mut self, lease: Duration) -> Self {
        if lease < MIN_LEASE {
            self.fault.get_or_insert(StartError::Lease(lease));
        }
        self.lease = Some(lease);
        self
    }

    /// The node of an earlier engine that is known to be dead and to have left no work running,
    /// such as the last one of a folder that this process has locked. On a store that others share,
    /// its groups are free at once instead of when its lease is over. Two engines drive the same
    /// attempts if it is not dead; what they write down stays right all the same.
    pub fn succeeds(mut self, node: NodeId) -> Self {
        self.predecessor = Some(node);
        self
    }

    /// Who has the logs of what runs on this engine, so that others on the same store can read
    /// them.
    pub fn logs(mut self, keeper: Arc<dyn LogKeeper>) -> Self {
        self.logs = Some(keeper);
        self
    }

    /// How fast groups that an earlier or another engine left are taken up: so many at once, then
    /// so many a second; 2,000 and 2,000 where nothing is said.
    pub fn readmission(mut self, burst: u32, per_second: u32) -> Self {
        self.readmission = Readmission { per_second, burst };
        self
    }

    /// Starts the engine on the current tokio runtime, and takes up every unfinished group of the
    /// store. Not cancel safe.
    ///
    /// # Errors
    /// Refuses wrong names, a limit without its executor, and a missing store; fails when the
    /// store does.
    pub async fn start(self) -> Result<Engine, StartError> {
        let mut this = self.checked()?;
        let store = this.store.take().ok_or(StartError::NoStore)?;
        let retention = this.retention.unwrap_or(Retention::DEFAULT);
        let kept = this.executors.values().cloned().collect();
        let goes_on = !this.leaves_unfinished;
        let predecessor = this.predecessor;
        let engine = this.assemble(store);
        if goes_on {
            if let Some(node) = predecessor {
                engine.bury(node).await?;
            }
            engine.take_up().await?;
            super::firing::keep(&engine.0);
            super::retention::keep(&engine.0, retention, kept);
        }
        Ok(engine)
    }

    /// Puts an engine together whose loop runs and has nothing to do.
    fn assemble(self, store: Arc<dyn Store>) -> Engine {
        let executors = self.executors.keys().cloned().collect();
        let seats = seats(self.executors);
        let mut capacity = capacity(&seats, &self.limits, self.pools);
        let shared = withhold(&mut capacity, &self.totals, store.is_shared());
        #[expect(clippy::disallowed_methods, reason = "the engine's door: one id per life")]
        let node = NodeId(Uuid::now_v7());
        let (sender, inbox) = mpsc::channel(INBOX);
        let (clock, hub, ends_by) = (Clock::start(), Hub::new(), watch::Sender::new(None));
        let announced = Arc::<Notify>::default();
        let statuses = Arc::new(Statuses::of(&*store));
        let machine = Scheduler::new(&capacity);
        let lease = self.lease.unwrap_or(LEASE);
        let lookout = store.is_shared().then(|| Arc::new(Lookout::new(lease, self.totals)));
        let tenure = lookout.as_ref().map(|lookout| Arc::clone(&lookout.tenure));
        let listener = Listener::new(sender.clone(), hub.clone(), clock, tenure.clone());
        let listener = Arc::new(listener);
        let driver = Driver {
            audience: Audience::new(self.observers, &machine),
            machine,
            capacity,
            store: Arc::clone(&store),
            node,
            shared,
            term: tenure.as_ref().map_or(0, |tenure| tenure.term()),
            tenure,
            helms: BTreeMap::new(),
            clock,
            seats: seats.into_values().collect(),
            secrets: self.secrets,
            hub: hub.clone(),
            statuses: Arc::clone(&statuses),
            waiters: Default::default(),
            listener: Arc::clone(&listener),
            inbox,
            turn: crate::driver::Turn::default(),
            attempts: HashMap::default(),
            artifacts: HashMap::new(),
            inline: None,
            announced: Arc::clone(&announced),
            ending: Default::default(),
            ends_by: ends_by.subscribe(),
        };
        let end = Arc::new(OnceLock::new());
        let driver = spawn(driver, Arc::clone(&end));
        let inner = Arc::new(Inner {
            ids: Ids::new(Arc::clone(&store)),
            submitting: tokio::sync::Mutex::new(()),
            store,
            node,
            clock,
            executors,
            advice: self.advice,
            logs: self.logs,
            announced,
            gates: Gates::default(),
            prepared: Shelf::new(),
            sender,
            listener,
            hub,
            statuses,
            driver,
            bell: Arc::default(),
            readmission: self.readmission,
            lookout: lookout.clone(),
            watching: OnceLock::new(),
            ends_by,
            end,
        });
        Engine(inner, None)
    }

    fn checked(self) -> Result<Self, StartError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self
            .limits
            .keys()
            .chain(self.totals.keys())
            .find(|name| !self.executors.contains_key(*name))
        {
            Some(name) => Err(StartError::NoExecutor(name.clone())),
            None => Ok(self),
        }
    }
}

/// The executors, asked how they want to be driven.
fn seats(executors: BTreeMap<ExecutorName, Arc<dyn Executor>>) -> BTreeMap<ExecutorName, Seat> {
    let seats = executors.into_iter().map(|(name, executor)| {
        let traits = executor.traits();
        (name, Seat { executor, traits })
    });
    seats.collect()
}

fn capacity(
    seats: &BTreeMap<ExecutorName, Seat>,
    limits: &BTreeMap<ExecutorName, u32>,
    pools: BTreeMap<PoolName, u32>,
) -> Capacity {
    let slots = |name: &ExecutorName, seat: &Seat| limits.get(name).copied().or(seat.traits.slots);
    Capacity {
        executors: seats.iter().map(|(name, it)| (name.clone(), slots(name, it))).collect(),
        pools: pools.into_iter().collect(),
    }
}

/// Takes out of a capacity what engines divide among each other: nothing of it is an engine's own
/// at first. Returns what each executor may have on this engine besides.
fn withhold(
    capacity: &mut Capacity,
    totals: &BTreeMap<ExecutorName, u32>,
    is_shared: bool,
) -> BTreeMap<ExecutorName, Option<u32>> {
    let mut own = BTreeMap::new();
    for (name, limit) in &mut capacity.executors {
        let Some(total) = totals.get(name) else { continue };
        if is_shared {
            own.insert(name.clone(), limit.replace(0));
        } else {
            *limit = Some(limit.map_or(*total, |limit| limit.min(*total)));
        }
    }
    own
}

/// Lets the loop run in a task of its own, which the engine ends when it is dropped. How it ended
/// is known before anybody is told that it did.
fn spawn(mut driver: Driver, end: Arc<OnceLock<End>>) -> tokio::task::AbortHandle {
    let tracker = TaskTracker::new();
    let running = tracker.spawn(async move {
        let ran = AssertUnwindSafe(driver.run()).catch_unwind().await;
        let _ = end.set(match ran {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(error)) => {
                tracing::error!(%error, "the engine ends, since its store broke");
                Err(error.to_string())
            }
            // What is durable is right; the next engine goes on from there.
            Err(_) => Err("its loop panicked, which is a bug; the log has the words".to_owned()),
        });
        drop(driver);
    });
    running.abort_handle()
}
