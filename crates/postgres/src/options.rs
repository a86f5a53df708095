//! Where the database is, and how to use it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::connect::ConnectError;
use crate::store::PostgresStore;
use crate::tls::Trust;

/// How to open a [`PostgresStore`]: the address of the database and a few choices. Showing it never
/// shows the password.
#[derive(Clone)]
#[must_use]
pub struct PostgresOptions {
    pub(crate) config: Config,
    pub(crate) schema: String,
    pub(crate) trust: Trust,
    pub(crate) statement_timeout: Duration,
}

impl PostgresOptions {
    /// Reads an address such as `postgres://user:password@host:5432/database?sslmode=verify-full`.
    ///
    /// `sslmode` is as in PostgreSQL's own library: `disable`; `prefer`, the default, and
    /// `require`, which encrypt and believe any certificate; `verify-full`, which checks it
    /// against the system's authorities, or those of `sslrootcert=FILE`, and the host's name.
    /// `verify-ca` is not known. With `sslrootcert`, `require` checks as `verify-full` does.
    ///
    /// # Errors
    /// Tells what of the address is not understood, without repeating it.
    pub fn parse(address: &str) -> Result<Self, ConnectError> {
        let (rest, trust, mode) = split_trust(address)?;
        let mut config = Config::from_str(&rest)
            .map_err(|error| ConnectError::Address { fault: reason_of(&error) })?;
        if let Some(mode) = mode {
            config.ssl_mode(mode);
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(ConnectError::Address { fault: "it names no host".to_owned() });
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("jobwright");
        }
        config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(2);
        config.tcp_user_timeout(STATEMENT_TIMEOUT);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let schema = "jobwright".to_owned();
        Ok(Self { config, schema, trust, statement_timeout: STATEMENT_TIMEOUT })
    }

    /// Sets the password, which an address that others may see leaves out.
    pub fn password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// Tells whether there is a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Names the schema that holds the tables; `jobwright` if not named. It is made if it is not
    /// there. Several stores with different schemas share a database without touching each other.
    pub fn schema(mut self, name: &str) -> Self {
        name.clone_into(&mut self.schema);
        self
    }

    /// Sets how long the database may work on one statement, 30 seconds if not set. What takes
    /// longer is given up and may be tried again.
    pub fn statement_timeout(mut self, longest: Duration) -> Self {
        self.statement_timeout = longest;
        self
    }

    /// Connects, and makes the tables or brings them up to date.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(self) -> Result<PostgresStore, ConnectError> {
        PostgresStore::open(self).await
    }

    /// Names the database for people: user, host, port and name, never the password.
    pub(crate) fn place(&self) -> String {
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        let user = self.config.get_user().unwrap_or("the system's user");
        format!("database `{database}` at {} as `{user}`", self.hosts().join(", "))
    }

    fn hosts(&self) -> Vec<String> {
        let names = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let mut names: Vec<String> = names.collect();
        if names.is_empty() {
            names = self.config.get_hostaddrs().iter().map(ToString::to_string).collect();
        }
        let ports = self.config.get_ports();
        let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        names.iter().enumerate().map(|(n, name)| format!("`{name}:{}`", port(n))).collect()
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("place", &self.place())
            .field("schema", &self.schema)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A host that went away without a word is noticed after three of these.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// What the parser of addresses says, which names options but not their values.
fn reason_of(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Takes out of an address what says whom to trust: the database's client knows nothing of it.
fn split_trust(address: &str) -> Result<(String, Trust, Option<SslMode>), ConnectError> {
    let fault = |fault: &str| ConnectError::Address { fault: fault.to_owned() };
    if !address.starts_with("postgres://") && !address.starts_with("postgresql://") {
        return Err(fault("it does not begin with `postgres://`"));
    }
    let (base, query) = address.split_once('?').unwrap_or((address, ""));
    let (mut kept, mut root, mut mode) = (Vec::new(), None, "prefer");
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = value,
            Some(("sslrootcert", value)) => {
                let path = unescaped(value);
                root = Some(path.ok_or_else(|| fault("`sslrootcert` is not well escaped"))?);
            }
            _ => kept.push(pair),
        }
    }
    let (mode, trust) = match (mode, root) {
        ("disable", _) => (SslMode::Disable, Trust::Any),
        ("prefer", _) => (SslMode::Prefer, Trust::Any),
        ("require", None) => (SslMode::Require, Trust::Any),
        ("verify-full" | "require", Some(path)) => (SslMode::Require, Trust::File(path)),
        ("verify-full", None) => (SslMode::Require, Trust::System),
        _ => {
            return Err(fault(
                "`sslmode` is none of `disable`, `prefer`, `require`, `verify-full`",
            ));
        }
    };
    let rest = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    Ok((rest, trust, Some(mode)))
}

/// Resolves the `%20` of an address.
fn unescaped(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let code = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(code).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_never_shown() {
        let check = |address: &str, expect: &str| {
            let shown = match PostgresOptions::parse(address) {
                Ok(options) => format!("{options:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(shown.contains(expect), "{address}: {shown}");
            assert!(!shown.contains("hush"), "{shown}");
        };
        check("postgres://ann:hush@db:77/jobs", "database `jobs` at `db:77` as `ann`");
        check("postgres://ann:hush@a,b:6/jobs", "at `a:5432`, `b:6` as `ann`");
        check("postgres://ann:hush@db", "database `ann`");
        check("postgres://ann:hush@%2Frun%2Fpg/jobs", "at `/run/pg:5432`");
        check("postgres://ann:hush@db/jobs?sslmode=verify-full", "System");
        check("postgres://ann:hush@db/jobs?sslmode=require", "Any");
        check("postgres://ann:hush@db/jobs?sslrootcert=/a%20b&sslmode=verify-full", "\"/a b\"");
        check("postgres://ann:hush@db/jobs?sslmode=verify-ca", "`sslmode` is none of");
        check("postgres://ann:hush@db/jobs?sslrootcert=%4", "not well escaped");
        check("postgres://ann:hush@db/jobs?colour=hush", "the address is not understood");
        check("postgres://ann:hush@db:port/jobs", "invalid value for option `port`");
        check("mysql://ann:hush@db/jobs", "does not begin with `postgres://`");
        check("host=db password=hush", "does not begin with `postgres://`");
        check("postgres:///jobs?user=ann&password=hush", "it names no host");
    }
}
