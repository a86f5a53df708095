//! A Slurm cluster of the tests' own: munged, slurmctld, some slurmd and slurmrestd on free ports
//! of loopback with all files in a temporary folder, ended with the process that started it,
//! however that ends.
//!
//! Needs nothing but the standard library and `tempfile`, so that examples and measurements use it
//! too.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Whom slurmrestd runs as where the tests run as root, whom it refuses: `nobody`.
const NOBODY: &str = "65534";

/// How often something is looked at that takes its time, and for how long.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 1200;

/// What must be installed.
const PROGRAMS: [&str; 6] = ["munged", "slurmctld", "slurmd", "slurmrestd", "scontrol", "squeue"];

/// One cluster with one folder.
pub(crate) struct Cluster {
    folder: PathBuf,
    nodes: usize,
    rest: u16,
    controller: Mutex<Option<Child>>,
    daemons: Mutex<Vec<Option<Child>>>,
    others: Vec<Child>,
    /// Ends everything when its standard input ends: with this process, or before.
    watchdog: Child,
}

impl Cluster {
    /// Starts a cluster of so many nodes, each of eight processors, and waits until all are idle.
    ///
    /// # Panics
    /// Slurm is missing, or does not start.
    pub(crate) fn start(nodes: usize) -> Self {
        for program in PROGRAMS {
            assert!(
                find(program).exists(),
                "`{program}` is missing, these tests need it: as root, run `apt-get install slurmctld slurmd slurm-client slurmrestd slurm-wlm-jwt-plugin munge`"
            );
        }
        let folder = tempfile::Builder::new().prefix("jw-slurm.").tempdir_in("/tmp").unwrap();
        // The watchdog removes it.
        let folder = folder.keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let watchdog = watch(&folder);
        for name in ["etc", "state", "log", "run", "spool", "shared"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        for (name, bytes) in [("munge.key", 1024), ("jwt.key", 32)] {
            let mut key = vec![0; bytes];
            File::open("/dev/urandom").unwrap().read_exact(&mut key).unwrap();
            let path = folder.join("etc").join(name);
            fs::write(&path, key).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let ports = free_ports(nodes + 2);
        configure(&folder, nodes, &ports);
        let mut cluster = Self {
            folder,
            nodes,
            rest: ports[nodes + 1],
            controller: Mutex::new(None),
            daemons: Mutex::new((0..nodes).map(|_| None).collect()),
            others: Vec::new(),
            watchdog,
        };
        cluster.launch();
        cluster
    }

    fn launch(&mut self) {
        let (etc, run) = (self.folder.join("etc"), self.folder.join("run"));
        let mut munged = self.program("munged");
        munged.args(["--foreground", "--force"]);
        for (option, path) in [
            ("--key-file", etc.join("munge.key")),
            ("--socket", run.join("munge.sock")),
            ("--pid-file", run.join("munged.pid")),
            ("--log-file", self.folder.join("log/munged.log")),
            ("--seed-file", run.join("munged.seed")),
        ] {
            munged.arg(format!("{option}={}", path.display()));
        }
        let munged = self.spawn(munged, "munged");
        self.others.push(munged);
        self.until("munged listens", || run.join("munge.sock").exists());
        self.start_controller();
        for node in 1..=self.nodes {
            self.start_node(node);
        }
        let mut rest = if id() == "0" {
            let mut rest = Command::new("setpriv");
            rest.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]);
            rest.arg(find("slurmrestd"));
            rest
        } else {
            Command::new(find("slurmrestd"))
        };
        rest.env("SLURM_JWT", "daemon").args(["-a", "rest_auth/jwt", "-s", "openapi/v0.0.38"]);
        rest.arg("-f").arg(self.conf()).arg(format!("127.0.0.1:{}", self.rest));
        let rest = self.spawn(rest, "slurmrestd");
        self.others.push(rest);
        self.until("slurmrestd listens", || TcpStream::connect(("127.0.0.1", self.rest)).is_ok());
        self.until_idle(self.nodes);
    }

    /// Starts the controller; what an earlier one knew, it knows.
    pub(crate) fn start_controller(&self) {
        let mut controller = self.program("slurmctld");
        controller.arg("-D").arg("-f").arg(self.conf());
        *self.controller.lock().unwrap() = Some(self.spawn(controller, "slurmctld"));
    }

    /// Ends the controller with a signal. After `KILL` it does not know what it took last.
    pub(crate) fn end_controller(&self, signal: &str) {
        if let Some(mut controller) = self.controller.lock().unwrap().take() {
            let pid = controller.id().to_string();
            assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
            controller.wait().unwrap();
        }
    }

    /// Starts a node, from 1.
    pub(crate) fn start_node(&self, node: usize) {
        let mut daemon = self.program("slurmd");
        daemon.args(["-D", "-N", &format!("n{node}"), "-f"]).arg(self.conf());
        let daemon = self.spawn(daemon, &format!("slurmd-n{node}"));
        self.daemons.lock().unwrap()[node - 1] = Some(daemon);
    }

    /// Kills a node as a power cut does: its daemon and all that runs on it.
    pub(crate) fn kill_node(&self, node: usize) {
        if let Some(mut daemon) = self.daemons.lock().unwrap()[node - 1].take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
        let name = format!("SLURMD_NODENAME=n{node}\0");
        let ours = format!("SLURM_CONF={}", self.conf().display());
        let is_there = |process: &fs::DirEntry| {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment);
            environment.contains(&name) && environment.contains(&ours)
        };
        let pid = |process: fs::DirEntry| process.file_name().to_str()?.parse::<u32>().ok();
        // Who began others goes before them, so that none sees how another one ends: first the
        // daemon above a job's script, which would tell the controller. Stopping them all before
        // would not do: a stopped group that loses its parent is sent on with a SIGHUP.
        loop {
            let processes = fs::read_dir("/proc").unwrap().flatten().filter(is_there);
            let mut pids: BTreeSet<_> = processes.filter_map(pid).collect();
            let daemons: Vec<_> = pids.iter().filter_map(|pid| step_daemon(*pid)).collect();
            pids.extend(daemons);
            if pids.is_empty() {
                break;
            }
            let pids = pids.iter().map(ToString::to_string);
            let _ = Command::new("kill").arg("-KILL").args(pids).output();
        }
    }

    /// Says that a node is down, as the controller finds out by itself after a while.
    pub(crate) fn mark_down(&self, node: usize) {
        let name = format!("NodeName=n{node}");
        self.said("scontrol", &["update", &name, "State=DOWN", "Reason=test"]);
    }

    /// Waits until so many nodes are idle.
    pub(crate) fn until_idle(&self, nodes: usize) {
        self.until("the nodes are idle", || {
            let output = self.run("sinfo", &["-h", "-o", "%D %t"]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let idle = text.lines().filter_map(|line| line.split_once(' '));
            let idle = idle.filter(|(_, state)| *state == "idle");
            idle.filter_map(|(count, _)| count.parse::<usize>().ok()).sum::<usize>() == nodes
        });
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// It does not become so within a minute.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..LOOKS {
            if is_so() {
                return;
            }
            pause();
        }
        let log =
            |name: &str| fs::read_to_string(self.folder.join("log").join(name)).unwrap_or_default();
        panic!("{what}: {}\n{}", log("slurmctld.out"), log("slurmrestd.out"));
    }

    /// Where slurmrestd is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest)
    }

    /// As whom jobs run.
    pub(crate) fn user(&self) -> String {
        let output = Command::new("id").arg("-un").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A token of this user.
    pub(crate) fn token(&self) -> String {
        let user = format!("username={}", self.user());
        let text = self.said("scontrol", &["token", &user, "lifespan=36000"]);
        text.trim().strip_prefix("SLURM_JWT=").unwrap().to_owned()
    }

    /// A folder that all nodes have.
    pub(crate) fn shared(&self) -> PathBuf {
        self.folder.join("shared")
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.folder.join("etc/slurm.conf")
    }

    /// Returns jobs that have not ended: number, state, name and node of each.
    pub(crate) fn live(&self) -> Vec<String> {
        let text = self.said("squeue", &["-h", "-o", "%i %T %j %N"]);
        text.lines().map(str::to_owned).collect()
    }

    /// Counts the processes of attempts on all nodes, whatever the controller knows of them.
    pub(crate) fn processes(&self) -> usize {
        let mark = format!("JOBWRIGHT_OUTPUT={}/", self.shared().display());
        let is_there = |process: &fs::DirEntry| {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&mark)
        };
        fs::read_dir("/proc").unwrap().flatten().filter(is_there).count()
    }

    /// Returns all jobs that the controller knows, as it shows them.
    pub(crate) fn all(&self) -> Vec<String> {
        let text = self.said("scontrol", &["-o", "show", "job"]);
        text.lines().filter(|line| line.starts_with("JobId=")).map(str::to_owned).collect()
    }

    /// Runs a program of Slurm that must succeed, and returns what it printed.
    pub(crate) fn said(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.program(program).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// A program of Slurm that knows this cluster.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(find(name));
        // A signal to the tests' group is not for the cluster.
        command.env("SLURM_CONF", self.conf()).process_group(0).current_dir(&self.folder);
        command
    }

    fn spawn(&self, mut command: Command, name: &str) -> Child {
        let append = |path: String| {
            let path = self.folder.join(path);
            File::options().create(true).append(true).open(path).unwrap()
        };
        let log = append(format!("log/{name}.out"));
        command.env("SLURM_CONF", self.conf()).process_group(0).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut pids = append("pids".to_owned());
        writeln!(pids, "{}", child.id()).unwrap();
        child
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let daemons = self.daemons.get_mut().unwrap().iter_mut().flatten();
        let controller = self.controller.get_mut().unwrap().iter_mut();
        for child in daemons.chain(controller).chain(&mut self.others) {
            let _ = child.wait();
        }
    }
}

/// Starts a shell that waits until its input ends, then ends what was started, and what runs as a
/// job of it, and removes the folder.
fn watch(folder: &Path) -> Child {
    let script = r#"
        trap '' INT TERM HUP
        read -r nothing
        while read -r pid; do
            grep -sqF "$1/" "/proc/$pid/environ" && kill -KILL "$pid"
        done <"$1/pids"
        for process in $(grep -lsaF "SLURM_CONF=$1/" /proc/[0-9]*/environ); do
            pid=${process#/proc/}
            kill -KILL "${pid%/environ}"
        done
        rm -rf "$1"
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(folder).process_group(0).stdin(Stdio::piped());
    shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn configure(folder: &Path, nodes: usize, ports: &[u16]) {
    let (at, user) = (folder.display(), said_by("id", "-un"));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim().split('.').next().unwrap_or("localhost");
    let mut text = format!(
        "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={at}/run/munge.sock
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={at}/etc/jwt.key
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
ReturnToService=2
MinJobAge=300
KillWait=2
SlurmctldTimeout=30
SlurmdTimeout=30
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool/%n
SlurmctldPidFile={at}/run/slurmctld.pid
SlurmdPidFile={at}/run/slurmd-%n.pid
SlurmctldLogFile={at}/log/slurmctld.log
SlurmdLogFile={at}/log/slurmd-%n.log
SlurmdParameters=config_overrides
",
        ports[nodes]
    );
    for (node, port) in (1..=nodes).zip(ports) {
        fs::create_dir(folder.join(format!("spool/n{node}"))).unwrap();
        let _ = writeln!(
            text,
            "NodeName=n{node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=2000 State=UNKNOWN"
        );
    }
    let _ = writeln!(text, "PartitionName=main Nodes=n[1-{nodes}] Default=YES State=UP");
    fs::write(folder.join("etc/slurm.conf"), text).unwrap();
}

/// Where a program is: daemons are not on everybody's search path.
fn find(program: &str) -> PathBuf {
    let folders = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(program));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| program.into())
}

fn id() -> String {
    said_by("id", "-u")
}

fn said_by(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Ports that nobody has now.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    listeners.iter().map(|it| it.local_addr().unwrap().port()).collect()
}

#[expect(clippy::disallowed_methods, reason = "another program is waited for")]
fn pause() {
    std::thread::sleep(LOOK);
}

/// The slurmstepd that a process is a child of.
fn step_daemon(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    name.starts_with("slurmstepd").then(|| parent.parse().ok())?
}
