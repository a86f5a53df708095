//! A node with a real kubelet, on a Docker Engine of its own, and the scheduler. Its one image is
//! the static busybox of Debian, made here: no registry is asked.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, free_port};

/// The image of every pod: a shell and some programs.
pub(crate) const IMAGE: &str = "jobwright/busybox:1";
const PAUSE: &str = "jobwright/pause:1";

/// How long anything may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// Containers are not to be spared when memory is short, which a sandbox may not ask for.
const RUNTIME: &str = r#"#!/bin/bash
bundle= previous=
for word in "$@"; do
    [[ $previous == --bundle ]] && bundle=$word
    previous=$word
done
if [[ -n $bundle && -f $bundle/config.json ]]; then
    jq 'del(.process.oomScoreAdj)' "$bundle/config.json" >"$bundle/config.new" &&
        mv "$bundle/config.new" "$bundle/config.json"
fi
exec runc "$@"
"#;

/// Ends what dockerd and kubelet leave: containers, and what is mounted.
const FINISH: &str = r#"#!/bin/bash
cd "$(dirname "$0")" || exit
export DOCKER_HOST=unix://$PWD/docker.sock PATH=$PATH:/usr/sbin:/sbin
docker ps -q | xargs -r docker kill
if read -r pid <dockerd.pid || [[ -n $pid ]]; then
    kill -TERM "$pid"
    for ((tries = 0; tries < 200; tries++)); do
        kill -0 "$pid" && [[ $(cut -d' ' -f3 "/proc/$pid/stat") != Z ]] || break
        sleep 0.05
    done
    kill -KILL "$pid"
fi
awk -v begin="$PWD/" 'index($2, begin) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
"#;

/// Starts a node on the cluster.
///
/// # Errors
/// The operating system cannot: what was said about it.
pub(crate) async fn start(cluster: &Cluster) -> Result<(), String> {
    let folder = cluster.folder();
    for (name, text) in [("runc-here", RUNTIME), ("finish", FINISH)] {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    docker(cluster).await?;
    let mut scheduler = Command::new(cluster.programs().join("kube-scheduler"));
    configure(&mut scheduler, cluster);
    scheduler.args(["--leader-elect=false", "--bind-address=127.0.0.1", "--port=0"]);
    scheduler.arg(format!("--secure-port={}", free_port()));
    cluster.spawn("kube-scheduler", &mut scheduler);
    launch(cluster);
    let nodes: Api<Node> = Api::all(cluster.client().await);
    let ready = async {
        loop {
            let node = nodes.get_opt("node").await.ok().flatten();
            let conditions = node.and_then(|it| it.status?.conditions).unwrap_or_default();
            if conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True") {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let late = |_| format!("the kubelet is not ready:\n{}", cluster.log("kubelet"));
    timeout(START, ready).await.map_err(late)?;
    // It refuses an address of loopback, so the API server is told where its logs are.
    let address =
        json!({ "status": { "addresses": [{ "type": "Hostname", "address": "localhost" }] } });
    let patch = Patch::Strategic(&address);
    nodes
        .patch_status("node", &PatchParams::default(), &patch)
        .await
        .map_err(|it| it.to_string())?;
    Ok(())
}

fn configure(command: &mut Command, cluster: &Cluster) {
    let kubeconfig = cluster.kubeconfig().display().to_string();
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{flag}={kubeconfig}"));
    }
    command.arg(format!("--cert-dir={}", cluster.folder().join("certs").display()));
}

/// Starts a Docker Engine and makes the images.
async fn docker(cluster: &Cluster) -> Result<(), String> {
    let at = |name: &str| cluster.folder().join(name).display().to_string();
    let mut dockerd = Command::new("/usr/sbin/dockerd");
    dockerd.args(["--data-root", &at("docker"), "--exec-root", &at("docker-run")]);
    dockerd.args(["-H", &format!("unix://{}", at("docker.sock")), "-p", &at("docker.pid")]);
    dockerd.args(["--add-runtime", &format!("here={}", at("runc-here")), "--default-runtime=here"]);
    dockerd.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
    dockerd.args(["--ip-masq=false", "--storage-driver=overlay2"]);
    dockerd.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    cluster.spawn("dockerd", &mut dockerd);
    let ready = async {
        while run(cluster, &["version"]).is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let late = |_| format!("dockerd does not start:\n{}", cluster.log("dockerd"));
    timeout(START, ready).await.map_err(late)?;
    let root = cluster.folder().join("image");
    for folder in ["bin", "tmp", "usr/bin"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    let busybox = busybox.iter().find(|it| it.exists()).ok_or("there is no busybox")?;
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    let programs = Command::new(busybox).arg("--list").output().map_err(|it| it.to_string())?;
    for program in String::from_utf8_lossy(&programs.stdout).lines() {
        let _ = symlink("busybox", root.join("bin").join(program));
    }
    // Debian's busybox has no `cksum`, which the example package calls.
    copy_with_libraries(Path::new("/usr/bin/cksum"), &root)?;
    let archive = at("image.tar");
    let tar = Command::new("tar").args(["-C", &at("image"), "-cf", &archive, "."]).status();
    tar.map_err(|it| it.to_string())?;
    run(cluster, &["import", &archive, IMAGE])?;
    run(cluster, &["import", "-c", "CMD [\"/bin/sleep\",\"1000000\"]", &archive, PAUSE])?;
    // What a node must be able to do, before a kubelet waits for it.
    run(cluster, &["run", "--rm", "--network=host", IMAGE, "/bin/true"]).map(drop)
}

/// Copies a program with what its loader needs to where the image has them.
fn copy_with_libraries(program: &Path, root: &Path) -> Result<(), String> {
    let listed = Command::new("ldd").arg(program).output().map_err(|it| it.to_string())?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
    for file in libraries.chain([program]) {
        let into = root.join(file.strip_prefix("/").map_err(|it| it.to_string())?);
        fs::create_dir_all(into.parent().unwrap_or(root)).unwrap();
        fs::copy(file, into).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn run(cluster: &Cluster, arguments: &[&str]) -> Result<String, String> {
    let mut docker = Command::new("docker");
    docker.env("DOCKER_HOST", format!("unix://{}", cluster.folder().join("docker.sock").display()));
    let output = docker.args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("docker: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("docker {arguments:?}: {}", text(&output.stderr))),
    }
}

/// Starts the kubelet.
pub(crate) fn launch(cluster: &Cluster) {
    let at = |name: &str| cluster.folder().join(name).display().to_string();
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": "127.0.0.1", "port": free_port(), "readOnlyPort": 0, "healthzPort": free_port(),
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [],
        "failSwapOn": false, "resolvConf": "", "makeIPTablesUtilChains": false,
        "syncFrequency": "5s",
        "evictionHard": { "imagefs.available": "0%", "nodefs.available": "0%", "memory.available": "0%" },
    });
    fs::write(cluster.folder().join("kubelet.json"), settings.to_string()).unwrap();
    let mut kubelet = Command::new(cluster.programs().join("kubelet"));
    kubelet.args([
        format!("--config={}", at("kubelet.json")),
        format!("--kubeconfig={}", cluster.kubeconfig().display()),
        format!("--root-dir={}", at("kubelet")),
        format!("--cert-dir={}", at("kubelet-certs")),
        format!("--docker-endpoint=unix://{}", at("docker.sock")),
        format!("--pod-infra-container-image={PAUSE}"),
        format!("--volume-plugin-dir={}", at("volume-plugins")),
    ]);
    kubelet.args(["--hostname-override=node", "--node-ip=127.0.0.1", "--container-runtime=docker"]);
    kubelet.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    cluster.spawn("kubelet", &mut kubelet);
}
