//! The owner's token: made so that no crash can lose it.
//!
//! The file is complete and durable before the store knows the token's hash: written under another
//! name, synced, and only then given its own, which no file may have yet. Whoever dies in between
//! leaves a file whose token the store does not know, and the next start makes it known. A token
//! that is shown on a terminal is likewise shown first: dying before the store knows it leaves an
//! instance without tokens, and the next start shows another.
//!
//! ```text
//! draw ─▶ write, sync, name ─▶ the store knows its hash
//!     ✝ nothing       ✝ a token in the file that is made known at the next start
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jobwright_core::{Role, StoreError};
use jobwright_http::{Secret, SecretError};
use jobwright_scheduler::{Engine, TokenError};
use secrecy::SecretString;
use thiserror::Error;

/// The name of the token, for lists.
const NAME: &str = "the owner's token";

/// More bytes than a token's file may have.
const LONGEST: u64 = 4_096;

/// The bits of a mode that let anybody but the owner do something.
const OTHERS: u32 = 0o077;

/// Where the first token of an instance goes.
pub(crate) enum FirstToken<'a> {
    /// Into a file, for its owner alone.
    File(&'a Path),
    /// To whoever sees the terminal, once.
    Terminal(&'a mut (dyn Write + Send)),
    /// Nobody could get it.
    Nowhere,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub(crate) enum OwnerError {
    /// The instance has none, and nobody would get it.
    #[error(
        "the instance has no access token yet, and there is no terminal to show the first one on: name a file for it with `--token-file FILE`"
    )]
    Nowhere,
    /// The file cannot be read.
    #[error("cannot read the token file `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the token file `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the file `{}` holds no access token: name another file, or remove it", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: SecretError,
    },
    /// The file holds a token that the instance does not know, and the instance has others.
    #[error(
        "the token in `{}` is not one of this instance, or was revoked: name another file, or remove it to get a new one", .path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The terminal cannot be written to.
    #[error("the first access token cannot be shown")]
    Terminal(#[source] io::Error),
    /// No secret can be drawn.
    #[error("no access token can be drawn")]
    Draw(#[source] SecretError),
    /// It cannot be made.
    #[error("the access token cannot be made")]
    Token(#[from] TokenError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Sees to it that an instance without tokens gets its first one, an administrator's that never
/// ends. An instance that has some gets none, whatever the file holds.
pub(super) async fn first(engine: &Engine, to: FirstToken<'_>) -> Result<(), OwnerError> {
    if !engine.tokens().await?.is_empty() {
        if let FirstToken::File(path) = to
            && !path.exists()
        {
            let path = path.display();
            tracing::warn!(%path, "no token is written, for the instance has tokens already");
        }
        return Ok(());
    }
    let mut written = None;
    let secret = match to {
        FirstToken::File(path) => match read(path)? {
            Some(secret) => secret,
            None => {
                written = Some(path);
                write(path)?
            }
        },
        FirstToken::Terminal(terminal) => {
            let secret = Secret::draw().map_err(OwnerError::Draw)?;
            let shown = writeln!(
                terminal,
                "the first access token, which is shown only now: {}",
                secret.reveal()
            );
            shown.and_then(|()| terminal.flush()).map_err(OwnerError::Terminal)?;
            secret
        }
        FirstToken::Nowhere => return Err(OwnerError::Nowhere),
    };
    if engine.create_first_token(NAME, secret.hash()).await?.is_none() {
        tracing::warn!(
            "another server made the first access token at the same moment: the one that was shown or written here is void"
        );
        if let Some(path) = written {
            std::fs::remove_file(path)
                .map_err(|source| OwnerError::Write { path: path.to_owned(), source })?;
        }
    }
    Ok(())
}

/// Returns the token of a file, or writes a new one there: whoever may open the store may do
/// everything. A token that was revoked stays so.
pub(super) async fn ensure(engine: &Engine, file: &Path) -> Result<SecretString, OwnerError> {
    let secret = match read(file)? {
        Some(secret) if engine.token_of(secret.hash()).await?.is_some() => secret,
        Some(secret)
            if engine.tokens().await?.is_empty()
                && engine.create_first_token(NAME, secret.hash()).await?.is_some() =>
        {
            secret
        }
        Some(_) => return Err(OwnerError::Unknown { path: file.to_owned() }),
        None => {
            let secret = write(file)?;
            make_known(engine, &secret).await?;
            secret
        }
    };
    Ok(secret.reveal().to_owned().into())
}

async fn make_known(engine: &Engine, secret: &Secret) -> Result<(), OwnerError> {
    engine.create_token(NAME, Role::Admin, secret.hash(), None).await?;
    Ok(())
}

/// Reads the token of a file; none where there is no file.
fn read(path: &Path) -> Result<Option<Secret>, OwnerError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        let mode = file.metadata()?.permissions().mode();
        file.take(LONGEST).read_to_string(&mut text)?;
        Ok(mode)
    });
    match read {
        Ok(mode) if mode & OTHERS != 0 => {
            let path = path.display();
            tracing::warn!(%path, "others may read the token file: take it from them (chmod 600)");
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OwnerError::Read { path: path.to_owned(), source }),
    }
    let foreign = |source| OwnerError::Foreign { path: path.to_owned(), source };
    Secret::parse(text.trim()).map(Some).map_err(foreign)
}

/// Draws a token and writes it into a file that is not there yet.
fn write(path: &Path) -> Result<Secret, OwnerError> {
    let secret = Secret::draw().map_err(OwnerError::Draw)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let written = || -> io::Result<()> {
        // Temporary files are made with mode 0600.
        let mut file = tempfile::Builder::new().prefix(".jobwright-token-").tempfile_in(folder)?;
        writeln!(file, "{}", secret.reveal())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| OwnerError::Write { path: path.to_owned(), source })?;
    Ok(secret)
}

#[cfg(test)]
mod tests;
