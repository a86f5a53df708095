//! Attempts without an engine: one job, one plan, everything else by default.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_core::parameter::{Resolution, Resolved, Value};
use jobwright_core::secret::{SecretString, Secrets};
use jobwright_core::{
    Artifact, Artifacts, Attempt, AttemptParts, Cancellation, DeploymentId, Digest, ExecutorName,
    FailurePolicy, FlowName, GroupId, Handle, JobId, JobIndex, JobInput, JobKind, OutputTrigger,
    ParameterName, Plan, PlannedJob, PlannedStep, Policy, ReleaseId, Reporter, RunContext, RunId,
    RunPolicy, StepName, Timestamp, Unheard,
};

/// Begins an attempt: the first one at job 1 of job group 1, step `step`, with this payload.
#[must_use]
pub fn attempt(payload: serde_json::Value) -> AttemptBuilder {
    AttemptBuilder {
        group: 1,
        job: 1,
        number: 1,
        step: "step".to_owned(),
        payload,
        parameters: Vec::new(),
        inputs: Vec::new(),
        artifacts: Vec::new(),
        secrets: BTreeMap::new(),
        handle: None,
        reporter: Arc::new(Unheard),
    }
}

/// Collects what an attempt is made of. Methods panic on what cannot be an id or a name: this is
/// for tests.
#[derive(Clone)]
pub struct AttemptBuilder {
    group: i64,
    job: i64,
    number: u32,
    step: String,
    payload: serde_json::Value,
    parameters: Vec<Resolved>,
    inputs: Vec<JobInput>,
    artifacts: Vec<(Artifact, Arc<[u8]>)>,
    secrets: BTreeMap<String, SecretString>,
    handle: Option<Handle>,
    reporter: Arc<dyn Reporter>,
}

impl AttemptBuilder {
    /// Sets the number of the job group, at least 1.
    #[must_use]
    pub fn group(mut self, group: i64) -> Self {
        self.group = group;
        self
    }

    /// Sets the number of the job, at least 1.
    #[must_use]
    pub fn job(mut self, job: i64) -> Self {
        self.job = job;
        self
    }

    /// Sets the number of the attempt, at least 1.
    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        self.number = number;
        self
    }

    /// Names the step.
    #[must_use]
    pub fn step(mut self, step: &str) -> Self {
        step.clone_into(&mut self.step);
        self
    }

    /// Adds a resolved parameter.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: Value) -> Self {
        self.parameters.push(Resolved {
            flow: None,
            name: ParameterName::new(name).expect("the test gives a name"),
            value,
            layer: jobwright_core::parameter::Layer::Run,
            shadowed: Vec::new(),
        });
        self
    }

    /// Adds what a needed job left.
    #[must_use]
    pub fn input(mut self, input: JobInput) -> Self {
        self.inputs.push(input);
        self
    }

    /// Adds an artifact with its content.
    #[must_use]
    pub fn artifact(mut self, path: &str, content: &[u8], executable: bool) -> Self {
        let artifact = Artifact {
            path: path.to_owned(),
            digest: Digest::of(content),
            size: content.len() as u64,
            executable,
        };
        self.artifacts.push((artifact, content.into()));
        self
    }

    /// Adds a secret with its content.
    #[must_use]
    pub fn secret(mut self, name: &str, content: &str) -> Self {
        self.secrets.insert(name.to_owned(), content.to_owned().into());
        self
    }

    /// Sets the executor's own name for the attempt, as on reattachment.
    #[must_use]
    pub fn handle(mut self, handle: Handle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// Sets where the attempt reports to; by default nobody listens.
    #[must_use]
    pub fn reporter(mut self, reporter: Arc<dyn Reporter>) -> Self {
        self.reporter = reporter;
        self
    }

    /// Makes the attempt. Each call makes one with a cancellation of its own.
    #[must_use]
    pub fn build(self) -> Attempt {
        let plan = self.plan();
        Attempt::new(AttemptParts {
            group: GroupId::new(self.group).expect("the test gives a group of at least 1"),
            plan: Arc::new(plan),
            job: JobIndex(0),
            number: self.number,
            end_by: Timestamp::NEVER,
            inputs: self.inputs.into(),
            artifacts: Artifacts::new(self.artifacts),
            secrets: Secrets::new(self.secrets).into(),
            handle: self.handle,
            cancellation: Cancellation::default(),
            reporter: self.reporter,
        })
    }

    fn plan(&self) -> Plan {
        const ID: &str = "1 is an id";
        const NAME: &str = "the test gives a name";
        let run = RunContext {
            run: RunId::new(1).expect(ID),
            session: Default::default(),
            deployment: DeploymentId::new(1).expect(ID),
            release: ReleaseId::new(1).expect(ID),
            package: Digest::of(b""),
            trigger: OutputTrigger::Manual,
            policy: RunPolicy::Allow,
            deployment_limit: None,
            traceparent: None,
            announce: false,
            parameters: Resolution {
                reference_date: Timestamp::from_millis(0),
                parameters: self.parameters.clone(),
                digest: Digest::of(b""),
            },
        };
        let shared = PlannedStep {
            step: StepName::new(&self.step).expect(NAME),
            flow: FlowName::new("flow").expect(NAME),
            kind: JobKind::default(),
            executor: ExecutorName::new("executor").expect(NAME),
            policy: Policy::default().into(),
            optional: false,
        };
        let job = PlannedJob {
            shared: Arc::new(shared),
            payload: Arc::new(self.payload.clone()),
            needs: Box::default(),
        };
        Plan {
            run: Arc::new(run),
            first_job: JobId::new(self.job).expect("the test gives a job of at least 1"),
            outputs: Vec::new(),
            on_failure: FailurePolicy::default(),
            jobs: vec![job],
            carried: Box::default(),
        }
    }
}
