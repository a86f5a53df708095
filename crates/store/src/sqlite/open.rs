//! Opening the file: who may, what it must be, and how its connections are set up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use thiserror::Error;

use super::schema;

/// Why a store cannot be opened. Nothing was changed, except that an empty file may be there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder is not there. It is not made: it may be a disk that is not mounted.
    #[error("the folder `{}` does not exist, make it first", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be opened, made or read.
    #[error("cannot use the file `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another store has the file open.
    #[error("`{}` is in use by {holder}, stop it first", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// The file is something else.
    #[error("`{}` is not a jobwright database, choose another path", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the file.
    #[error("`{}` has format {found}, this version knows formats up to {known}: update it", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: i64,
        /// The newest format that this version knows.
        known: usize,
    },
    /// The tables were made by other statements than those of this version.
    #[error("`{}` says format {format}, but other statements made it", .path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The format whose statements differ.
        format: i64,
    },
    /// The file system cannot share memory between connections, as network file systems cannot.
    #[error("the file system of `{}` cannot hold a database with a log, use a local disk", .path.display())]
    FileSystem {
        /// The file.
        path: PathBuf,
    },
    /// The database failed.
    #[error("cannot open the database `{}`", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    pub(super) fn database(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::Foreign { path: path.to_owned() },
            _ => Self::Database { path: path.to_owned(), source: Box::new(source) },
        }
    }
}

/// The right to be the only store on a file. Given back when dropped, or when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock file beside the database, which stays there: who removes it could give the
    /// right to two.
    fn take(path: &Path) -> Result<Self, OpenError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        let failed = |source| OpenError::File { path: beside.clone(), source };
        let mut file = private().create(true).truncate(false).open(&beside).map_err(failed)?;
        match patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { path: path.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let named = file.set_len(0).and_then(|()| file.rewind());
        named.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Takes the lock, with some patience: a process that an engine was just starting holds a copy of
/// the engine's lock until its program has begun, also when the engine is gone by then.
#[expect(clippy::disallowed_methods, reason = "opening blocks, and nobody tells when a lock ends")]
fn patiently(file: &File) -> Result<(), TryLockError> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(25)),
            done => return done,
        }
    }
    file.try_lock()
}

/// Who has the lock, for people: what a lock file says may be old or torn.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) if text.trim().parse::<u32>().is_ok() => format!("process {}", text.trim()),
        _ => "another process".to_owned(),
    }
}

/// Opens files that nobody else may read: payloads may hold what is not for everybody.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the file if it is not there, takes the lock, and brings the tables up to date.
pub(super) fn claim_file(
    path: &Path,
    setup: &Setup,
) -> Result<(PathBuf, FileLock, Connection), OpenError> {
    let path = make(path)?;
    let lock = FileLock::take(&path)?;
    let mut connection = connect(&path)?;
    schema::migrate(&mut connection, &path)?;
    setup.writer(&connection).map_err(|source| OpenError::database(&path, source))?;
    Ok((path, lock, connection))
}

/// Makes the file if it is not there, and follows links, so that two names of one file have one
/// lock.
fn make(path: &Path) -> Result<PathBuf, OpenError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(OpenError::Folder { path: folder.to_owned() });
    }
    let made = private().create(true).truncate(false).open(path);
    made.and_then(|_| fs::canonicalize(path))
        .map_err(|source| OpenError::File { path: path.to_owned(), source })
}

/// Opens a connection that only reads.
pub(super) fn connect_reader(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path)?;
    let set = connection.pragma_update(None, "query_only", true);
    set.map_err(|source| OpenError::database(path, source))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        // Without it a statement on a table with partial indexes is prepared anew each time.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError::database(path, source))
}

/// How long to wait for another program, such as a shell or a backup, that has the database for a
/// moment.
const BUSY: Duration = Duration::from_secs(5);

/// How the writing connection is set up.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// Whether commits wait for the disk.
    pub(super) synced: bool,
    /// The most bytes that the database may have.
    pub(super) limit: Option<u64>,
}

impl Setup {
    fn writer(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let synchronous = if self.synced { "full" } else { "normal" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", 2 * CHECKPOINT_PAGES * 4096)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        if let Some(limit) = self.limit {
            let size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            let pages = i64::try_from(limit).unwrap_or(i64::MAX) / size;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// How many pages of 4 KiB the log gathers before they are copied into the database. SQLite's own
/// 1,000 would be reached every few commits, and each copy is a sync and random writes.
const CHECKPOINT_PAGES: i64 = 8_000;

/// The writer's page cache: the last pages of some 10,000 journals' index, and the catalog.
const CACHE_KIB: i64 = 64 * 1024;
