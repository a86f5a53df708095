//! Keeps programs that are being written out of the hands of children.
//!
//! A child has all open files of its parent until it has become another program, and Linux executes
//! no file that anybody has open for writing (`ETXTBSY`, see execve(2)). So of two attempts that
//! begin together the fork of one can make the other's program busy, although that is long
//! written and closed here. Forks elsewhere in the process do the same, and are not seen from here:
//! who executes a program waits for them.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static FORKS: RwLock<()> = RwLock::new(());

/// To be held while a process is started; blocks as long as one program is written.
pub(crate) fn forking() -> RwLockReadGuard<'static, ()> {
    FORKS.read().unwrap_or_else(PoisonError::into_inner)
}

/// To be held while a program is open for writing; blocks as long as processes are started.
pub(crate) fn writing() -> RwLockWriteGuard<'static, ()> {
    FORKS.write().unwrap_or_else(PoisonError::into_inner)
}
