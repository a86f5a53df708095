//! A user at a shell: runs the program, and keeps what was typed and what came of it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use regex_lite::Regex;
use tempfile::TempDir;

/// Where the packages of the tests are.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/packages");

/// A data directory, and perhaps a server on it.
pub(crate) struct Shell {
    dir: TempDir,
    server: Option<(Child, String)>,
    said: String,
}

impl Shell {
    /// Without a server: each command opens the data directory.
    pub(crate) fn local() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, server: None, said: String::new() }
    }

    /// With a server.
    pub(crate) fn remote() -> Self {
        let mut shell = Self::local();
        let mut serve = shell.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut server = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        shell.server = Some((server, url));
        shell
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with its arguments, in an environment that says nothing but where things are.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobwright"));
        command.args(args).current_dir(PACKAGES).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("JOBWRIGHT_DATA", self.path("data"));
        command.env("JOBWRIGHT_TOKEN_FILE", self.path("token"));
        if let Some((_, url)) = &self.server {
            command.env("JOBWRIGHT_SERVER", url);
        }
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Types a command, split at blanks, and returns what it printed on standard output.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let args: Vec<_> = line.split_whitespace().collect();
        let output = self.output(&args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        self.said.push_str(&format!("$ jobwright {line}\n{out}"));
        for line in err.lines() {
            self.said.push_str(&format!("! {line}\n"));
        }
        match output.status.code() {
            Some(0) => {}
            code => self.said.push_str(&format!("[exit {}]\n", code.unwrap())),
        }
        self.said.push('\n');
        out
    }

    /// All that was typed and said, without what differs from time to time.
    pub(crate) fn transcript(&self) -> String {
        let mut said = self.said.replace(&*self.dir.path().to_string_lossy(), "<dir>");
        if let Some((_, url)) = &self.server {
            said = said.replace(url, "<server>");
        }
        redacted(&said)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some((server, _)) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces times, durations, ids of requests, and secrets. Their widths move what stands behind
/// them, so gaps in tables are made equal.
fn redacted(said: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
            (r"jw_[A-Za-z0-9_-]{48}", "<secret>"),
            (r"\b\d+\.\d+s\b", "<span>"),
            (r"process pid \d+ start \d+ boot", "process pid <pid> start <start> boot"),
        ];
        rules.map(|(rule, with)| (Regex::new(rule).unwrap(), with)).into()
    });
    static GAP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\S) {2,}").unwrap());
    let said = RULES
        .iter()
        .fold(said.to_owned(), |said, (rule, with)| rule.replace_all(&said, *with).into_owned());
    let line = |line: &str| match line.starts_with('!') {
        true => format!("{line}\n"),
        false => format!("{}\n", GAP.replace_all(line, "$1  ").trim_end()),
    };
    said.lines().map(line).collect()
}
