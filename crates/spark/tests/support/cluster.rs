//! A Spark of the tests' own: PySpark from PyPI in a cache folder, a standalone master with its
//! submission server and workers on loopback, all in a temporary folder, ended with the process
//! that started them, however that ends.
//!
//! Needs the standard library, `tempfile`, Java 17 and Python with `venv`.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The release that is tested against.
pub(crate) const VERSION: &str = "4.3.0";

/// How long a master or a worker may take to start on a busy machine.
const START: Duration = Duration::from_secs(300);

/// One master with its workers.
pub(crate) struct Cluster {
    folder: PathBuf,
    home: PathBuf,
    python: PathBuf,
    ports: Ports,
    /// Ends everything when its standard input ends: with this process, or before.
    watchdog: Child,
}

#[derive(Clone, Copy)]
struct Ports {
    master: u16,
    rest: u16,
    ui: u16,
}

impl Cluster {
    /// Starts a master, and workers with so many cores and MiB of memory each.
    ///
    /// # Panics
    /// Java or Python is missing, PySpark cannot be installed, or Spark does not start.
    pub(crate) fn start(workers: &[(u32, u32)]) -> Self {
        let venv = installed();
        let folder = tempfile::Builder::new().prefix("jw-spark.").tempdir().unwrap();
        // The watchdog removes it, since a static value is never dropped.
        let folder = folder.keep();
        for name in ["pids", "recovery", "shared", "work"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let ports = Ports { master: free_port(), rest: free_port(), ui: free_port() };
        let (home, python) = (home(&venv), venv.join("bin/python"));
        let watchdog = watch(&folder);
        let cluster = Self { folder, home, python, ports, watchdog };
        cluster.launch_master();
        for (at, (cores, memory)) in workers.iter().enumerate() {
            cluster.launch_worker(at, *cores, *memory);
        }
        let count = workers.len();
        cluster
            .wait("its workers", |state| state.contains(&format!("\"aliveworkers\" : {count},")));
        cluster
    }

    /// Starts the master, or starts it again after [`Cluster::kill_master`].
    pub(crate) fn launch_master(&self) {
        let Ports { master, rest, ui } = self.ports;
        let recovery = self.folder.join("recovery");
        let options = format!(
            "-Dspark.master.rest.enabled=true -Dspark.master.rest.host=127.0.0.1 \
             -Dspark.master.rest.port={rest} -Dspark.port.maxRetries=0 \
             -Dspark.deploy.recoveryMode=FILESYSTEM -Dspark.deploy.recoveryDirectory={}",
            recovery.display()
        );
        let mut spark = self.class("org.apache.spark.deploy.master.Master");
        spark.args(["--host", "127.0.0.1", "--port", &master.to_string()]);
        spark.args(["--webui-port", &ui.to_string()]).env("SPARK_MASTER_OPTS", options);
        self.spawn(&mut spark, "master");
        self.wait("the master", |state| state.contains("\"status\" : \"ALIVE\""));
    }

    fn launch_worker(&self, at: usize, cores: u32, memory: u32) {
        let name = format!("worker-{at}");
        let work = self.folder.join("work").join(&name);
        let mut spark = self.class("org.apache.spark.deploy.worker.Worker");
        spark.args(["--host", "127.0.0.1", "--webui-port", "0", "--cores", &cores.to_string()]);
        spark.args(["--memory", &format!("{memory}m"), "--work-dir"]).arg(work).arg(self.url());
        self.spawn(&mut spark, &name);
    }

    /// Kills the master, as a lack of memory would. Workers and drivers go on.
    pub(crate) fn kill_master(&self) {
        self.kill("master");
    }

    /// Kills a worker, as the loss of its machine would; its drivers end with it.
    pub(crate) fn kill_worker(&self, at: usize) {
        self.kill(&format!("worker-{at}"));
    }

    fn kill(&self, name: &str) {
        let pid = fs::read_to_string(self.folder.join("pids").join(name)).unwrap();
        said(Command::new("kill").args(["-9", pid.trim()]));
    }

    /// The address for drivers and for `spark-submit`.
    pub(crate) fn url(&self) -> String {
        format!("spark://127.0.0.1:{}", self.ports.master)
    }

    /// The address of the submission server.
    pub(crate) fn rest(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.rest)
    }

    /// The address of the web interface.
    pub(crate) fn ui(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.ui)
    }

    /// The folder that drivers and engines share.
    pub(crate) fn shared(&self) -> PathBuf {
        self.folder.join("shared")
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn python(&self) -> &Path {
        &self.python
    }

    /// What the master's web interface says in JSON; empty where it does not answer.
    pub(crate) fn state(&self) -> String {
        ask(self.ports.ui, "GET", "/json/").unwrap_or_default()
    }

    /// How many drivers, supervisors and programs there are.
    pub(crate) fn programs(&self) -> usize {
        programs(&self.shared()) + launchers(&self.shared())
    }

    /// Asks the submission server for something, and returns its answer.
    pub(crate) fn post(&self, path: &str) -> String {
        ask(self.ports.rest, "POST", path).expect("the submission server answers")
    }

    fn class(&self, class: &str) -> Command {
        let mut command = Command::new(self.home.join("bin/spark-class"));
        command.arg(class);
        command.current_dir(&self.folder).process_group(0).stdin(Stdio::null());
        command
            .env("SPARK_HOME", &self.home)
            .env("PYSPARK_PYTHON", &self.python)
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .env("SPARK_DAEMON_MEMORY", "256m")
            .env("SPARK_DAEMON_JAVA_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");
        command
    }

    fn spawn(&self, command: &mut Command, name: &str) {
        let mut log = fs::File::options();
        let log = log.create(true).append(true).open(self.folder.join(format!("{name}.log")));
        let log = log.unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        fs::write(self.folder.join("pids").join(name), format!("{}\n", child.id())).unwrap();
        // It outlives this value on purpose: the watchdog ends it.
        std::thread::spawn(move || {
            let mut child = child;
            let _ = child.wait();
        });
    }

    fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !is_there(&self.state()) {
            if began.elapsed() > START {
                let logs = ["master.log", "worker-0.log"]
                    .map(|name| fs::read_to_string(self.folder.join(name)).unwrap_or_default());
                panic!("{what} of Spark does not start:\n{}", logs.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Starts a shell that waits until its input ends, then ends what was started, with all that it
/// started, and removes the folder. Each of them is a process group of its own.
fn watch(folder: &Path) -> Child {
    let script = r#"
        trap '' INT TERM HUP
        read -r nothing
        for file in "$1"/pids/*; do
            if read -r pid <"$file"; then kill -s KILL -- "-$pid"; fi
        done
        tries=0
        while ! rm -rf "$1" && [ "$tries" -lt 50 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(folder).process_group(0).stdin(Stdio::piped());
    shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns the environment of Python that holds PySpark, made where it is not there: whole or not
/// at all, also when several tests make it at once.
fn installed() -> PathBuf {
    let java = Command::new("java").arg("-version").output();
    assert!(
        java.is_ok_and(|it| it.status.success()),
        "Java is missing, these tests need it: run `apt-get install openjdk-17-jre-headless`"
    );
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|it| !it.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let cache = cache.expect("there is a home folder").join("jobwright");
    let venv = cache.join(format!("spark-{VERSION}"));
    if venv.exists() {
        return venv;
    }
    fs::create_dir_all(&cache).unwrap();
    let draft = tempfile::Builder::new().prefix("spark.").tempdir_in(&cache).unwrap();
    said(Command::new("python3").args(["-m", "venv"]).arg(draft.path()));
    let mut pip = Command::new(draft.path().join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-cache-dir"]);
    said(pip.arg(format!("pyspark=={VERSION}")));
    // The other one is as good, should there be one now.
    if fs::rename(draft.path(), &venv).is_ok() {
        let _ = draft.keep();
    }
    venv
}

/// PySpark brings Spark itself along, in the folder of its package.
fn home(venv: &Path) -> PathBuf {
    let versions = fs::read_dir(venv.join("lib")).unwrap().flatten();
    let mut homes = versions.map(|version| version.path().join("site-packages/pyspark"));
    homes.find(|home| home.join("bin/spark-class").exists()).expect("PySpark is installed")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// How many programs of attempts there are: processes in this shared folder.
pub(crate) fn programs(shared: &Path) -> usize {
    processes(|process| {
        let folder = fs::read_link(process.join("cwd")).unwrap_or_default();
        folder.starts_with(shared)
    })
}

/// How many drivers there are with a launcher from this shared folder, and launchers.
fn launchers(shared: &Path) -> usize {
    processes(|process| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("launcher.py") && line.contains(shared.to_str().unwrap())
    })
}

fn processes(is_meant: impl Fn(&Path) -> bool) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|it| is_meant(&it.path())).count()
}

/// Returns the body of an answer, by the least of HTTP.
fn ask(port: u16, method: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let head = "Host: localhost\r\nContent-Length: 0\r\n";
    write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// Runs a command that must succeed, and returns what it printed.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {text}{error}", output.status);
    text
}
