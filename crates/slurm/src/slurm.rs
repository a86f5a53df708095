//! A Slurm cluster, seen through its slurmrestd.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_adapters::RemoteExecutor;
use jobwright_adapters::remote::{
    Cluster, Fence, Force, Job, Options, Output, Resources, Sighting, Submitted, Survey, Trouble,
    Work, instant,
};
use jobwright_core::secret::SecretSource;
use jobwright_core::{Failure, Handle};
use reqwest::Method;
use thiserror::Error;
use tokio::time::Instant;

use crate::api::{Api, ApiVersion, Refusal};
use crate::find::{ends, handle, id, sightings};
use crate::order::{ERR, OUT, Order, TAKEN};
use crate::token::Token;
use crate::wire::{Jobs, Plain, Submission};

/// Slurm's numbers for a job that is not there, or over.
const OVER: [i64; 3] = [2017, 2021, 2084];

/// Those for a job that has not begun, so that there is nothing to signal.
const NOT_RUNNING: [i64; 3] = [2020, 2024, 2085];

/// Those of refusals that another time may not bring: nodes or partitions are busy or down, files
/// cannot be written, an account is at its limit.
const PASSING: [i64; 10] = [2007, 2015, 2016, 2019, 2050, 2068, 2070, 2074, 2101, 2118];

/// So many looks at the shared folder come to one at the list of jobs.
const LOOKS: u32 = 8;

/// Runs attempts on Slurm.
pub type SlurmExecutor = RemoteExecutor<Slurm>;

/// Which cluster it is, and how jobs are handed over to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where slurmrestd is, such as `http://127.0.0.1:6820`.
    pub url: String,
    /// The cluster's user as whom jobs run: who owns the shared folder.
    pub user: String,
    /// The name of the secret that holds the user's JSON web token.
    pub token: String,
    /// The version of the API; agreed on with the cluster where absent.
    pub api: Option<ApiVersion>,
    /// The partition of jobs; the cluster's choice where absent, as for what follows.
    pub partition: Option<String>,
    /// The account that is charged.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// Features that nodes must have.
    pub constraints: Option<String>,
    /// The reservation that is used.
    pub reservation: Option<String>,
    /// What steps get that ask for nothing.
    pub resources: Resources,
    /// The `PATH` of programs. Default `/usr/local/bin:/usr/bin:/bin`.
    pub path: String,
    /// How long to rest between two looks at what jobs have left in the shared folder. Slurm itself
    /// is asked how they are every eight times as long. Default 250 ms.
    pub poll: Duration,
}

/// Why a site cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The address is none.
    #[error("`{url}` is not where slurmrestd can be: write `http://HOST:PORT` or `https://…`")]
    Url {
        /// What was written.
        url: String,
    },
    /// The user cannot be named in a request.
    #[error("`{user}` is no user of a cluster")]
    User {
        /// What was written.
        user: String,
    },
    /// Slurm would replace a part of the path of outputs.
    #[error("the shared folder `{}` cannot be used: it must be UTF-8 without `%` or `\\`", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
    },
    /// The client of HTTP cannot be made.
    #[error("the http client cannot be made")]
    Client(#[source] reqwest::Error),
}

impl Site {
    /// Takes where slurmrestd is, the cluster's user, and the name of the secret that is its token.
    #[must_use]
    pub fn new(url: &str, user: &str, token: &str) -> Self {
        Self {
            url: url.to_owned(),
            user: user.to_owned(),
            token: token.to_owned(),
            api: None,
            partition: None,
            account: None,
            qos: None,
            constraints: None,
            reservation: None,
            resources: Resources::default(),
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            poll: Duration::from_millis(250),
        }
    }
}

/// Makes an executor. `root` is the folder that engine and cluster share under the same path; jobs
/// must be able to write into what the engine makes there, so both are the same user.
///
/// # Errors
/// [`SiteError`]; the cluster itself is not asked.
pub fn executor(
    site: Site,
    root: impl Into<PathBuf>,
    secrets: Arc<dyn SecretSource>,
    options: Options,
) -> Result<SlurmExecutor, SiteError> {
    let root: PathBuf = root.into();
    let root = std::path::absolute(&root).unwrap_or(root);
    if root.to_str().is_none_or(|text| text.contains(['%', '\\'])) {
        return Err(SiteError::Folder { folder: root });
    }
    Ok(RemoteExecutor::new(Slurm::new(site, secrets)?, root, options))
}

/// The answers of a Slurm cluster.
pub struct Slurm {
    site: Site,
    api: Api,
    /// When the cluster is asked next how jobs are; at once where absent.
    list_at: Mutex<Option<Instant>>,
}

impl Slurm {
    /// Takes the cluster, and where its token comes from.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub fn new(site: Site, secrets: Arc<dyn SecretSource>) -> Result<Self, SiteError> {
        let token = Token::new(secrets, site.token.clone());
        let api = Api::new(&site, token)?;
        Ok(Self { site, api, list_at: Mutex::new(None) })
    }

    /// Returns how many requests were sent to slurmrestd.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.api.asked()
    }

    async fn signal(&self, id: i64, signal: &str) -> Result<(), Refusal> {
        let flags = if self.api.version().await?.has_flags() { "&flags=FULL_JOB" } else { "" };
        let path = format!("job/{id}?signal={signal}{flags}");
        match self.api.call::<Plain>(Method::DELETE, &path, None).await {
            Ok(_) => Ok(()),
            Err(Refusal::Decided { number, .. }) if OVER.contains(&number) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}

#[async_trait]
impl Cluster for Slurm {
    type Order = Order;

    fn name(&self) -> &'static str {
        "Slurm"
    }

    fn poll(&self) -> Duration {
        self.site.poll
    }

    async fn prepare(&self, job: &Job) -> Result<Order, Failure> {
        let work = Work::parse(job.attempt().payload(), &[])?;
        let variables = work.variables(job.attempt(), &job.places(), &self.site.path)?;
        let resources = work.resources().or(self.site.resources);
        work.lay_out(job).await?;
        Ok(Order::new(job, work.command(), variables, resources, work.stdin().is_some()))
    }

    async fn submit(&self, job: &Job, order: &Order) -> Result<Submitted, Trouble> {
        let body = order.body(job, &self.site, self.api.version().await?);
        match self.api.call::<Submission>(Method::POST, "job/submit", Some(&body)).await {
            Ok(answer) => match answer.job_id() {
                Some(id) => Ok(Submitted::Accepted(handle(id))),
                None => Err(Trouble::Unanswered("its answer has no number of a job".to_owned())),
            },
            Err(Refusal::Decided { number, words }) => {
                let message = format!("Slurm does not take it: {words} ({number})");
                Ok(Submitted::Refused(if PASSING.contains(&number) {
                    Failure::rejected("refused", message)
                } else {
                    Failure::permanent("refused", message)
                }))
            }
            Err(Refusal::Trouble(trouble)) => Err(trouble),
        }
    }

    async fn find(&self, jobs: &[Job]) -> Result<Vec<Sighting>, Trouble> {
        let listed: Jobs = self.api.call(Method::GET, "jobs", None).await?;
        Ok(sightings(jobs, &listed.jobs))
    }

    /// The list of all jobs costs the cluster time, and so is not asked for at every look. Most
    /// ends are seen in the shared folder before.
    async fn observe(&self, jobs: &[Job]) -> Result<Survey, Trouble> {
        let began = instant();
        let list_at = *self.list_at.lock().unwrap_or_else(PoisonError::into_inner);
        if list_at.is_some_and(|at| at > began) {
            let jobs = jobs.to_vec();
            let ended = tokio::task::spawn_blocking(move || ends(&jobs)).await;
            return Ok(Survey::news(ended.unwrap_or_default()));
        }
        let found = self.find(jobs).await?;
        let took = instant() - began;
        let next = instant() + (self.site.poll * LOOKS).max(took * LOOKS);
        *self.list_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(Survey::whole(found))
    }

    async fn stop(&self, _: &Job, handle: &Handle, how: Force) -> Result<(), Trouble> {
        let Some(id) = id(handle) else { return Ok(()) };
        // A job that has not begun leaves nothing when it is stopped.
        *self.list_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let asked = match how {
            Force::Ask { .. } => self.signal(id, "TERM").await,
            Force::Kill => self.signal(id, "KILL").await,
        };
        match asked {
            Err(Refusal::Decided { number, .. }) if NOT_RUNNING.contains(&number) => {
                self.signal(id, "KILL").await.map_err(Trouble::from)
            }
            asked => asked.map_err(Trouble::from),
        }
    }

    /// Who makes the file first has the attempt: the job's script, or this.
    async fn fence(&self, job: &Job) -> Result<Fence, Trouble> {
        match tokio::fs::File::create_new(job.folder().join(TAKEN)).await {
            Ok(_) => Ok(Fence::Shut),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Fence::Started),
            // It was never furnished, so nothing was handed over; and a script ends without it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Fence::Shut),
            Err(error) => Err(Trouble::Unsent(format!("the shared folder: {error}"))),
        }
    }

    async fn output(&self, job: &Job, _: &Handle) -> Result<Output, Trouble> {
        let trouble =
            |error: std::io::Error| Trouble::Unsent(format!("the shared folder: {error}"));
        let open = |name| job.open(name).map(|file| file.map(tokio::fs::File::from_std));
        let mut output = Output::default();
        if let Some(out) = open(OUT).map_err(trouble)? {
            output = output.out(out);
        }
        if let Some(err) = open(ERR).map_err(trouble)? {
            output = output.err(err);
        }
        Ok(output)
    }

    async fn release(&self, job: &Job, _: &Handle) {
        for name in [OUT, ERR] {
            let removed = tokio::fs::remove_file(job.folder().join(name)).await;
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, key = %job.key(), "a file cannot be removed");
            }
        }
    }

    async fn ping(&self) -> Result<(), Trouble> {
        self.api.call::<Plain>(Method::GET, "ping", None).await.map(drop).map_err(Trouble::from)
    }
}
