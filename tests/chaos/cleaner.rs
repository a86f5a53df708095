//! What ends the engines and removes the folder however the rig ends, even by SIGKILL.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// A shell that waits until its input ends. It looks whether a number is still an engine's, so that
/// another process that got it is not hit.
const SCRIPT: &str = r#"
    trap '' INT TERM HUP
    while read -r pid; do pids="$pids $pid"; done
    for pid in $pids; do
        if [ "$(readlink "/proc/$pid/exe")" = "$2" ]; then kill -9 "$pid"; fi
    done
    sleep 1
    rm -rf "$1"
"#;

pub(crate) struct Cleaner(Mutex<Child>);

impl Cleaner {
    pub(crate) fn start(folder: &Path) -> std::io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(folder).arg(folder.join("jobwright"));
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(Mutex::new(shell.process_group(0).spawn()?)))
    }

    pub(crate) fn add(&self, pid: Option<u32>) {
        let mut shell = self.0.lock().unwrap();
        if let (Some(pid), Some(pipe)) = (pid, &mut shell.stdin) {
            let _ = writeln!(pipe, "{pid}");
        }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let shell = self.0.get_mut().unwrap();
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}
