//! Why a store cannot be opened, told so that the next step is plain.

use thiserror::Error;
use tokio_postgres::error::SqlState;

/// Why a store cannot be opened. No error shows the password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address makes no sense.
    #[error("the address is not understood: {fault}; write `postgres://user@host:5432/database`")]
    Address {
        /// What is wrong with it.
        fault: String,
    },
    /// The certificates of the authorities cannot be read.
    #[error("cannot check certificates")]
    Certificates(#[source] std::io::Error),
    /// Nobody answers, or not in time.
    #[error("cannot reach {place}: see that PostgreSQL runs there and can be reached from here")]
    Unreachable {
        /// Which database.
        place: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server does not let the user in.
    #[error("may not log in to {place}: check the user, its password and `pg_hba.conf`")]
    Login {
        /// Which database.
        place: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server has no such database.
    #[error("there is no {place}: make it with `createdb`")]
    NoDatabase {
        /// Which database.
        place: String,
    },
    /// The user may not make the schema or its tables.
    #[error(
        "no right to make the schema `{schema}` in {place}: let its owner run `CREATE SCHEMA \"{schema}\" AUTHORIZATION` for this user"
    )]
    Rights {
        /// Which database.
        place: String,
        /// The schema.
        schema: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server is too old, or the database keeps text in another encoding than UTF-8.
    #[error("{place} has {found}, {needed} is needed")]
    Unfit {
        /// Which database.
        place: String,
        /// What it has.
        found: String,
        /// What it must have.
        needed: &'static str,
    },
    /// A newer version brought the tables to a format that this one cannot work with.
    #[error(
        "the schema `{schema}` of {place} has format {found}, which needs a version that knows format {needed}; this one knows formats up to {known}: update it"
    )]
    Newer {
        /// Which database.
        place: String,
        /// The schema.
        schema: String,
        /// The format of the tables.
        found: i32,
        /// The oldest format that a version must know to work with them.
        needed: i32,
        /// The newest format that this version knows.
        known: i32,
    },
    /// The tables were made by other statements than those of this version.
    #[error(
        "the schema `{schema}` of {place} says format {format}, but other statements made it: choose another schema"
    )]
    Altered {
        /// Which database.
        place: String,
        /// The schema.
        schema: String,
        /// The format whose statements differ.
        format: i32,
    },
    /// The database refused or failed otherwise.
    #[error("cannot open {place}")]
    Database {
        /// Which database.
        place: String,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl ConnectError {
    /// Sorts what the database said when it was connected to or set up.
    pub(crate) fn sorted(place: &str, schema: &str, source: tokio_postgres::Error) -> Self {
        let (place, schema) = (place.to_owned(), schema.to_owned());
        let Some(error) = source.as_db_error() else {
            return Self::Unreachable { place, source };
        };
        let code = error.code();
        if *code == SqlState::INVALID_CATALOG_NAME {
            return Self::NoDatabase { place };
        }
        if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            return Self::Rights { place, schema, source };
        }
        if code.code().starts_with("28") {
            return Self::Login { place, source };
        }
        if code.code().starts_with("57P") || code.code().starts_with("53") {
            return Self::Unreachable { place, source };
        }
        Self::Database { place, source }
    }
}
