//! A node that the tests play: it registers itself and does through the API what a kubelet does.
//! Programs are real processes of this machine, with the variables, files and working directory
//! that their pods ask for; only images are not. What begins with `played/` is played:
//! `played/absent` cannot be pulled, `played/hungry` is killed for its memory.
//!
//! It serves no logs: those need a kubelet.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Node as NodeObject, Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

/// How often the node says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The most bytes of what a program leaves.
const MESSAGE: usize = 4096;

/// A node, for as long as it lives.
pub(crate) struct Node {
    state: Arc<State>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    folder: PathBuf,
    /// The keys of all attempts whose programs were started, in order, with the numbers of the Jobs
    /// that they were started for.
    started: Mutex<Vec<(String, String)>>,
    /// The process ids of programs that run.
    running: Mutex<Vec<u32>>,
    /// Pods that are taken care of, by their numbers: whether they are being deleted.
    pods: Mutex<BTreeMap<String, watch::Sender<Option<u64>>>>,
}

impl Node {
    /// Registers the node, and runs what is bound to it.
    pub(crate) async fn start(client: Client, name: &str, folder: &Path) -> Self {
        let nodes: Api<NodeObject> = Api::all(client.clone());
        let node = json!({ "metadata": { "name": name, "labels": { "played": name } } });
        let node: NodeObject = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        beat(&nodes, name).await;
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let state = Arc::new(State { folder, ..State::default() });
        let mut tasks = JoinSet::new();
        let named = name.to_owned();
        tasks.spawn(async move {
            let mut beats = interval(HEARTBEAT);
            loop {
                beats.tick().await;
                beat(&nodes, &named).await;
            }
        });
        tasks.spawn(serve(client, name.to_owned(), Arc::clone(&state)));
        Self { state, tasks }
    }

    /// How many programs run.
    pub(crate) fn running(&self) -> usize {
        self.state.running.lock().unwrap().len()
    }

    /// The keys of all attempts whose programs were started, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.starts().into_iter().map(|(key, _)| key).collect()
    }

    /// The same, with the numbers of the Jobs that they were started for.
    pub(crate) fn starts(&self) -> Vec<(String, String)> {
        self.state.started.lock().unwrap().clone()
    }

    /// The node falls silent, as one does that has lost its power.
    pub(crate) async fn vanish(&mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        for pid in self.state.running.lock().unwrap().drain(..) {
            let group = format!("-{pid}");
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        }
    }
}

/// Says that the node lives.
async fn beat(nodes: &Api<NodeObject>, name: &str) {
    let now = k8s_openapi::jiff::Timestamp::now();
    let status = json!({ "status": {
        "capacity": { "cpu": "64", "memory": "64Gi", "pods": "1000" },
        "allocatable": { "cpu": "64", "memory": "64Gi", "pods": "1000" },
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": now.to_string(), "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    }});
    // A server that is away is asked again with the next beat.
    let _ = nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await;
}

/// Runs what is bound to the node.
async fn serve(client: Client, name: String, state: Arc<State>) {
    let pods: Api<Pod> = Api::all(client.clone());
    let config = Config::default().fields(&format!("spec.nodeName={name}"));
    let mut events = watcher(pods, config).boxed();
    let mut runs = JoinSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                let uid = pod.metadata.uid.clone().unwrap();
                let leaves = pod.metadata.deletion_timestamp.is_some();
                let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
                let leaves = leaves.then(|| u64::try_from(grace).unwrap());
                let mut known = state.pods.lock().unwrap();
                if let Some(sender) = known.get(&uid) {
                    sender.send_if_modified(|it| std::mem::replace(it, leaves) != leaves);
                    continue;
                }
                let (sender, asked) = watch::channel(leaves);
                known.insert(uid, sender);
                drop(known);
                runs.spawn(run(client.clone(), pod, Arc::clone(&state), asked));
            }
            Ok(Event::Delete(_) | Event::Init | Event::InitDone) => {}
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
        while runs.try_join_next().is_some() {}
    }
}

/// Takes a pod from its begin to its end.
async fn run(client: Client, pod: Pod, state: Arc<State>, mut asked: watch::Receiver<Option<u64>>) {
    let meta = &pod.metadata;
    let pods: Api<Pod> = Api::namespaced(client.clone(), meta.namespace.as_deref().unwrap());
    let (name, uid) = (meta.name.clone().unwrap(), meta.uid.clone().unwrap());
    let phase = pod.status.as_ref().and_then(|it| it.phase.clone()).unwrap_or_default();
    let container = pod.spec.as_ref().unwrap().containers[0].clone();
    let image = container.image.clone().unwrap_or_default();
    if phase == "Pending" && asked.borrow().is_none() {
        if image == "played/absent" {
            let waiting = json!({ "reason": "ImagePullBackOff", "message": "no such image" });
            set(&pods, &name, "Pending", &container, json!({ "waiting": waiting })).await;
            while asked.borrow_and_update().is_none() {
                asked.changed().await.unwrap();
            }
        } else {
            let folder = state.folder.join(&uid);
            let end = work(&client, &pods, &pod, &container, &folder, &state, &mut asked).await;
            let (phase, mut ended) = match end {
                Some(end) => told(end),
                None => ("Failed", json!({ "exitCode": 137, "reason": "Error" })),
            };
            if image == "played/hungry" {
                ended["reason"] = "OOMKilled".into();
            }
            if let Ok(left) = fs::read(folder.join("message")) {
                let left = &left[left.len().saturating_sub(MESSAGE)..];
                ended["message"] = String::from_utf8_lossy(left).into();
            }
            set(&pods, &name, phase, &container, json!({ "terminated": ended })).await;
            let _ = fs::remove_dir_all(folder);
        }
    }
    while asked.borrow_and_update().is_none() {
        if asked.changed().await.is_err() {
            return;
        }
    }
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    until_heard(|| async { pods.delete(&name, &params).await.map(drop) }).await;
    state.pods.lock().unwrap().remove(&uid);
}

/// Runs a pod's program to its end.
async fn work(
    client: &Client,
    pods: &Api<Pod>,
    pod: &Pod,
    container: &Container,
    folder: &Path,
    state: &State,
    asked: &mut watch::Receiver<Option<u64>>,
) -> Option<ExitStatus> {
    let name = pod.metadata.name.clone().unwrap();
    furnish(client, pod, container, folder).await;
    let here = |text: &str| {
        assert!(!text.replace("$$", "").contains("$("), "the cluster would replace it: {text}");
        let text = text.replace("$$", "$");
        let text = text.replace("/jobwright/", &format!("{}/jobwright/", folder.display()));
        text.replace("/dev/termination-log", &folder.join("message").display().to_string())
    };
    let words: Vec<String> = container.command.iter().flatten().map(|it| here(it)).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => here(value),
            (None, Some(source)) => {
                let secret = source.secret_key_ref.as_ref().unwrap();
                let namespace = pod.metadata.namespace.as_deref().unwrap();
                let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
                let data = secrets.get(&secret.name).await.unwrap().data.unwrap();
                String::from_utf8(data[&secret.key].0.clone()).unwrap()
            }
            (None, None) => String::new(),
        };
        command.env(&variable.name, value);
    }
    command.current_dir(here(container.working_dir.as_deref().unwrap_or("/jobwright/work")));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let key = pod.metadata.labels.as_ref().unwrap()["jobwright/key"].clone();
    let job = pod.metadata.owner_references.as_ref().unwrap()[0].uid.clone();
    state.started.lock().unwrap().push((key, job));
    let mut child = loop {
        match command.spawn() {
            // A child that is about to become another program has it open for writing.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                sleep(Duration::from_millis(5)).await;
            }
            started => break started.ok()?,
        }
    };
    let pid = child.id().unwrap();
    state.running.lock().unwrap().push(pid);
    set(pods, &name, "Running", container, json!({ "running": {} })).await;
    let mut kill_in = None;
    let end = loop {
        let grace = *asked.borrow_and_update();
        if let Some(grace) = grace {
            if kill_in.is_none_or(|known| grace < known) {
                signal("TERM", pid);
                kill_in = Some(grace);
            }
        }
        let patience = Duration::from_secs(kill_in.unwrap_or(0));
        tokio::select! {
            end = child.wait() => break end.ok(),
            changed = asked.changed() => changed.unwrap(),
            () = sleep(patience), if kill_in.is_some() => {
                signal("KILL", pid);
                break child.wait().await.ok();
            }
        }
    };
    signal("KILL", pid);
    state.running.lock().unwrap().retain(|it| *it != pid);
    end
}

/// Signals a program and all that it started.
fn signal(name: &str, pid: u32) {
    let mut kill = std::process::Command::new("kill");
    kill.args([&format!("-{name}"), "--", &format!("-{pid}")]);
    let _ = kill.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn told(end: ExitStatus) -> (&'static str, Value) {
    use std::os::unix::process::ExitStatusExt;
    let code = end.code().unwrap_or_else(|| 128 + end.signal().unwrap_or(0));
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    (phase, json!({ "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" } }))
}

/// Makes the files that a pod asks for.
async fn furnish(client: &Client, pod: &Pod, container: &Container, folder: &Path) {
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let volumes = pod.spec.as_ref().unwrap().volumes.clone().unwrap_or_default();
    for mount in container.volume_mounts.iter().flatten() {
        let path = folder.join(mount.mount_path.trim_start_matches('/'));
        let volume = volumes.iter().find(|it| it.name == mount.name).unwrap();
        if let Some(source) = &volume.downward_api {
            fs::create_dir_all(&path).unwrap();
            for item in source.items.iter().flatten() {
                let field = &item.field_ref.as_ref().unwrap().field_path;
                let name = field.split('\'').nth(1).unwrap();
                fs::write(path.join(&item.path), &annotations[name]).unwrap();
            }
        } else if let Some(source) = &volume.config_map {
            let namespace = pod.metadata.namespace.as_deref().unwrap();
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let data = maps.get(&source.name).await.unwrap().binary_data.unwrap();
            let key = mount.sub_path.as_ref().unwrap();
            let item = source.items.iter().flatten().find(|it| it.path == *key).unwrap();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &data[&item.key].0).unwrap();
            let mode = u32::try_from(item.mode.unwrap()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        } else {
            fs::create_dir_all(&path).unwrap();
        }
    }
}

/// Tells the API server how a pod is.
async fn set(pods: &Api<Pod>, name: &str, phase: &str, container: &Container, state: Value) {
    let image = container.image.clone().unwrap_or_default();
    let status = json!({ "status": { "phase": phase, "containerStatuses": [{
        "name": container.name, "image": image, "imageID": "", "restartCount": 0,
        "ready": phase == "Running", "state": state,
    }] } });
    let params = PatchParams::default();
    let patch = Patch::Merge(&status);
    until_heard(|| async { pods.patch_status(name, &params, &patch).await.map(drop) }).await;
}

/// Repeats a request until the API server has heard it.
async fn until_heard<F: Future<Output = Result<(), kube::Error>>>(request: impl Fn() -> F) {
    loop {
        match request().await {
            Ok(()) => return,
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
