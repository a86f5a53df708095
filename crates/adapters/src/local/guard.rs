//! Ending the processes of an engine that is dead or stopped, out of a process that is neither.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::identity::{Live, marked_below};

/// How many times a second the kernel counts when it tells of processes, on every machine.
const TICKS_PER_SECOND: u64 = 100;

/// Kills the processes of attempts that have their folders below these ones, with their groups,
/// and returns how many it found: nothing is left when that is 0. With a moment, given as the time
/// since the machine's start, only those that began before it. Blocks for as long as it takes to
/// look at all processes.
#[must_use]
pub fn kill_below(roots: &[PathBuf], begun_before: Option<Duration>) -> usize {
    let limit = begun_before.map_or(u64::MAX, |moment| {
        let ticks = moment.as_millis() * u128::from(TICKS_PER_SECOND) / 1000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    });
    let found: Vec<_> =
        marked_below(roots).into_iter().filter(|it| it.began_at() <= limit).collect();
    for process in &found {
        kill(*process);
    }
    found.len()
}

/// Kills one process, and its group where it leads it. Its number cannot go to another one between
/// the look and the deed as long as its parent has not reaped it; else only where all numbers of
/// the machine come round in that moment.
fn kill(process: Live) {
    let Ok(handle) = pidfd_open(process.pid, PidfdFlags::empty()) else { return };
    if !process.is_still_there() {
        return;
    }
    if process.leads_its_group() {
        let _ = kill_process_group(process.pid, Signal::KILL);
    }
    let _ = pidfd_send_signal(handle, Signal::KILL);
}
