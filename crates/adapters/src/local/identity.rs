//! Which process an attempt is: its pid, guarded against reuse by its start time and the boot, and
//! the mark in its environment by which it is found when the engine died before writing that down.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::process::Pid;

/// Names one process for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pid: i32,
    /// When it began, in ticks since the boot.
    start: u64,
    /// The kernel's random name of the boot.
    boot: String,
}

/// A line of `/proc/<pid>/stat`, as far as it matters.
struct Stat {
    dead: bool,
    group: i32,
    start: u64,
}

impl Identity {
    /// Looks up a process that is ours: running, or ended and not yet reaped.
    pub(super) fn of(pid: Pid, boot: &str) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        Some(Self { pid, start: stat(pid)?.start, boot: boot.to_owned() })
    }

    /// Finds the process, if it still runs; it does not if the machine has booted since.
    pub(super) fn live(&self, boot: &str) -> Option<Live> {
        live(self.pid).filter(|it| self.boot == boot && it.start == self.start)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} start {} boot {}", self.pid, self.start, self.boot)
    }
}

/// A text that names no process.
#[derive(Debug, thiserror::Error)]
#[error("the handle names no process")]
pub(super) struct IdentityError;

impl FromStr for Identity {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let words: Vec<_> = text.split(' ').collect();
        let ["pid", pid, "start", start, "boot", boot] = words[..] else {
            return Err(IdentityError);
        };
        let pid = pid.parse().map_err(|_| IdentityError)?;
        let start = start.parse().map_err(|_| IdentityError)?;
        Ok(Self { pid, start, boot: boot.to_owned() })
    }
}

/// Returns the kernel's name of this boot; nothing where there is no `/proc`.
pub(super) fn boot() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    name.trim().to_owned()
}

/// The variable that marks the processes of an attempt: its value is unique to the attempt.
pub(super) const MARK: &str = "JOBWRIGHT_OUTPUT";

/// A live process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) pid: Pid,
    group: i32,
    start: u64,
}

impl Live {
    pub(super) fn leads_its_group(self) -> bool {
        self.group == self.pid.as_raw_nonzero().get()
    }

    /// When it began, in ticks since the boot.
    pub(super) fn began_at(self) -> u64 {
        self.start
    }

    /// Tells whether the process still runs. Only an answer that is asked for while a handle of
    /// its number is held is worth anything.
    pub(super) fn is_still_there(self) -> bool {
        live(self.pid.as_raw_nonzero().get()).is_some_and(|it| it.start == self.start)
    }
}

/// Finds the live processes whose environment names this output file: the process of the attempt
/// and those of its descendants that kept the variable. Blocks for as long as it takes to look at
/// all processes.
pub(super) fn marked(output: &Path) -> Vec<Live> {
    let mark = [MARK.as_bytes(), b"=", output.as_os_str().as_bytes()].concat();
    pids().into_iter().filter(|pid| bears(*pid, &mark)).filter_map(live).collect()
}

/// Finds the live processes that bear the mark of an attempt with its folder below one of these.
/// Blocks like [`marked`].
pub(super) fn marked_below(roots: &[PathBuf]) -> Vec<Live> {
    let mark = |root: &PathBuf| [MARK.as_bytes(), b"=", root.as_os_str().as_bytes(), b"/"].concat();
    let marks: Vec<_> = roots.iter().map(mark).collect();
    let bears = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| marks.iter().any(|mark| variable.starts_with(mark)))
    };
    pids().into_iter().filter(bears).filter_map(live).collect()
}

/// Finds the live members of a group whose leader has ended; none if a process of that number is
/// alive, since then it leads another group. Blocks like [`marked`].
pub(super) fn members(leader: Pid) -> Vec<Live> {
    let group = leader.as_raw_nonzero().get();
    let members = pids().into_iter().filter_map(live).filter(|it| it.group == group);
    let members: Vec<_> = members.collect();
    if members.iter().any(|it| it.leads_its_group()) { Vec::new() } else { members }
}

fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn live(pid: i32) -> Option<Live> {
    let stat = stat(pid).filter(|stat| !stat.dead)?;
    Some(Live { pid: Pid::from_raw(pid)?, group: stat.group, start: stat.start })
}

fn bears(pid: i32, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}

fn stat(pid: i32) -> Option<Stat> {
    // One read: the file is made whole when it is read, and is never longer than this.
    let mut line = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    let line = &line[..length];
    // The second field is the program's name in parentheses, which may hold anything.
    let after = line.iter().rposition(|byte| *byte == b')')? + 2;
    let rest = std::str::from_utf8(line.get(after..)?).ok()?;
    let fields: Vec<_> = rest.split(' ').collect();
    Some(Stat {
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        group: fields.get(2)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_another_process() {
        let boot = boot();
        let me = Identity::of(rustix::process::getpid(), &boot).unwrap();
        assert!(me.live(&boot).unwrap().is_still_there());
        assert_eq!(me.to_string().parse::<Identity>().unwrap(), me);
        assert_eq!(Identity { start: me.start - 1, ..me.clone() }.live(&boot), None);
        assert_eq!(me.live("another boot"), None);
        for bad in ["", "pid x start 1 boot b", "pid 1 start 1", "pid 1 start 1 boot b c"] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }
}
