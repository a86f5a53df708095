//! One engine: the real program, with a data folder, a port and a network of its own.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cleaner::Cleaner;
use crate::proxy::Proxy;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) base: String,
    pub(crate) proxy: Proxy,
    port: u16,
    folder: PathBuf,
    store: String,
    process: tokio::sync::Mutex<Option<Child>>,
    /// The name of its present life in the store.
    id: Mutex<String>,
}

impl Node {
    /// A node that is not started yet; its folder holds the configuration and the token of all.
    pub(crate) fn new(
        name: String,
        port: u16,
        proxy: Proxy,
        folder: PathBuf,
        store: String,
    ) -> Self {
        let base = format!("http://127.0.0.1:{port}");
        let process = tokio::sync::Mutex::new(None);
        Self { name, base, proxy, port, folder, store, process, id: Mutex::default() }
    }

    pub(crate) fn id(&self) -> String {
        self.id.lock().unwrap().clone()
    }

    pub(crate) fn is(&self, id: String) {
        *self.id.lock().unwrap() = id;
    }

    /// Starts the program and waits until it listens.
    pub(crate) async fn start(&self, cleaner: &Cleaner) -> anyhow::Result<()> {
        let mut held = self.process.lock().await;
        let log = self.folder.join(format!("{}.log", self.name));
        let mut log = File::options().create(true).append(true).open(log)?;
        writeln!(log, "---- start")?;
        let mut command = Command::new(self.folder.join("jobwright"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)]);
        command.arg("--data").arg(self.folder.join(&self.name));
        command.arg("--config").arg(self.folder.join("jobwright.toml"));
        command.arg("--token-file").arg(self.folder.join("token"));
        command.env("JOBWRIGHT_STORE", &self.store).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(log).kill_on_drop(true).process_group(0).spawn()?;
        cleaner.add(child.id());
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = tokio::time::timeout(START, lines.next_line()).await;
        match line.context("the engine does not listen in time")?? {
            Some(_) => *held = Some(child),
            None => {
                let status = child.wait().await?;
                bail!("{} does not start: {status}", self.name);
            }
        }
        Ok(())
    }

    pub(crate) async fn signal(&self, signal: Signal) {
        let held = self.process.lock().await;
        let pid = held.as_ref().and_then(Child::id).and_then(|it| Pid::from_raw(it as i32));
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the end of the process; returns its exit code, if it has one.
    pub(crate) async fn wait(&self) -> Option<i32> {
        let child = self.process.lock().await.take();
        child?.wait().await.ok()?.code()
    }

    /// Tells whether the process ended without being asked.
    pub(crate) async fn has_ended(&self) -> bool {
        let mut held = self.process.lock().await;
        held.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }
}
