//! A standalone master as a cluster: one driver per attempt, handed over through the submission
//! server, which runs the program beside it and at most once.
//!
//! The server knows no names, so that a driver which was submitted twice would run twice. Here
//! the drivers of an attempt decide among themselves who has it (`launcher.py`), and an engine that
//! gives up withdraws it from all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::remote::{
    Cluster, Fence, Force, Job, Options, Output, RemoteExecutor, Resources, Sighting, State,
    Submitted, Survey, Trouble,
};
use jobwright_core::{Attempt, Failure, Handle};
use reqwest::Url;
use serde_json::{Value, json};
use thiserror::Error;

use crate::capacity::{Size, most_drivers};
use crate::claim::{Claim, Desk, ERR, OUT, Seen, Task};
use crate::master::{DriverState, Master, MasterError, Overview};
use crate::payload::{INTERNAL, Payload, Properties, PropertyError, property};
use crate::state::state;

/// The class that runs in a driver's JVM. Python is refused in cluster mode, so the driver is a
/// `spark-submit` in client mode itself, on a worker.
const MAIN: &str = "org.apache.spark.deploy.SparkSubmit";

/// How much of what a driver's JVM said is asked of its worker.
const LAST_WORDS: usize = 32 * 1024;

/// How long to wait while there are as many drivers as there may be.
const FULL: Duration = Duration::from_secs(1);

/// Runs attempts as drivers on a standalone master.
pub type SparkExecutor = RemoteExecutor<Standalone>;

/// How attempts run on a standalone master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandaloneOptions {
    /// The address of the submission server, `http://master:6066`; the master has it where
    /// `spark.master.rest.enabled` is true.
    pub rest: String,
    /// The address of the master's web interface, `http://master:8080`.
    pub ui: String,
    /// The address that applications register at; where absent, what the master says of itself.
    pub master: Option<String>,
    /// The Python of the workers; where absent, `PYSPARK_PYTHON` of theirs.
    pub python: Option<String>,
    /// Cores of a driver.
    pub driver_cores: u32,
    /// MiB of memory of a driver's JVM.
    pub driver_memory: u32,
    /// Cores of an executor.
    pub executor_cores: u32,
    /// The most MiB of memory of an executor, and what it has where a step does not say.
    pub executor_memory: u32,
    /// Properties of all applications; a step may set others.
    pub properties: Properties,
    /// How long to rest between two questions about all drivers. Default 2 s: drivers live longer.
    pub poll: Duration,
}

impl Default for StandaloneOptions {
    fn default() -> Self {
        Self {
            rest: "http://127.0.0.1:6066".to_owned(),
            ui: "http://127.0.0.1:8080".to_owned(),
            master: None,
            python: None,
            driver_cores: 1,
            driver_memory: 1024,
            executor_cores: 1,
            executor_memory: 1024,
            properties: Properties::new(),
            poll: Duration::from_secs(2),
        }
    }
}

/// Why attempts cannot run so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StandaloneError {
    /// An address is none.
    #[error("`{text}` is no address of a Spark master: write `http://host:port`")]
    Address {
        /// What was given.
        text: String,
    },
    /// A driver or an executor would have no core or no memory.
    #[error("drivers and executors need at least 1 core and 1 MiB of memory")]
    Size,
    /// A property cannot be set.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// The client of HTTP cannot be made.
    #[error("the roots of the system cannot be read")]
    Client(#[source] reqwest::Error),
    /// The cluster cannot hold so many drivers.
    #[error(
        "{slots} drivers at a time can wait for each other for ever: on {workers}, with drivers of \
         {driver} and executors of {executor}, {most} leave room for an executor wherever they are \
         placed; set `slots` to at most that, make them smaller, or add workers"
    )]
    Deadlock {
        /// How many attempts are to run at a time.
        slots: u32,
        /// How many may.
        most: u32,
        /// What there is.
        workers: String,
        /// The size of a driver.
        driver: String,
        /// The size of an executor.
        executor: String,
    },
    /// The master does not answer.
    #[error("the Spark master does not tell what workers it has: {0}")]
    Silent(String),
}

/// A standalone master with its workers.
#[derive(Debug)]
pub struct Standalone {
    master: Master,
    options: StandaloneOptions,
    slots: u32,
}

/// What is sent, besides what is only known then.
#[derive(Debug)]
pub struct Order {
    properties: Properties,
    arguments: Vec<String>,
}

/// Makes an executor. `root` is a folder that the engine and all workers see under the same path
/// and that they read and write as the same user; each attempt gets its folder there.
///
/// At most `remote.slots` drivers run at a time, and never so many that they could keep each other
/// from starting executors, whoever handed them over; see [`Standalone::check`].
///
/// # Errors
/// An address, a size or a property is wrong.
pub fn standalone(
    options: StandaloneOptions,
    root: impl Into<PathBuf>,
    remote: Options,
) -> Result<SparkExecutor, StandaloneError> {
    // One after the other: each counts the drivers that are there before it adds one.
    let remote = Options { submissions: 1, ..remote };
    Ok(RemoteExecutor::new(Standalone::new(options, remote.slots)?, root, remote))
}

impl Standalone {
    fn new(options: StandaloneOptions, slots: u32) -> Result<Self, StandaloneError> {
        let sizes = [
            options.driver_cores,
            options.driver_memory,
            options.executor_cores,
            options.executor_memory,
        ];
        if sizes.contains(&0) {
            return Err(StandaloneError::Size);
        }
        for (name, value) in &options.properties {
            property(name, value)?;
        }
        let address = |text: &str| {
            let wrong = || StandaloneError::Address { text: text.to_owned() };
            let url = Url::parse(text).map_err(|_| wrong())?;
            let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
            is_http.then_some(url).ok_or_else(wrong)
        };
        let (rest, ui) = (address(&options.rest)?, address(&options.ui)?);
        let master = Master::new(rest, ui).map_err(StandaloneError::Client)?;
        Ok(Self { master, options, slots })
    }

    /// Asks the master whether so many drivers at a time as are configured can deadlock. Attempts
    /// are handed over only where they cannot, so this is for a word in time. Cancel safe.
    ///
    /// # Errors
    /// They can, or the master does not answer.
    pub async fn check(&self) -> Result<(), StandaloneError> {
        let overview = self.master.overview().await;
        let overview = overview.map_err(|error| StandaloneError::Silent(error.to_string()))?;
        self.safe(&overview).map(drop)
    }

    /// Returns how many drivers there may be, whosever they are.
    fn safe(&self, overview: &Overview) -> Result<u32, StandaloneError> {
        let (driver, executor) = (self.driver(), self.executor());
        let most = most_drivers(&overview.workers, driver, executor);
        if self.slots <= most {
            return Ok(most);
        }
        let alive: Vec<_> = overview.workers.iter().filter(|it| it.is_alive()).collect();
        let cores: u32 = alive.iter().map(|it| it.cores).sum();
        let memory: u32 = alive.iter().map(|it| it.memory).sum();
        let workers = alive.len();
        let workers = format!("{workers} workers with {cores} cores and {memory} MiB in all");
        let size = |size: Size| format!("{} cores and {} MiB", size.cores, size.memory);
        let (driver, executor) = (size(driver), size(executor));
        Err(StandaloneError::Deadlock { slots: self.slots, most, workers, driver, executor })
    }

    fn driver(&self) -> Size {
        Size { cores: self.options.driver_cores, memory: self.options.driver_memory }
    }

    fn executor(&self) -> Size {
        Size { cores: self.options.executor_cores, memory: self.options.executor_memory }
    }

    /// The properties that say what a step may use.
    fn sized(&self, asked: Resources, properties: &mut Properties) -> Result<(), Failure> {
        let Size { cores, memory } = self.executor();
        let memory = match asked.memory_bytes.map(|bytes| bytes.div_ceil(1 << 20)) {
            None => u64::from(memory),
            Some(asked) if asked <= u64::from(memory) => asked,
            Some(asked) => {
                return Err(Failure::permanent(
                    "resources",
                    format!(
                        "`resources.memory` asks for {asked} MiB, and executors have at most \
                         {memory} MiB by the configuration of this executor"
                    ),
                ));
            }
        };
        let mut set = |name: &str, value: String| properties.insert(name.to_owned(), value);
        set("spark.executor.cores", cores.to_string());
        set("spark.executor.memory", format!("{memory}m"));
        if let Some(millis) = asked.cpu_millis {
            // Below the cores of one executor the application would wait for ever.
            set("spark.cores.max", millis.div_ceil(1000).max(cores).to_string());
        }
        if let Some(gpus) = asked.gpus {
            set("spark.executor.resource.gpu.amount", gpus.to_string());
        }
        Ok(())
    }

    fn submission(&self, order: &Order, overview: &Overview, key: &str) -> Value {
        let master = self.options.master.as_deref().unwrap_or(&overview.url);
        let mut arguments = vec!["--master", master, "--deploy-mode", "client", "--name", key];
        arguments.extend(order.arguments.iter().map(String::as_str));
        let mut properties = order.properties.clone();
        let driver = self.driver();
        for (name, value) in [
            ("spark.app.name", key.to_owned()),
            ("spark.master", master.to_owned()),
            ("spark.submit.deployMode", "client".to_owned()),
            ("spark.driver.cores", driver.cores.to_string()),
            ("spark.driver.memory", format!("{}m", driver.memory)),
            ("spark.driver.supervise", "false".to_owned()),
        ] {
            properties.insert(name.to_owned(), value);
        }
        let mut environment = json!({ "SPARK_ENV_LOADED": "1" });
        if let Some(python) = &self.options.python {
            environment["PYSPARK_PYTHON"] = python.as_str().into();
        }
        json!({
            "action": "CreateSubmissionRequest",
            "clientSparkVersion": "4.0.0",
            "appResource": "",
            "mainClass": MAIN,
            "appArgs": arguments,
            "environmentVariables": environment,
            "sparkProperties": properties,
        })
    }

    /// Looks at attempts: one request for all, and their folders.
    async fn sightings(&self, jobs: &[Job]) -> Result<Vec<Sighting>, Trouble> {
        let overview = self.master.overview().await.map_err(|error| trouble(&error))?;
        let jobs = jobs.to_vec();
        let look = move || {
            let seen = jobs.iter().map(|job| Ok((job, seen(job)?)));
            let told = seen.filter_map(|seen: std::io::Result<_>| match seen {
                Ok((job, seen)) => {
                    let (driver, state) = state(job.key().as_str(), &seen, &overview)?;
                    if state == State::Gone
                        && let Err(error) = desk(job).give_up()
                    {
                        return Some(Err(error));
                    }
                    Some(Ok(Sighting {
                        key: job.key().clone(),
                        handle: Handle::new(&driver),
                        state,
                    }))
                }
                Err(error) => Some(Err(error)),
            });
            told.collect::<std::io::Result<Vec<_>>>()
        };
        blocking(look).await
    }

    /// Has all drivers killed that are known for an attempt.
    async fn kill(&self, handle: &Handle, claim: &Claim) -> Result<(), Trouble> {
        if let Claim::Driver(driver) = claim
            && driver != handle.as_str()
        {
            self.master.kill(driver).await.map_err(|error| trouble(&error))?;
        }
        self.master.kill(handle.as_str()).await.map_err(|error| trouble(&error))
    }
}

#[async_trait]
impl Cluster for Standalone {
    type Order = Order;

    fn name(&self) -> &'static str {
        "Spark"
    }

    fn poll(&self) -> Duration {
        self.options.poll
    }

    async fn prepare(&self, job: &Job) -> Result<Order, Failure> {
        let attempt = job.attempt();
        let payload = Payload::parse(attempt.payload(), &self.options.properties)?;
        let Payload { work, class, mut properties } = payload;
        self.sized(work.resources(), &mut properties)?;
        let environment = environment(&work, job)?;
        work.lay_out(job).await?;
        let desk = desk(job);
        let io = |error: std::io::Error| {
            Failure::retryable("io", format!("the folder of the attempt cannot be used: {error}"))
        };
        let token = desk.token().map_err(io)?;
        let stdin = work.stdin().map_or_else(|| "/dev/null".into(), |_| job.stdin());
        let time = work.resources().time.map(|time| time.as_secs_f64());
        let (command, class) = (work.command(), class.as_deref());
        let task = Task { token: &token, command, class, environment, stdin, time };
        desk.furnish(&task).map_err(io)?;
        let mut arguments = Vec::new();
        if class.is_some() && command[0] != INTERNAL {
            arguments.extend(["--jars".to_owned(), jar(&command[0], job)]);
        }
        for (name, value) in &properties {
            arguments.extend(["--conf".to_owned(), format!("{name}={value}")]);
        }
        arguments.extend([text(desk.launcher())?, text(job.folder().to_owned())?, token]);
        Ok(Order { properties, arguments })
    }

    async fn submit(&self, job: &Job, order: &Order) -> Result<Submitted, Trouble> {
        let overview = self.master.overview().await.map_err(|error| unsent(&error))?;
        let busy = |why: String| Err(Trouble::Busy { why, after: Some(FULL) });
        if !overview.is_settled() {
            return busy(format!("the master is {}", overview.status));
        }
        match self.safe(&overview) {
            Err(error) => {
                return Ok(Submitted::Refused(Failure::rejected("deadlock", error.to_string())));
            }
            Ok(most) if overview.active.len() >= most as usize => {
                let there = overview.active.len();
                return busy(format!("it has {there} drivers, and more could deadlock"));
            }
            Ok(_) => {}
        }
        let submission = self.submission(order, &overview, job.key().as_str());
        let driver = match self.master.create(&submission).await {
            Ok(driver) => driver,
            Err(MasterError::Refused { words, .. }) => return busy(words),
            Err(error) => return Err(trouble(&error)),
        };
        if let Err(error) = desk(job).hand_to(&driver) {
            // The driver will tell by its claim; only while it waits nobody finds it after a crash.
            tracing::warn!(%error, attempt = %job.attempt().id(), "a driver cannot be written down");
        }
        Ok(Submitted::Accepted(Handle::new(&driver)))
    }

    async fn find(&self, jobs: &[Job]) -> Result<Vec<Sighting>, Trouble> {
        let mut found = self.sightings(jobs).await?;
        found.retain(|sighting| sighting.state != State::Gone);
        Ok(found)
    }

    async fn observe(&self, jobs: &[Job]) -> Result<Survey, Trouble> {
        self.sightings(jobs).await.map(Survey::whole)
    }

    async fn stop(&self, job: &Job, handle: &Handle, how: Force) -> Result<(), Trouble> {
        let desk = desk(job);
        let grace = match how {
            Force::Ask { grace } => grace,
            Force::Kill => Duration::ZERO,
        };
        let claim = blocking(move || {
            let claim = desk.withdraw()?;
            if matches!(claim, Claim::Driver(_)) {
                desk.ask_to_stop(grace)?;
            }
            Ok(claim)
        });
        match (claim.await?, how) {
            // Its launcher does it.
            (Claim::Driver(_), Force::Ask { .. }) => Ok(()),
            (claim, _) => self.kill(handle, &claim).await,
        }
    }

    async fn fence(&self, job: &Job) -> Result<Fence, Trouble> {
        let desk = desk(job);
        let Claim::Driver(driver) = blocking(move || desk.withdraw()).await? else {
            return Ok(Fence::Shut);
        };
        let status = self.master.status(&driver).await.map_err(|error| trouble(&error))?;
        Ok(if status.is_some_and(DriverState::is_over) { Fence::Shut } else { Fence::Started })
    }

    async fn output(&self, job: &Job, handle: &Handle) -> Result<Output, Trouble> {
        let (desk, fallback) = (desk(job), job.clone());
        let (out, err, seen) =
            blocking(move || Ok((desk.said(OUT)?, desk.said(ERR)?, seen(&fallback)?))).await?;
        let mut output = Output::default();
        if let Some(out) = out {
            output = output.out(tokio::fs::File::from_std(out));
        }
        let words = match &seen {
            // Only the JVM can tell.
            Seen { end: None, claim, .. } => {
                let driver = match claim {
                    Claim::Driver(driver) => driver,
                    Claim::Open | Claim::Withdrawn => handle.as_str(),
                };
                self.words(driver).await
            }
            Seen { end: Some(_), .. } => String::new(),
        };
        let words = std::io::Cursor::new(words.into_bytes());
        Ok(match err {
            Some(err) => {
                output.err(tokio::io::AsyncReadExt::chain(tokio::fs::File::from_std(err), words))
            }
            None => output.err(words),
        })
    }

    async fn release(&self, job: &Job, _: &Handle) {
        let desk = desk(job);
        let end = tokio::task::spawn_blocking(move || {
            let given_up = desk.give_up();
            desk.clear();
            given_up
        });
        if let Ok(Err(error)) = end.await {
            tracing::warn!(%error, attempt = %job.attempt().id(), "it cannot be given up");
        }
    }

    async fn ping(&self) -> Result<(), Trouble> {
        self.master.overview().await.map(drop).map_err(|error| trouble(&error))
    }
}

impl Standalone {
    /// What the JVM of a driver last said, if its worker tells.
    async fn words(&self, driver: &str) -> String {
        let Ok(overview) = self.master.overview().await else { return String::new() };
        let worker = overview.driver(driver).and_then(|it| it.worker.as_ref());
        match overview.workers.iter().find(|it| Some(&it.id) == worker) {
            Some(worker) => self.master.last_words(worker, driver, LAST_WORDS).await,
            None => String::new(),
        }
    }
}

fn desk(job: &Job) -> Desk {
    Desk::new(job.folder(), job.mark())
}

fn seen(job: &Job) -> std::io::Result<Seen> {
    let mut seen = desk(job).look()?;
    if seen.driver.is_none() {
        seen.driver = job.attempt().handle().map(|handle| handle.as_str().to_owned());
    }
    Ok(seen)
}

/// The variables of a program. They are written into its folder, so none may be secret.
fn environment(
    work: &jobwright_adapters::remote::Work,
    job: &Job,
) -> Result<BTreeMap<String, String>, Failure> {
    let attempt: &Attempt = job.attempt();
    let mut environment = BTreeMap::new();
    for variable in work.variables(attempt, &job.places(), "")? {
        if variable.is_secret {
            return Err(Failure::permanent(
                "secret",
                format!(
                    "payload field `env.{}` names a secret, and a standalone master has no place for \
                     one: it keeps what is submitted on its disk and takes it over plain HTTP; let \
                     the application fetch it, or run the step through `spark-submit`",
                    variable.name
                ),
            ));
        }
        // The worker knows where its programs are.
        if variable.name != "PATH" {
            environment.insert(variable.name, variable.value);
        }
    }
    Ok(environment)
}

/// A jar of the package, by its whole path; others as they are.
fn jar(name: &str, job: &Job) -> String {
    let is_elsewhere = name.starts_with('/') || name.contains("://") || name.starts_with("file:");
    if is_elsewhere { name.to_owned() } else { job.places().work.join(name).display().to_string() }
}

fn text(path: PathBuf) -> Result<String, Failure> {
    path.into_os_string().into_string().map_err(|path| {
        let words = format!("the shared folder {} has a name that is no text", path.display());
        Failure::permanent("folder", words)
    })
}

fn trouble(error: &MasterError) -> Trouble {
    let words = error.to_string();
    match error {
        MasterError::Unreachable { .. } => Trouble::Unsent(words),
        MasterError::Unanswered { .. } => Trouble::Unanswered(words),
        MasterError::Refused { .. } | MasterError::Denied { .. } | MasterError::Garbled { .. } => {
            Trouble::Denied(words)
        }
    }
}

/// A question that was not answered before anything was sent.
fn unsent(error: &MasterError) -> Trouble {
    match trouble(error) {
        Trouble::Unanswered(words) => Trouble::Unsent(words),
        other => other,
    }
}

/// Does what touches the shared folder where it may take its time. A folder that is away is like a
/// cluster that is.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(act).await.map_err(std::io::Error::other).flatten();
    done.map_err(|error| Trouble::Unsent(format!("the shared folder cannot be used: {error}")))
}
