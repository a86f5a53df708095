//! What is handed over: one `batch/v1` Job per attempt, whose pod is the installation's template
//! with the step's own words added. Values reach the program as arguments, variables or files,
//! never as the text of a shell.
//!
//! ```text
//! /jobwright/work               where the program runs: the package's artifacts
//! /jobwright/run                parameters.json, input.json and stdin.txt; read-only
//! /jobwright/out/output.json    what it leaves: handed over as the termination message
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use jobwright_adapters::remote::{self, Job, Places, Prefix, Resources, Work};
use jobwright_core::{Attempt, Digest, Failure};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::{Job as Manifest, JobSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource,
    EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector, PodSpec,
    PodTemplateSpec, SecretKeySelector, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::core::ObjectMeta;

use crate::ask::{Ask, FIELD};
use crate::label;
use crate::settings::Settings;

/// The container of an attempt's program.
pub(crate) const CONTAINER: &str = "work";

const WORK: &str = "/jobwright/work";
const RUN: &str = "/jobwright/run";
const OUT: &str = "/jobwright/out";
const MESSAGE: &str = "/dev/termination-log";
const STDIN: &str = "stdin.txt";
const PARAMETERS: &str = "parameters.json";
const INPUT: &str = "input.json";

/// The most bytes of all annotations together, less some for those of others.
const MOST_TEXT: usize = 250 * 1024;

/// The most bytes of a package's artifacts: an object has at most 1 MiB, in base64.
const MOST_ARTIFACTS: usize = 700 * 1024;

/// How long after its engine should have stopped it a Job is ended by the cluster, for the case
/// that there is no engine any more.
const OVERTIME: Duration = Duration::from_secs(30);

/// Runs the program that follows, with its input from the first argument; forwards the request to
/// stop; hands over what it left. A constant: nothing of a step is ever a part of it.
const SCRIPT: &str = r#"stdin=$1; shift; child=; asked=
trap 'asked=1; [ -z "$child" ] || kill -TERM "$child"' TERM
"$@" <"$stdin" & child=$!
[ -z "$asked" ] || kill -TERM "$child"
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
if [ -s "$JOBWRIGHT_OUTPUT" ]; then cat "$JOBWRIGHT_OUTPUT" >/dev/termination-log; fi
exit "$code""#;

/// What is handed over of one attempt: a Job, and the artifacts that it needs.
pub struct Order {
    /// The package's artifacts, if there are any. They are there before the Job is.
    pub(crate) artifacts: Option<ConfigMap>,
    pub(crate) job: Manifest,
}

/// The name of an attempt's Job. The key tells attempts apart, the rest tells it from a namesake of
/// another life: a name that was used must never be used again.
pub(crate) fn name(job: &Job) -> String {
    let session = job.mark();
    let plain: String = session.chars().filter(char::is_ascii_hexdigit).collect();
    // The first digits are of the time, the last ones are of chance.
    format!("{}-{}", job.key(), &plain[plain.len().saturating_sub(NAME_TAIL)..])
}

/// How many characters of the session are in a name.
pub(crate) const NAME_TAIL: usize = 8;

/// Makes of an attempt what is handed over.
pub(crate) fn order(job: &Job, prefix: &Prefix, settings: &Settings) -> Result<Order, Failure> {
    let attempt = job.attempt();
    let ask = Ask::parse(attempt.payload(), settings)?;
    let work = Work::parse(attempt.payload(), &[FIELD])?;
    let artifacts = artifacts(attempt, prefix)?;
    let resources = work.resources().or(settings.resources);
    let mut labels = settings.labels.clone();
    labels.extend(label::of(job, prefix));
    let mut template = settings.template.clone();
    let meta = template.metadata.get_or_insert_default();
    meta.labels.get_or_insert_default().extend(labels.clone());
    let texts = texts(attempt, &work)?;
    meta.annotations.get_or_insert_default().extend(texts.clone());
    pod(&mut template, &ask);
    let spec = template.spec.get_or_insert_default();
    let files = artifacts.as_ref().map(|map| map.metadata.name.clone().unwrap_or_default());
    spec.volumes.get_or_insert_default().extend(volumes(attempt, files, &texts));
    let mut container = take_container(spec);
    container.image = ask.image.or(container.image.take()).or_else(|| settings.image.clone());
    if container.image.is_none() {
        return Err(Failure::permanent(
            "payload",
            "there is no image to run the step in: name one in `kubernetes.image` of its payload, \
             or in the executor's configuration",
        ));
    }
    program(&mut container, attempt, &work, settings)?;
    container.volume_mounts.get_or_insert_default().extend(mounts(attempt));
    demand(&mut container, resources, &settings.gpu);
    spec.containers.insert(0, container);
    let spec = JobSpec {
        active_deadline_seconds: Some(deadline(attempt, resources)),
        // The engine decides about another attempt, nobody else.
        backoff_limit: Some(0),
        completions: Some(1),
        parallelism: Some(1),
        // Since 1.28: a pod that is being ended is not replaced by one that runs beside it.
        pod_replacement_policy: Some("Failed".to_owned()),
        ttl_seconds_after_finished: Some(seconds(settings.keep)),
        template,
        ..JobSpec::default()
    };
    let metadata =
        ObjectMeta { name: Some(name(job)), labels: Some(labels), ..ObjectMeta::default() };
    Ok(Order { artifacts, job: Manifest { metadata, spec: Some(spec), status: None } })
}

/// A Job without work under the name of an attempt: while it is there, nothing of the attempt can
/// begin. It goes by itself, long after whatever was on its way has arrived.
pub(crate) fn fence(job: &Job, prefix: &Prefix) -> Manifest {
    let mut labels = label::of(job, prefix);
    labels.insert(label::FENCE.to_owned(), "true".to_owned());
    let container = Container {
        name: CONTAINER.to_owned(),
        image: Some("none".to_owned()),
        ..Container::default()
    };
    let pod = PodSpec {
        restart_policy: Some("Never".to_owned()),
        containers: vec![container],
        ..PodSpec::default()
    };
    let spec = JobSpec {
        parallelism: Some(0),
        active_deadline_seconds: Some(600),
        ttl_seconds_after_finished: Some(0),
        template: PodTemplateSpec { metadata: None, spec: Some(pod) },
        ..JobSpec::default()
    };
    let metadata =
        ObjectMeta { name: Some(name(job)), labels: Some(labels), ..ObjectMeta::default() };
    Manifest { metadata, spec: Some(spec), status: None }
}

/// What holds for the whole pod.
fn pod(template: &mut PodTemplateSpec, ask: &Ask) {
    let spec = template.spec.get_or_insert_default();
    spec.restart_policy = Some("Never".to_owned());
    // Variables for every service of the namespace are for nobody.
    spec.enable_service_links.get_or_insert(false);
    if !ask.node_selector.is_empty() {
        spec.node_selector.get_or_insert_default().extend(ask.node_selector.clone());
    }
    if !ask.tolerations.is_empty() {
        spec.tolerations.get_or_insert_default().extend(ask.tolerations.clone());
    }
    if let Some(account) = &ask.service_account {
        spec.service_account_name = Some(account.clone());
        spec.automount_service_account_token = None;
    } else if spec.service_account_name.is_none() {
        spec.automount_service_account_token.get_or_insert(false);
    }
}

/// Takes the container that the step's words are added to out of the template.
fn take_container(spec: &mut PodSpec) -> Container {
    let named = spec.containers.iter().position(|it| it.name == CONTAINER);
    let only = (spec.containers.len() == 1).then_some(0);
    let container = named.or(only).map(|at| spec.containers.remove(at)).unwrap_or_default();
    Container { name: CONTAINER.to_owned(), ..container }
}

/// What runs, with which variables.
fn program(
    container: &mut Container,
    attempt: &Attempt,
    work: &Work,
    settings: &Settings,
) -> Result<(), Failure> {
    let has_shell = settings.shell.is_some();
    let output = if has_shell { format!("{OUT}/output.json") } else { MESSAGE.to_owned() };
    let places = Places {
        work: WORK.into(),
        parameters: format!("{RUN}/{PARAMETERS}").into(),
        input: format!("{RUN}/{INPUT}").into(),
        output: output.into(),
    };
    let mut env = container.env.take().unwrap_or_default();
    for remote::Variable { name, value, is_secret } in work.variables(attempt, &places, "")? {
        // The image knows where its programs are.
        if name == "PATH" {
            continue;
        }
        let mut variable = EnvVar { name, ..EnvVar::default() };
        if is_secret {
            variable.value_from = Some(secret(attempt, &variable.name, settings)?);
        } else {
            variable.value = Some(literal(&value));
        }
        env.retain(|it| it.name != variable.name);
        env.push(variable);
    }
    let words = work.command().iter().map(|word| literal(word));
    container.command = Some(match &settings.shell {
        Some(shell) => {
            let stdin = work.stdin().map_or("/dev/null".to_owned(), |_| format!("{RUN}/{STDIN}"));
            let begin = [shell.clone(), "-c".into(), literal(SCRIPT), "jobwright".into(), stdin];
            begin.into_iter().chain(words).collect()
        }
        None if work.stdin().is_some() => {
            return Err(Failure::permanent(
                "payload",
                "payload field `stdin` needs a shell in the image, and the executor's \
                 configuration says that there is none",
            ));
        }
        None => words.collect(),
    });
    container.args = None;
    container.env = Some(env);
    container.working_dir = Some(WORK.to_owned());
    container.termination_message_path = Some(MESSAGE.to_owned());
    container.termination_message_policy = Some("File".to_owned());
    Ok(())
}

/// Refers to the secret that the payload names for a variable.
fn secret(attempt: &Attempt, variable: &str, settings: &Settings) -> Result<EnvVarSource, Failure> {
    let key = attempt.payload()["env"][variable]["$secret"].as_str().unwrap_or_default();
    let Some(name) = &settings.secret else {
        let message = format!(
            "payload field `env.{variable}` names secret `{key}`, and the executor's configuration \
             names no `secret` of the cluster that holds it"
        );
        return Err(Failure::permanent("payload", message));
    };
    let (name, key) = (name.clone(), key.to_owned());
    let selector = SecretKeySelector { name, key, optional: None };
    Ok(EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() })
}

/// Keeps Kubernetes from replacing `$(NAME)` in a text.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// The texts that become files, by the names of their annotations.
fn texts(attempt: &Attempt, work: &Work) -> Result<BTreeMap<String, String>, Failure> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut texts = BTreeMap::from([
        (annotation(PARAMETERS), text(Work::parameters(attempt))),
        (annotation(INPUT), text(Work::inputs(attempt))),
    ]);
    if let Some(stdin) = work.stdin() {
        texts.insert(annotation(STDIN), stdin.to_owned());
    }
    let size: usize = texts.iter().map(|(name, text)| name.len() + text.len()).sum();
    if size > MOST_TEXT {
        let message = format!(
            "parameters, input and standard input have {size} bytes together, and a pod takes \
             {MOST_TEXT}: pass what is large through a volume"
        );
        return Err(Failure::permanent("too_large", message));
    }
    Ok(texts)
}

fn annotation(file: &str) -> String {
    format!("jobwright/{file}")
}

fn artifacts(attempt: &Attempt, prefix: &Prefix) -> Result<Option<ConfigMap>, Failure> {
    let mut size = 0;
    let mut names = String::new();
    let mut data = BTreeMap::new();
    for (index, (artifact, content)) in attempt.artifacts().iter().enumerate() {
        size += content.len();
        names.push_str(&format!("{}\n{}\n", artifact.path, artifact.digest));
        data.insert(key(index), ByteString(content.to_vec()));
    }
    if size > MOST_ARTIFACTS {
        let message = format!(
            "the package's artifacts have {size} bytes, and {MOST_ARTIFACTS} fit into a ConfigMap: \
             put what is large into the image or on a volume"
        );
        return Err(Failure::permanent("too_large", message));
    }
    if data.is_empty() {
        return Ok(None);
    }
    let digest = Digest::of(names.as_bytes()).to_string();
    let digest: String = digest.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    let metadata = ObjectMeta {
        name: Some(format!("{}-artifacts-{digest}", prefix.as_str())),
        labels: Some(BTreeMap::from([(label::ENGINE.to_owned(), prefix.as_str().to_owned())])),
        ..ObjectMeta::default()
    };
    Ok(Some(ConfigMap {
        metadata,
        binary_data: Some(data),
        immutable: Some(true),
        ..ConfigMap::default()
    }))
}

fn key(index: usize) -> String {
    format!("artifact-{index}")
}

fn volumes(
    attempt: &Attempt,
    files: Option<String>,
    texts: &BTreeMap<String, String>,
) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let items = texts.keys().map(|name| DownwardAPIVolumeFile {
        path: name.trim_start_matches("jobwright/").to_owned(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{name}']"),
            api_version: None,
        }),
        ..DownwardAPIVolumeFile::default()
    });
    let run = Volume {
        name: "jobwright-run".to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(items.collect()),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![empty("jobwright-work"), empty("jobwright-out"), run];
    if let Some(name) = files {
        let items = attempt.artifacts().iter().enumerate().map(|(index, (artifact, _))| {
            let mode = Some(if artifact.executable { 0o755 } else { 0o644 });
            KeyToPath { key: key(index), path: key(index), mode }
        });
        let items = Some(items.collect());
        let source = ConfigMapVolumeSource { name, items, ..ConfigMapVolumeSource::default() };
        volumes.push(Volume {
            name: "jobwright-artifacts".to_owned(),
            config_map: Some(source),
            ..Volume::default()
        });
    }
    volumes
}

fn mounts(attempt: &Attempt) -> Vec<VolumeMount> {
    let mount = |name: &str, path: String, sub_path: Option<String>| VolumeMount {
        name: name.to_owned(),
        mount_path: path,
        sub_path,
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount("jobwright-work", WORK.to_owned(), None),
        mount("jobwright-out", OUT.to_owned(), None),
        mount("jobwright-run", RUN.to_owned(), None),
    ];
    mounts.extend(attempt.artifacts().iter().enumerate().map(|(index, (artifact, _))| {
        mount("jobwright-artifacts", format!("{WORK}/{}", artifact.path), Some(key(index)))
    }));
    mounts
}

/// Says what the container asks of a machine. What the template says stays where nothing is asked.
fn demand(container: &mut Container, asked: Resources, gpu: &str) {
    let mut words = container.resources.take().unwrap_or_default();
    let requests = words.requests.get_or_insert_default();
    if let Some(millis) = asked.cpu_millis {
        requests.insert("cpu".to_owned(), Quantity(format!("{millis}m")));
    }
    if let Some(bytes) = asked.memory_bytes {
        requests.insert("memory".to_owned(), Quantity(bytes.to_string()));
        // More than it asked for would be taken from its neighbours.
        let limits = words.limits.get_or_insert_default();
        limits.insert("memory".to_owned(), Quantity(bytes.to_string()));
    }
    if let Some(count) = asked.gpus {
        let limits = words.limits.get_or_insert_default();
        limits.insert(gpu.to_owned(), Quantity(count.to_string()));
    }
    container.resources = Some(words);
}

/// When the cluster ends a Job by itself, in seconds after its begin.
fn deadline(attempt: &Attempt, resources: Resources) -> i64 {
    let policy = &attempt.job().policy;
    let engine = policy.timeouts.attempt.saturating_add(policy.grace.0).saturating_add(OVERTIME);
    let time = resources.time.map_or(engine, |time| time.min(engine));
    seconds(time).max(1).into()
}

fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}
