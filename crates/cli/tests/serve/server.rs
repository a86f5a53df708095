//! A server as a process of its own, and a client of it.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// What anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something, and fails where it does not come.
pub(crate) async fn soon<T>(what: &str, comes: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(DEADLINE, comes).await;
    came.unwrap_or_else(|_| panic!("in vain waited for {what}"))
}

/// A folder with data, a token file and a configuration, for one server after the other.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(config: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(place.path("jobwright.toml"), config).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server on this place that is not started yet.
    pub(crate) fn command(&self, listen: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobwright"));
        command.args(["serve", "--listen", listen]).arg("--data").arg(self.path("data"));
        command.arg("--config").arg(self.path("jobwright.toml"));
        command.arg("--token-file").arg(self.path("token"));
        command.env("JOBWRIGHT_LOG", "trace,hyper_util=info,mio=info");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts a server and waits until it listens.
    pub(crate) async fn start(&self) -> Server {
        self.start_as(self.command("127.0.0.1:0")).await
    }

    pub(crate) async fn start_as(&self, mut command: Command) -> Server {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut child = command.stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the line that says where it listens", lines.next_line()).await.unwrap();
        let Some(line) = line else { panic!("it did not start:\n{}", self.log()) };
        let base = match line.strip_prefix("listening on ") {
            Some(base) => base.to_owned(),
            None => {
                let told: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(
                    (&told["event"], &told["pid"]),
                    (&json!("listening"), &json!(child.id()))
                );
                told["url"].as_str().unwrap().to_owned()
            }
        };
        let token = std::fs::read_to_string(self.path("token")).unwrap_or_default();
        let token = token.trim().to_owned();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let server = Server { child, lines, base, token, client };
        server.get("/readyz").await.expect(200);
        server
    }

    /// Runs a server that does not start; returns its exit code and what it says.
    pub(crate) async fn refused(&self, command: Command) -> (Option<i32>, String) {
        refused(command).await
    }

    /// What the servers on this place said on standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Makes a pipe with a name: who reads from it waits for a writer.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = self.path(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }
}

/// Runs a program that does not start to serve; returns its exit code and what it says.
pub(crate) async fn refused(mut command: Command) -> (Option<i32>, String) {
    command.stderr(Stdio::piped());
    let output = soon("a server that does not start", command.output()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let said = String::from_utf8_lossy(&output.stderr);
    // What is logged comes before.
    let error = said.find("\nerror: ").map_or(&*said, |at| &said[at + 1..]);
    (output.status.code(), error.trim_end().to_owned())
}

/// Lets whoever reads from a named pipe go on.
pub(crate) async fn let_go(pipe: &Path) {
    let pipe = pipe.to_owned();
    let written = tokio::task::spawn_blocking(move || std::fs::write(pipe, "go\n"));
    soon("a reader of the pipe", written).await.unwrap().unwrap();
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) base: String,
    pub(crate) token: String,
    client: reqwest::Client,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Server {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let what = format!("{request:?}");
        let answer = async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            Answer { status, text: response.text().await.unwrap() }
        };
        soon(&what, answer).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Makes deployment 1 with an active release of a package.
    pub(crate) async fn deploy(&self, package: &str) {
        self.post("/v4/deployments", &json!({ "name": "d" })).await.expect(201);
        let part = Part::bytes(package.as_bytes().to_vec()).file_name("package.yaml");
        let request = self.request(Method::POST, "/v4/deployments/1/releases");
        self.send(request.multipart(Form::new().part("data", part))).await.expect(201);
    }

    /// Runs deployment 1; returns its one group and the group's jobs.
    pub(crate) async fn run(&self) -> (i64, Vec<i64>) {
        let body = self.post("/v4/deployments/1/run", &json!({})).await.expect(201).json();
        let group = &body["data"][0];
        let jobs = group["jobs"]["data"].as_array().unwrap();
        let ids = jobs.iter().map(|job| job["id"].as_i64().unwrap()).collect();
        (group["id"].as_i64().unwrap(), ids)
    }

    /// Asks until the answer is as it should be.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
        let asked = async {
            loop {
                let answer = self.get(path).await;
                if holds(&answer) {
                    return answer;
                }
            }
        };
        soon(path, asked).await
    }

    /// Waits until a group has ended.
    pub(crate) async fn ended(&self, group: i64) -> String {
        let path = format!("/v4/jobGroups/{group}/status?wait=20s");
        let is_final =
            |it: &Answer| !it.text.contains("Created") && !it.text.contains("InProgress");
        self.until(&path, is_final).await.expect(200).text
    }

    /// Waits until the log of a job's last attempt holds a text.
    pub(crate) async fn says(&self, job: i64, text: &str) -> Answer {
        self.until(&format!("/v4/jobs/{job}/logs"), |it| it.text.contains(text)).await
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end of the process; nothing more was said on standard output.
    pub(crate) async fn exited(mut self) -> ExitStatus {
        let status = soon("the end of the server", self.child.wait()).await.unwrap();
        assert_eq!(self.lines.next_line().await.unwrap(), None);
        status
    }

    /// Ends the server in order.
    pub(crate) async fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exited().await.code(), Some(0));
    }

    /// Kills the server as a crash would.
    pub(crate) async fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.exited().await.code(), None);
    }
}
