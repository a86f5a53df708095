//! A Kubernetes control plane of the tests' own: etcd, the API server and the controllers, in a
//! temporary folder, reached by loopback with a token, and ended with the process that started
//! them, however that ends. Nodes are not part of it: see `node.rs` and `kubelet.rs`.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use jobwright_kubernetes::Connection;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::time::{sleep, timeout};

/// Who may do everything, and who may do what the executor's documentation says, with their
/// tokens, which errors must not show.
const ADMIN: (&str, &str) = ("admin", "hush-hush-admin");
const JOBS: (&str, &str) = ("jobs", "hush-hush-jobs");

/// How long anything may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);

/// The controllers that jobs, their pods and lost nodes need.
const CONTROLLERS: &str = "--controllers=job,garbagecollector,namespace,serviceaccount,podgc,\
                           nodelifecycle,ttl-after-finished";

/// One control plane with one folder.
pub(crate) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    etcd: u16,
    port: u16,
    /// Further arguments of the API server.
    settings: Vec<String>,
    children: Mutex<Vec<(&'static str, Child)>>,
    /// Ends what runs when its standard input ends: with this process, or before.
    watchdog: Child,
}

impl Cluster {
    /// Makes and starts a control plane; `settings` are further arguments of its API server.
    ///
    /// # Panics
    /// A program is missing, or does not start.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("jw-k8s.").tempdir().unwrap().keep();
        let watchdog = watch(&folder);
        let key = include_bytes!("service-account.key");
        fs::write(folder.join("service-account.key"), key).unwrap();
        let (admin, jobs) = (ADMIN.1, JOBS.1);
        let tokens = format!("{admin},admin,admin,\"system:masters\"\n{jobs},jobs,jobs\n");
        fs::write(folder.join("tokens.csv"), tokens).unwrap();
        let (etcd, port) = (free_port(), free_port());
        let settings = settings.iter().map(ToString::to_string).collect();
        let children = Mutex::default();
        let cluster = Self { folder, programs, etcd, port, settings, children, watchdog };
        cluster.write_kubeconfig("kubeconfig", ADMIN, port);
        cluster.write_kubeconfig("jobs", JOBS, port);
        cluster.launch_etcd();
        cluster.launch().await;
        cluster.launch_controllers();
        cluster.allow().await;
        cluster
    }

    /// Allows the account of executors what their documentation says that they need.
    async fn allow(&self) {
        let client = self.client().await;
        let rule = |group: &str, what: &str, verbs: &[&str]| {
            let (groups, resources) = ([group], [what]);
            json!({ "apiGroups": groups, "resources": resources, "verbs": verbs })
        };
        let role = json!({ "metadata": { "name": "jobs" }, "rules": [
            rule("batch", "jobs", &["create", "get", "list", "watch", "delete", "deletecollection"]),
            rule("", "pods", &["list", "watch", "delete"]),
            rule("", "pods/log", &["get"]),
            rule("", "configmaps", &["create"]),
        ]});
        let binding = json!({ "metadata": { "name": "jobs" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jobs" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jobs" }],
        });
        let roles: Api<Role> = Api::namespaced(client.clone(), "default");
        let bindings: Api<RoleBinding> = Api::namespaced(client, "default");
        let role = serde_json::from_value(role).unwrap();
        roles.create(&PostParams::default(), &role).await.unwrap();
        let binding = serde_json::from_value(binding).unwrap();
        bindings.create(&PostParams::default(), &binding).await.unwrap();
    }

    fn launch_etcd(&self) {
        let (url, peer) = (address(self.etcd), address(free_port()));
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(self.folder.join("etcd")).arg("--unsafe-no-fsync");
        etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
        self.spawn("etcd", &mut etcd);
    }

    /// Starts the API server and waits until it answers.
    pub(crate) async fn launch(&self) {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut server = Command::new(self.programs.join("kube-apiserver"));
        server.args([
            format!("--etcd-servers={}", address(self.etcd)),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", file("certs")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("service-account.key")),
            format!("--service-account-signing-key-file={}", file("service-account.key")),
        ]);
        server.args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.99.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",
            "--feature-gates=TTLAfterFinished=true",
            "--kubelet-preferred-address-types=Hostname",
        ]);
        self.spawn("kube-apiserver", server.args(&self.settings));
        let ready = async {
            loop {
                if self.is_ready().await {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(START, ready).await.is_err() {
            panic!("the API server does not start:\n{}", self.log("kube-apiserver"));
        }
    }

    async fn is_ready(&self) -> bool {
        // Its certificate is made when it starts for the first time.
        let certificate = self.folder.join("certs/apiserver.crt");
        if !certificate.exists() {
            return false;
        }
        let Ok(client) = self.try_client().await else { return false };
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        client.request_text(request).await.is_ok_and(|text| text == "ok")
    }

    fn launch_controllers(&self) {
        let mut controllers = Command::new(self.programs.join("kube-controller-manager"));
        let kubeconfig = self.kubeconfig().display().to_string();
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            controllers.arg(format!("--{flag}={kubeconfig}"));
        }
        let key = self.folder.join("service-account.key");
        controllers.arg(format!("--service-account-private-key-file={}", key.display()));
        controllers.arg(format!("--secure-port={}", free_port()));
        controllers.arg(format!("--cert-dir={}", self.folder.join("certs").display()));
        controllers.args([
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--port=0",
            "--feature-gates=TTLAfterFinished=true",
            // A lost node is noticed in seconds, not in minutes.
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=5s",
            // Not the client, but the work is what tests measure.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--concurrent-gc-syncs=20",
            CONTROLLERS,
        ]);
        self.spawn("kube-controller-manager", &mut controllers);
    }

    /// Starts a program whose output goes to a file, and writes down its process id.
    pub(crate) fn spawn(&self, name: &'static str, command: &mut Command) {
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        // A signal to the tests' group is not for it.
        command.process_group(0).current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} starts: {error}"));
        fs::write(self.folder.join(format!("{name}.pid")), child.id().to_string()).unwrap();
        self.children.lock().unwrap().push((name, child));
    }

    /// Kills a program of the cluster, as a lack of memory or a person would.
    pub(crate) fn kill(&self, name: &str) {
        let mut children = self.children.lock().unwrap();
        let at = children.iter().position(|(it, _)| *it == name).expect("it runs");
        let (_, mut child) = children.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Returns the file that lets programs of the cluster do everything.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Writes a file that tells clients who they are, and by which port to reach the cluster.
    fn write_kubeconfig(&self, name: &str, (user, token): (&str, &str), port: u16) {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{ "name": "tests", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": self.folder.join("certs/apiserver.crt"),
            }}],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": "tests", "context": {
                "cluster": "tests", "user": user, "namespace": "default",
            }}],
        });
        fs::write(self.folder.join(name), text.to_string()).unwrap();
    }

    /// Returns how executors reach the cluster.
    pub(crate) fn connection(&self) -> Connection {
        Connection { kubeconfig: Some(self.folder.join("jobs")), context: None }
    }

    /// Returns how executors reach the cluster.
    pub(crate) async fn config(&self) -> Config {
        self.connection().config().await.unwrap()
    }

    /// Returns how executors reach the cluster by another port of loopback.
    pub(crate) async fn config_by(&self, port: u16) -> Config {
        let mut config = self.config().await;
        config.cluster_url = format!("https://127.0.0.1:{port}").parse().unwrap();
        config
    }

    /// Returns a client that may do everything.
    pub(crate) async fn client(&self) -> Client {
        self.try_client().await.unwrap()
    }

    async fn try_client(&self) -> Result<Client, kube::Error> {
        let connection = Connection { kubeconfig: Some(self.kubeconfig()), context: None };
        Client::try_from(connection.config().await.unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Returns the end of what a program said.
    pub(crate) fn log(&self, name: &str) -> String {
        let text = fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(4_000)..]).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        for (_, child) in self.children.lock().unwrap().iter_mut().rev() {
            let _ = child.wait();
        }
        let _ = self.watchdog.wait();
    }
}

/// Starts a shell that waits until its input ends, then ends what runs and removes the folder. What
/// asks is ended before what answers.
fn watch(folder: &Path) -> Child {
    let script = r#"
        trap '' INT TERM HUP
        read -r nothing
        for name in kubelet kube-scheduler kube-controller-manager kube-apiserver etcd; do
            if read -r pid <"$1/$name.pid" || [ -n "$pid" ]; then
                kill -KILL "$pid"
                pid=
            fi
        done
        if [ -x "$1/finish" ]; then "$1/finish"; fi
        rm -rf "$1"
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(folder).process_group(0).stdin(Stdio::piped());
    shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The folder of Kubernetes's programs, which `build.sh` fills.
fn programs() -> PathBuf {
    let folder = std::env::var_os("JOBWRIGHT_KUBERNETES").map(PathBuf::from);
    let whole = |folder: &PathBuf| folder.join("kube-apiserver").exists();
    folder.filter(whole).expect(
        "Kubernetes is missing, these tests need it: run `./check kubernetes`, or set \
         JOBWRIGHT_KUBERNETES to what crates/kubernetes/tests/support/build.sh prints",
    )
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
