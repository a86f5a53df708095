//! Attends a process from its start to its end.
//!
//! ```text
//!              stop asked: TERM           grace over: KILL
//!   running ────────────────▶ stopping ─────────────────▶ killed
//!      │ leader ends              │ leader ends              │ leader ends
//!      └──────────────────────────┴───────────▶ draining ◀───┘
//!                    pipes closed │                 │ drain time over: KILL the rest
//!                                 ▼                 ▼
//!                               ended ◀────────── swept
//! ```

use std::io;
use std::pin::pin;
use std::time::Duration;

use jobwright_core::{Attempt, Stop};
use rustix::process::Signal;
use tokio::time::sleep;

use super::capture::Capture;
use super::process::Process;
use crate::log::LogEnd;

/// How long the pipes may stay open once everything that was known to hold them is killed: what
/// has left the group can hold them for ever.
const SWEPT: Duration = Duration::from_millis(200);

/// Reads what the process says until it has ended, stops it when it is asked to, and sees to it
/// that nothing of its group is left. `drain` is how long the pipes may stay open after the
/// leader's end. Dropping the future kills the group.
pub(super) async fn attend(
    process: Process,
    capture: &mut Capture,
    attempt: &Attempt,
    drain: Duration,
) -> io::Result<LogEnd> {
    let mut stopped = pin!(attempt.cancellation().wait());
    let mut timer = pin!(sleep(Duration::ZERO));
    let mut timed = false;
    let mut stop: Option<&Stop> = None;
    let (mut ended, mut killed, mut leftovers) = (false, false, false);
    while !(ended && capture.is_closed()) {
        tokio::select! {
            () = capture.out.fill() => capture.take(),
            () = capture.err.fill() => capture.take(),
            () = process.ended(), if !ended => {
                ended = true;
                timed = true;
                timer.set(sleep(stop.map_or(drain, |stop| drain.min(stop.grace))));
            }
            asked = &mut stopped, if stop.is_none() && !ended => {
                process.signal(Signal::TERM);
                stop = Some(asked);
                timed = true;
                timer.set(sleep(asked.grace));
            }
            () = &mut timer, if timed => {
                if leftovers {
                    break;
                }
                process.signal(Signal::KILL);
                timed = ended;
                (killed, leftovers) = (killed || !ended, ended);
                timer.set(sleep(SWEPT));
            }
        }
    }
    let process = process.reap().await?;
    Ok(LogEnd { process, stopped: stop.is_some(), killed, leftovers })
}
