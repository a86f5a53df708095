//! A PostgreSQL of the tests' own: made by `initdb` in a temporary folder, reached by loopback and
//! a socket in that folder, and ended with the process that started it, however that ends.
//!
//! Needs nothing but the standard library and `tempfile`, so that benchmarks use it too.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whom the server runs as where the tests run as root, whom it refuses: `nobody`.
const NOBODY: u32 = 65_534;

/// The password of the user `postgres`, which errors must not show.
pub(crate) const PASSWORD: &str = "hush-hush";

/// One server with one folder.
pub(crate) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    is_root: bool,
    databases: AtomicU32,
    /// The data lie on a small disk of their own.
    is_small: bool,
    /// Ends the server when its standard input ends: with this process, or before.
    watchdog: Child,
}

impl Cluster {
    /// Makes and starts a server with further settings, such as `shared_buffers=64MB`.
    ///
    /// # Panics
    /// PostgreSQL is missing, or does not start.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_on(settings, None)
    }

    /// The same with the data on a disk of that size, a `tmpfs`, where one may be mounted.
    ///
    /// # Panics
    /// PostgreSQL is missing, or does not start.
    pub(crate) fn start_on(settings: &[&str], megabytes: Option<u64>) -> Self {
        let programs = programs();
        let is_root = said(Command::new("id").arg("-u")).trim() == "0";
        let folder = tempfile::Builder::new().prefix("jw-pg.").tempdir_in(place(is_root)).unwrap();
        // The watchdog removes it, since a static value is never dropped.
        let folder = folder.keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let data = folder.join("data");
        let watchdog = watch(&folder);
        let is_small = megabytes.is_some_and(|size| mount(&data, size));
        fs::write(folder.join("password"), PASSWORD).unwrap();
        for (name, text) in [
            ("authority.crt", &include_bytes!("tls/authority.crt")[..]),
            ("server.crt", include_bytes!("tls/server.crt")),
            ("server.key", include_bytes!("tls/server.key")),
        ] {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        if is_root {
            for entry in fs::read_dir(&folder).unwrap() {
                chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let port = free_port();
        let databases = AtomicU32::new(0);
        let cluster = Self { folder, programs, port, is_root, databases, is_small, watchdog };
        let mut initdb = cluster.program("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "--auth-host=scram-sha-256", "-E", "UTF8"]);
        initdb.args(["--locale=C", "--no-sync", "--pwfile"]).arg(cluster.folder.join("password"));
        said(initdb.arg("-D").arg(&data));
        cluster.configure(settings);
        cluster.launch();
        cluster
    }

    fn configure(&self, settings: &[&str]) {
        let folder = self.folder.display();
        let mut text = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n\
             ssl = on\nssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n\
             max_connections = 200\nmax_wal_size = 4GB\n",
            self.port
        );
        for setting in settings {
            text.push_str(setting);
            text.push('\n');
        }
        let file = self.folder.join("data/postgresql.conf");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(&file, before + &text).unwrap();
    }

    /// Starts the server and waits until it answers. What is left of one that was killed may keep
    /// its memory for a moment.
    pub(crate) fn launch(&self) {
        for tried in 1.. {
            let mut start = self.program("pg_ctl");
            start.args(["start", "-s", "-w", "-t", "60", "-l"]).arg(self.folder.join("log"));
            start.arg("-D").arg(self.folder.join("data"));
            let status = start
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            if status.success() {
                return;
            }
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(tried < 20, "PostgreSQL does not start:\n{log}");
        }
    }

    /// Kills the server's first process, as a lack of memory or a person would. Its children notice
    /// and end.
    pub(crate) fn kill(&self) {
        said(Command::new("kill").args(["-9", &self.pid()]));
    }

    /// Whether the server runs, be it that it recovers.
    pub(crate) fn is_running(&self) -> bool {
        let mut status = self.program("pg_ctl");
        status.arg("status").arg("-D").arg(self.folder.join("data"));
        status.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        status.status().unwrap().success()
    }

    /// The small disk; none where none could be mounted or none was wanted.
    pub(crate) fn disk(&self) -> Option<PathBuf> {
        self.is_small.then(|| self.folder.join("data"))
    }

    fn pid(&self) -> String {
        let text = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    /// Makes an empty database, and returns its address.
    pub(crate) fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    pub(crate) fn address(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs statements, and returns the rows as text.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            database,
        ]);
        psql.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string(), "-c", statements]);
        said(&mut psql)
    }

    /// A program of PostgreSQL, run as whom the server runs.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if self.is_root {
            let mut command = Command::new("setpriv");
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // A signal to the tests' group is not for the server.
        command.current_dir(&self.folder).process_group(0).env("LC_ALL", "C");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Starts a shell that waits until its input ends, then ends the server and removes the folder.
fn watch(folder: &Path) -> Child {
    let script = r#"
        trap '' INT TERM HUP
        read -r nothing
        if read -r pid <"$1/data/postmaster.pid"; then
            kill -QUIT "$pid"
            tries=0
            # Where nobody reaps orphans it stays as a zombie, which holds nothing.
            while kill -0 "$pid" && [ "$tries" -lt 200 ]; do
                sleep 0.05
                tries=$((tries + 1))
            done
        fi
        if [ "$(stat -f -c %T "$1/data")" = tmpfs ]; then
            umount "$1/data" || umount -l "$1/data"
        fi
        rm -rf "$1"
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(folder).process_group(0).stdin(Stdio::piped());
    shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Mounts a disk that lives in memory; tells whether that was allowed.
fn mount(folder: &Path, megabytes: u64) -> bool {
    fs::create_dir(folder).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "tmpfs"]);
    mount.arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    mount.status().is_ok_and(|status| status.success())
}

/// The folder of PostgreSQL's programs: the newest that Debian has, or that of the search path.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        found.push((version, entry.path().join("bin")));
    }
    found.sort();
    let mut folders: Vec<PathBuf> = found.into_iter().rev().map(|(_, folder)| folder).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let linked = |folder: PathBuf| fs::canonicalize(folder.join("initdb")).ok();
    folders.extend(
        std::env::split_paths(&path)
            .filter_map(linked)
            .filter_map(|program| program.parent().map(Path::to_path_buf)),
    );
    let whole = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|name| folder.join(name).exists())
    };
    folders.into_iter().find(whole).expect(
        "PostgreSQL is missing, these tests need it: as root, run `apt-get install postgresql`",
    )
}

/// A folder for temporary files that whoever the server runs as can reach.
fn place(is_root: bool) -> PathBuf {
    let open = |folder: &PathBuf| {
        let passable =
            |it: &Path| fs::metadata(it).is_ok_and(|it| it.permissions().mode() & 1 == 1);
        !is_root || folder.ancestors().all(passable)
    };
    let choices = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    choices.into_iter().find(open).expect("some folder for temporary files is open to all")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs a command that must succeed, and returns what it printed.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {text}{error}", output.status);
    text
}
