//! What goes wrong below, sorted by what it means for the caller: whether to come back later, to
//! give this one thing up, or to distrust everything.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jobwright_core::StoreError;
use jobwright_core::codec::CodecError;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_NOMEM, SQLITE_IOERR_SHMSIZE};

/// Why the database did not do what it was asked. Cheap to clone: one fault answers all commits of
/// a transaction.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    severity: Severity,
    reason: String,
    source: Option<Arc<rusqlite::Error>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// Nothing was done, and it may go better later.
    Passing,
    /// Nothing was done, and this will never be done. Everything else may be.
    Refused,
    /// Nobody knows what is durable.
    Fatal,
}

impl Fault {
    /// This one thing cannot be done, ever.
    pub(super) fn refused(reason: String) -> Self {
        Self { severity: Severity::Refused, reason, source: None }
    }

    /// Nothing can be relied upon any more.
    pub(super) fn fatal(reason: &str) -> Self {
        Self { severity: Severity::Fatal, reason: reason.to_owned(), source: None }
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal
    }

    pub(super) fn to_error(&self) -> StoreError {
        let reason = self.reason.clone();
        let boxed = |it: Arc<rusqlite::Error>| -> Box<dyn Error + Send + Sync> { Box::new(it) };
        let source = self.source.clone().map(boxed);
        match self.severity {
            Severity::Passing => StoreError::Unavailable { reason, source },
            Severity::Refused | Severity::Fatal => StoreError::Broken { reason, source },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self::refused(error.to_string())
    }
}

/// A failed sync is fatal: what the system then holds is not what the disk holds, and asking again
/// would be told a lie. A full disk is told before anything is lost, and is not; SQLite has a code
/// of its own for it, so that a failed write is another failure.
impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let (severity, reason) = match error.sqlite_error() {
            Some(known) => judge(known.code, known.extended_code),
            None => (Severity::Fatal, "a row of the database is not as it was written"),
        };
        Self { severity, reason: reason.to_owned(), source: Some(Arc::new(error)) }
    }
}

fn judge(code: ErrorCode, extended: i32) -> (Severity, &'static str) {
    use Severity::{Fatal, Passing, Refused};
    match (code, extended) {
        (ErrorCode::DiskFull, _) | (_, SQLITE_IOERR_SHMSIZE) => (Passing, "there is no room left"),
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
            (Passing, "another program uses the database")
        }
        (ErrorCode::OutOfMemory, _) | (_, SQLITE_IOERR_NOMEM) => (Passing, "memory ran out"),
        (ErrorCode::CannotOpen, _) => (Passing, "a file beside the database cannot be opened"),
        (ErrorCode::TooBig, _) => (Refused, "a row is too large"),
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            (Fatal, "the database is damaged, restore it from a copy")
        }
        (ErrorCode::SystemIoFailure, _) => {
            (Fatal, "the disk failed, nobody knows what it holds of the last commits")
        }
        _ => (Fatal, "the database refused a statement that it must take"),
    }
}

/// Whether the store can still be relied upon. The first fatal fault answers all later calls.
#[derive(Debug, Default)]
pub(super) struct Health {
    fault: OnceLock<Fault>,
    closed: AtomicBool,
}

impl Health {
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.get()
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if let Some(fault) = self.fault() {
            return Err(fault.to_error());
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Fault::fatal("it was closed").to_error());
        }
        Ok(())
    }

    /// Takes note of a fault, and returns it as the caller's error.
    pub(super) fn note(&self, fault: &Fault) -> StoreError {
        if fault.is_fatal() && self.fault.set(fault.clone()).is_ok() {
            tracing::error!(%fault, source = ?fault.source, "the store is broken");
        }
        fault.to_error()
    }

    /// The error of a call that the writer never answered: it was closed, or it panicked.
    pub(super) fn silence(&self) -> StoreError {
        match self.check() {
            Err(error) => error,
            Ok(()) => self.note(&Fault::fatal("its writer ended before it answered")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn faults_are_sorted_by_what_they_mean() {
        let check = |code: i32, severity: Severity| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let fault = Fault::from(error);
            assert_eq!(fault.severity, severity, "{code}: {fault}");
            assert_eq!(fault.to_error().is_retryable(), severity == Severity::Passing);
        };
        check(ffi::SQLITE_FULL, Severity::Passing);
        check(ffi::SQLITE_BUSY, Severity::Passing);
        check(ffi::SQLITE_BUSY_SNAPSHOT, Severity::Passing);
        check(ffi::SQLITE_LOCKED, Severity::Passing);
        check(ffi::SQLITE_NOMEM, Severity::Passing);
        check(SQLITE_IOERR_NOMEM, Severity::Passing);
        check(SQLITE_IOERR_SHMSIZE, Severity::Passing);
        check(ffi::SQLITE_CANTOPEN, Severity::Passing);
        check(ffi::SQLITE_TOOBIG, Severity::Refused);
        check(ffi::SQLITE_IOERR_WRITE, Severity::Fatal);
        check(ffi::SQLITE_IOERR_FSYNC, Severity::Fatal);
        check(ffi::SQLITE_IOERR_DIR_FSYNC, Severity::Fatal);
        check(ffi::SQLITE_CORRUPT, Severity::Fatal);
        check(ffi::SQLITE_CORRUPT_INDEX, Severity::Fatal);
        check(ffi::SQLITE_NOTADB, Severity::Fatal);
        check(ffi::SQLITE_READONLY, Severity::Fatal);
        check(ffi::SQLITE_CONSTRAINT, Severity::Fatal);
    }

    #[test]
    fn what_is_broken_stays_broken() {
        let health = Health::default();
        assert!(health.check().is_ok());
        assert!(health.note(&Fault::refused("a row".to_owned())).to_string().ends_with("a row"));
        assert!(health.check().is_ok());
        let expect = "the store is broken: its writer ended before it answered";
        assert_eq!(health.silence().to_string(), expect);
        health.note(&Fault::fatal("something else"));
        health.close();
        assert_eq!(health.check().unwrap_err().to_string(), expect);
    }
}
