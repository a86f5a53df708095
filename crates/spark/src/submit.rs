//! `spark-submit` in client mode, one process per attempt: for masters that have no submission
//! server, such as YARN and Kubernetes.
//!
//! In client mode the driver is the process itself, so that everything that holds for local
//! processes holds here: the attempt is handed over when the process has begun, stopped by a signal
//! and killed after the grace, its output is the log, its exit code the end, its environment is the
//! place for secrets; an application whose driver has ended is ended by its master. In cluster mode
//! none of that would hold, since `spark-submit` only watches, so there is none.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jobwright_adapters::LocalProcessExecutor;
use jobwright_adapters::remote::{Key, Prefix, Resources};
use jobwright_core::{
    Artifacts, Attempt, AttemptParts, Executor, ExecutorTraits, Failure, GroupId, Handle, JobIndex,
    Plan, PlannedJob, Reattached, Reporter, Success,
};
use serde_json::{Value, json};

use crate::payload::{Payload, Properties, PropertyError, property};

/// How attempts run through `spark-submit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmitOptions {
    /// The program, by its path or as it is found on the executor's search path.
    pub program: PathBuf,
    /// The master: `yarn`, `k8s://https://host:port`, `spark://host:port`, `local[4]`.
    pub master: String,
    /// The begin of the names of applications.
    pub prefix: Prefix,
    /// Properties of all applications; a step may set others.
    pub properties: Properties,
}

/// Runs attempts as processes of `spark-submit` on this machine. What it guarantees is what
/// [`LocalProcessExecutor`] does; see there also for what becomes of a process whose engine died.
#[derive(Debug, Clone)]
pub struct SparkSubmitExecutor {
    options: SubmitOptions,
    processes: LocalProcessExecutor,
}

impl SparkSubmitExecutor {
    /// Takes the executor that runs the processes, with its folder, slots and inherited variables.
    /// `spark-submit` needs some of `JAVA_HOME`, `SPARK_HOME`, `HADOOP_CONF_DIR`, `KUBECONFIG` and
    /// `PYSPARK_PYTHON`; see [`LocalProcessExecutor::inherit`].
    ///
    /// # Errors
    /// A property cannot be set.
    pub fn new(
        options: SubmitOptions,
        processes: LocalProcessExecutor,
    ) -> Result<Self, PropertyError> {
        for (name, value) in &options.properties {
            property(name, value)?;
        }
        Ok(Self { options, processes })
    }

    /// Makes the attempt that the processes see: the same but for its command.
    fn translated(&self, attempt: &Attempt) -> Result<Attempt, Failure> {
        let payload = self.payload(attempt)?;
        let plan = attempt.plan();
        let job = attempt.job();
        let job = PlannedJob { payload: Arc::new(payload), ..job.clone() };
        let plan = Plan {
            run: plan.run.clone(),
            first_job: attempt.id().job,
            outputs: Vec::new(),
            on_failure: plan.on_failure,
            jobs: vec![job],
            carried: Box::default(),
        };
        Ok(Attempt::new(AttemptParts {
            group: attempt.group(),
            plan: Arc::new(plan),
            job: JobIndex(0),
            number: attempt.number(),
            end_by: attempt.end_by(),
            inputs: attempt.inputs().to_vec().into(),
            artifacts: Artifacts::clone(attempt.artifacts()),
            secrets: attempt.secrets().clone().into(),
            handle: attempt.handle().cloned(),
            cancellation: Default::default(),
            reporter: Arc::new(Relay(attempt.clone())),
        }))
    }

    fn payload(&self, attempt: &Attempt) -> Result<Value, Failure> {
        let original = attempt.payload();
        let Payload { work, class, mut properties } =
            Payload::parse(original, &self.options.properties)?;
        sized(work.resources(), &mut properties);
        let program = self.options.program.to_str().ok_or_else(|| {
            Failure::permanent("configuration", "the path of `spark-submit` is no text")
        })?;
        let key = Key::new(&self.options.prefix, attempt.id());
        let mut command = vec![program, "--master", &self.options.master];
        command.extend(["--deploy-mode", "client", "--name", key.as_str()]);
        if let Some(class) = &class {
            command.extend(["--class", class]);
        }
        let properties: Vec<_> =
            properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        command.extend(properties.iter().flat_map(|property| ["--conf", property]));
        // A name that began with a hyphen would be an option.
        let application = match work.command()[0].as_str() {
            name if name.starts_with('-') => format!("./{name}"),
            name => name.to_owned(),
        };
        command.push(&application);
        command.extend(work.command()[1..].iter().map(String::as_str));
        let mut payload = json!({ "command": command });
        for field in ["env", "stdin", "limits"] {
            if !original[field].is_null() {
                payload[field] = original[field].clone();
            }
        }
        Ok(payload)
    }

    /// Lets what asks an attempt to stop reach the one that the processes see.
    async fn with_stops<T>(
        outer: &Attempt,
        inner: &Attempt,
        work: impl Future<Output = T> + Send,
    ) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            stop = outer.cancellation().wait() => inner.cancellation().stop(stop.clone()),
            end = &mut work => return end,
        }
        work.await
    }
}

#[async_trait]
impl Executor for SparkSubmitExecutor {
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure> {
        let inner = self.translated(&attempt)?;
        Self::with_stops(&attempt, &inner, self.processes.execute(inner.clone())).await
    }

    async fn reattach(&self, attempt: Attempt) -> Reattached {
        match self.translated(&attempt) {
            Ok(inner) => {
                Self::with_stops(&attempt, &inner, self.processes.reattach(inner.clone())).await
            }
            Err(_) => Reattached::Unknown,
        }
    }

    async fn forget(&self, group: GroupId) {
        self.processes.forget(group).await;
    }

    fn traits(&self) -> ExecutorTraits {
        self.processes.traits()
    }
}

/// The words of Spark for what a step asks of a machine.
fn sized(asked: Resources, properties: &mut Properties) {
    let mut set = |name: &str, value: String| properties.insert(name.to_owned(), value);
    if let Some(bytes) = asked.memory_bytes {
        set("spark.executor.memory", format!("{}m", bytes.div_ceil(1 << 20)));
    }
    if let Some(millis) = asked.cpu_millis {
        set("spark.cores.max", millis.div_ceil(1000).to_string());
    }
    if let Some(gpus) = asked.gpus {
        set("spark.executor.resource.gpu.amount", gpus.to_string());
    }
}

/// Reports of the translated attempt are those of the one that was handed over.
struct Relay(Attempt);

#[async_trait]
impl Reporter for Relay {
    async fn started(&self, _: &Attempt, handle: Handle) {
        self.0.started(handle).await;
    }
    fn heartbeat(&self, _: &Attempt) {
        self.0.heartbeat();
    }
    fn progress(&self, _: &Attempt, percent: u8, words: &str) {
        self.0.progress(percent, words);
    }
    fn log(&self, _: &Attempt, line: &str) {
        self.0.log(line);
    }
    fn log_cut(&self, _: &Attempt) {
        self.0.log_cut();
    }
}
