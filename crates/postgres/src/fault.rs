//! What goes wrong below, sorted by what it means: whether the same call may go better, and whether
//! the connection is still good.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use jobwright_core::StoreError;
use jobwright_core::codec::CodecError;
use tokio_postgres::error::{Severity, SqlState};

/// Why the database did not do what it was asked. Cheap to clone: one fault answers all commits of
/// a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: FaultKind,
    reason: String,
    source: Option<Arc<tokio_postgres::Error>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The connection is gone. What was asked last may have been done or not.
    Lost,
    /// Another transaction came first: nothing was done, and it goes better at once.
    Raced,
    /// Nothing was done, and it may go better later.
    Passing,
    /// Nothing was done, and this will never be done.
    Broken,
}

impl Fault {
    pub(crate) fn lost(reason: &str) -> Self {
        Self { kind: FaultKind::Lost, reason: reason.to_owned(), source: None }
    }

    pub(crate) fn raced(reason: &str) -> Self {
        Self { kind: FaultKind::Raced, reason: reason.to_owned(), source: None }
    }

    pub(crate) fn broken(reason: String) -> Self {
        Self { kind: FaultKind::Broken, reason, source: None }
    }

    /// A row has not the columns that its statement asks for.
    pub(crate) fn row(error: tokio_postgres::Error) -> Self {
        let reason = "a row of the database is not as it was written".to_owned();
        Self { kind: FaultKind::Broken, reason, source: Some(Arc::new(error)) }
    }

    pub(crate) fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Tells whether the server itself said that it undid the transaction and keeps the connection.
    pub(crate) fn is_certain(&self) -> bool {
        let said = self.source.as_ref().and_then(|error| error.as_db_error());
        said.is_some_and(|error| error.parsed_severity() == Some(Severity::Error))
    }

    /// Whether it says no more than that another statement of the transaction failed before.
    fn is_aftermath(&self) -> bool {
        self.reason == AFTERMATH
    }

    pub(crate) fn to_error(&self) -> StoreError {
        let reason = self.reason.clone();
        let boxed =
            |it: Arc<tokio_postgres::Error>| -> Box<dyn Error + Send + Sync> { Box::new(it) };
        let source = self.source.clone().map(boxed);
        match self.kind {
            FaultKind::Lost | FaultKind::Raced | FaultKind::Passing => {
                StoreError::Unavailable { reason, source }
            }
            FaultKind::Broken => StoreError::Broken { reason, source },
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
        Self::broken(error.to_string())
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let (kind, reason) = match error.as_db_error() {
            Some(said) => judge(said.code(), said.parsed_severity()),
            None => (FaultKind::Lost, "the connection to the database was lost"),
        };
        Self { kind, reason: reason.to_owned(), source: Some(Arc::new(error)) }
    }
}

const AFTERMATH: &str = "an earlier statement of the transaction failed";

/// Takes what two pipelines of one transaction brought, or what made them fail.
pub(crate) fn both<A, B>(one: Result<A, Fault>, two: Result<B, Fault>) -> Result<(A, B), Fault> {
    match (one, two) {
        (Ok(one), Ok(two)) => Ok((one, two)),
        (Err(one), Err(two)) => Err(if one.is_aftermath() { two } else { one }),
        (Err(fault), Ok(_)) | (Ok(_), Err(fault)) => Err(fault),
    }
}

fn judge(code: &SqlState, severity: Option<Severity>) -> (FaultKind, &'static str) {
    use FaultKind::{Broken, Lost, Passing, Raced};
    let (class, _) = code.code().split_at(2.min(code.code().len()));
    match (class, code.code()) {
        _ if matches!(severity, Some(Severity::Fatal | Severity::Panic)) => {
            (Lost, "the database ended the connection")
        }
        ("08", _) | (_, "57P01" | "57P02" | "57P03" | "57P05") => {
            (Lost, "the database ended the connection")
        }
        (_, "25006") => (Lost, "the database takes no changes: it is a copy of another"),
        (_, "40001" | "40P01" | "23505") => (Raced, "another node changes the same"),
        (_, "55P03") => (Passing, "another transaction holds what is needed"),
        (_, "57014") => (Passing, "the database took too long"),
        (_, "25P02") => (Passing, AFTERMATH),
        (_, "53100") => (Passing, "there is no room left on the database's disk"),
        ("53" | "58", _) => (Passing, "the database lacks memory, connections or files"),
        ("54" | "22", _) => (Broken, "a row is too large, or is no value of the database"),
        (_, "XX001" | "XX002") => (Broken, "the database is damaged, restore it from a copy"),
        ("42", _) => (Broken, "the tables or the rights to them are not as they were made"),
        _ => (Broken, "the database refused a statement that it must take"),
    }
}
