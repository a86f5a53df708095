//! Keeps programs that are being written out of the hands of children.
//!
//! A child has all open files of its parent until it has become another program, and Linux executes
//! no file that anybody has open for writing (`ETXTBSY`, see execve(2)). So of two attempts that
//! begin together the fork of one can make the other's program busy, although that is long
//! written and closed here. Forks elsewhere in the process do the same, and are not seen from here:
//! who executes a program waits for them.

use std::io;
use std::sync::{PoisonError, RwLock};

use tokio::process::{Child, Command};

static FORKS: RwLock<()> = RwLock::new(());

/// Starts a command as the leader of a new group, which is killed when the child is dropped. Blocks
/// as long as one program is written.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let _forking = FORKS.read().unwrap_or_else(PoisonError::into_inner);
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Opens, writes and closes a program. Blocks as long as processes are started.
pub(crate) fn writing<T>(write: impl FnOnce() -> T) -> T {
    let _writing = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    write()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what the others wait for takes its time")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::thread;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::conformance::attempt;
    use crate::local::folder::Folder;

    /// Does something while `hold`, in another thread, holds the lock, and sees that it waited.
    fn waits(hold: impl FnOnce(&dyn Fn()) + Send, act: impl FnOnce()) {
        let is_over = AtomicBool::new(false);
        let (sender, begun): (SyncSender<()>, _) = sync_channel(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                hold(&|| {
                    sender.send(()).unwrap();
                    thread::sleep(Duration::from_millis(50));
                    is_over.store(true, Ordering::SeqCst);
                });
            });
            begun.recv().unwrap();
            act();
            assert!(is_over.load(Ordering::SeqCst));
        });
    }

    #[tokio::test]
    async fn nothing_is_forked_while_a_program_is_written() {
        waits(|hold| writing(hold), || drop(spawn(&mut Command::new("true")).unwrap()));
    }

    #[test]
    fn no_program_is_written_while_something_is_forked() {
        let root = tempfile::tempdir().unwrap();
        let attempt = attempt(json!({})).artifact("go", b"#!/bin/sh\n", true).build();
        let (folder, _) = Folder::create(root.path(), &attempt).unwrap();
        let (program, content) = attempt.artifacts().iter().next().unwrap();
        waits(
            |hold| {
                let _forking = FORKS.read().unwrap();
                hold();
            },
            || folder.place(program, content).unwrap(),
        );
    }
}
