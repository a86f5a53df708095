//! What the figures were measured on: without it they mean nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use jobwright::core::Timestamp;

/// Says when, at which commit and on what the figures were measured, one line each, for a
/// Markdown list. `folder` is where files were written.
pub(crate) fn describe(command: &str, folder: &Path) -> Vec<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(unknown);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown);
    let profile = if cfg!(debug_assertions) { "not optimised" } else { "bench profile" };
    let rustc = output("rustc", &["--version"]).unwrap_or_else(unknown);
    vec![
        format!("date {now}, commit {}", commit()),
        format!("command `{command}`"),
        format!("machine {processor}, {cores} cores, {memory} of memory, Linux {kernel}"),
        format!("{rustc}, {profile}, 2 runtime threads, files on {}", file_system(folder)),
        format!("load average at the end {}", line("/proc/loadavg").unwrap_or_else(unknown)),
    ]
}

fn commit() -> String {
    let head = output("git", &["rev-parse", "--short=12", "HEAD"]);
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    match (head, changes) {
        (Some(head), None) => head,
        (Some(head), Some(_)) => format!("{head} with uncommitted changes"),
        (None, _) => unknown(),
    }
}

/// The file system of a folder: that of the longest mount point above it.
fn file_system(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|mount| {
        let mut words = mount.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map_or_else(unknown, |(_, kind)| kind.to_owned())
}

/// What a program says, if it succeeds and says something.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn line(file: &str) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.lines().next()?.trim().to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find(|line| line.starts_with(name))?.split_once(':')?.1;
    Some(value.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
