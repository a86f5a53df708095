//! What drivers and engines tell each other through an attempt's folder: whose the attempt is, how
//! it ended, that it should stop. `launcher.py` is the other side.
//!
//! ```text
//! attempt.json  of which life of the engine it is, and which driver the engine was given for it
//! task.json     what to run
//! claim.json    who has the attempt: the driver that came first, or the engine, who withdrew it
//! stop.json     the engine asks the program to stop
//! end.json      how the program ended, once it did
//! ```
//!
//! The last three are made by a link, whole or not at all, and never changed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

pub(crate) const LAUNCHER: &str = "launcher.py";
pub(crate) const OUT: &str = "out.txt";
pub(crate) const ERR: &str = "err.txt";
const TASK: &str = "task.json";
const ATTEMPT: &str = "attempt.json";
const CLAIM: &str = "claim.json";
const STOP: &str = "stop.json";
const END: &str = "end.json";

/// The program that drivers run.
const PROGRAM: &str = include_str!("launcher.py");

/// The most bytes of one of these files.
const MOST: u64 = 64 * 1024;

/// The folder of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    folder: PathBuf,
    /// What tells the attempt from a namesake of another life.
    mark: String,
}

/// What a launcher is asked to run.
#[derive(Debug, Serialize)]
pub(crate) struct Task<'a> {
    /// Tells this folder from another one of the same name.
    pub(crate) token: &'a str,
    pub(crate) command: &'a [String],
    pub(crate) class: Option<&'a str>,
    pub(crate) environment: std::collections::BTreeMap<String, String>,
    pub(crate) stdin: PathBuf,
    /// In seconds.
    pub(crate) time: Option<f64>,
}

/// Whose an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody's: the driver that comes first will have it.
    Open,
    /// This driver's.
    Driver(String),
    /// The engine's: no driver will have it any more.
    Withdrawn,
}

/// How a program ended, as its launcher saw it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    Exit(i32),
    Signal(i32),
    /// It could not be started: why.
    Unstarted(String),
    /// It took longer than it asked for.
    Late(bool),
}

/// What is in the folder about who has the attempt and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The driver that the engine was given for it.
    pub(crate) driver: Option<String>,
    pub(crate) claim: Claim,
    pub(crate) end: Option<Ending>,
}

#[derive(Serialize, Deserialize)]
struct Name {
    #[serde(default)]
    driver: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Own {
    mark: String,
    driver: Option<String>,
}

impl Desk {
    pub(crate) fn new(folder: &Path, mark: String) -> Self {
        Self { folder: folder.to_owned(), mark }
    }

    pub(crate) fn launcher(&self) -> PathBuf {
        self.folder.join(LAUNCHER)
    }

    /// Returns what tells this folder from one of the same name that was here before.
    pub(crate) fn token(&self) -> io::Result<String> {
        let made = fs::metadata(&self.folder)?;
        Ok(format!("{}-{}-{}", made.dev(), made.ino(), made.ctime_nsec()))
    }

    /// Puts down what drivers run.
    pub(crate) fn furnish(&self, task: &Task<'_>) -> io::Result<()> {
        fs::write(self.launcher(), PROGRAM)?;
        fs::write(self.folder.join(TASK), serde_json::to_vec(task)?)?;
        self.note(None)
    }

    /// Writes down which driver the engine was given.
    pub(crate) fn hand_to(&self, driver: &str) -> io::Result<()> {
        self.note(Some(driver.to_owned()))
    }

    fn note(&self, driver: Option<String>) -> io::Result<()> {
        let own = Own { mark: self.mark.clone(), driver };
        let path = self.folder.join(ATTEMPT);
        self.draft(&own)?.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Reads what is there. What another life left is as if it were not.
    pub(crate) fn look(&self) -> io::Result<Seen> {
        let own = self.read::<Own>(ATTEMPT)?.filter(|own| own.mark == self.mark);
        let Some(Own { driver, .. }) = own else {
            return Ok(Seen { driver: None, claim: Claim::Open, end: None });
        };
        Ok(Seen { driver, claim: self.claim()?, end: self.read(END)? })
    }

    /// Takes the attempt away from drivers that have not come yet, and tells who has it now.
    pub(crate) fn withdraw(&self) -> io::Result<Claim> {
        let own = self.read::<Own>(ATTEMPT)?.filter(|own| own.mark == self.mark);
        if own.is_none() {
            // It was never handed over: that is written down before.
            return Ok(Claim::Withdrawn);
        }
        self.put(CLAIM, &Name { driver: None })?;
        self.claim()
    }

    /// Nobody waits for the attempt any more. Where its driver is out of reach of its master it
    /// still sees this.
    pub(crate) fn give_up(&self) -> io::Result<()> {
        match self.look()? {
            Seen { claim: Claim::Driver(_), end: None, .. } => self.ask_to_stop(Duration::ZERO),
            Seen { .. } => Ok(()),
        }
    }

    /// Asks the program to stop, once.
    pub(crate) fn ask_to_stop(&self, grace: Duration) -> io::Result<()> {
        self.put(STOP, &serde_json::json!({ "grace": grace.as_secs_f64() }))
    }

    /// Opens what the program said; nothing where it said nothing.
    pub(crate) fn said(&self, stream: &str) -> io::Result<Option<File>> {
        self.open(stream)
    }

    /// Removes what only the driver needed, and what is kept elsewhere by now.
    pub(crate) fn clear(&self) {
        for name in [LAUNCHER, TASK, OUT, ERR] {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    fn claim(&self) -> io::Result<Claim> {
        Ok(match self.read::<Name>(CLAIM)? {
            None => Claim::Open,
            Some(Name { driver: Some(driver) }) => Claim::Driver(driver),
            Some(Name { driver: None }) => Claim::Withdrawn,
        })
    }

    /// Makes a file whole, unless there is one.
    fn put(&self, name: &str, document: &impl Serialize) -> io::Result<()> {
        let draft = self.draft(document)?;
        match fs::hard_link(draft.path(), self.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    }

    fn draft(&self, document: &impl Serialize) -> io::Result<NamedTempFile> {
        let draft = tempfile::Builder::new().prefix(".draft.").tempfile_in(&self.folder)?;
        draft.as_file().write_all(&serde_json::to_vec(document)?)?;
        draft.as_file().sync_all()?;
        Ok(draft)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> io::Result<Option<T>> {
        let Some(file) = self.open(name)? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text)?;
        let document = serde_json::from_slice(&text);
        if let Err(error) = &document {
            tracing::warn!(%error, file = %self.folder.join(name).display(), "a file cannot be read");
        }
        Ok(document.ok())
    }

    /// Opens a file. One that the program has replaced counts as missing: a pipe would block, a
    /// link leads elsewhere.
    fn open(&self, name: &str) -> io::Result<Option<File>> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let path = self.folder.join(name);
        match File::options().read(true).custom_flags(flags).open(&path) {
            Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
                Some(_) | None => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_withdrawn_unless_a_driver_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::new(folder.path(), "a".into());
        // Nothing was handed over yet.
        assert_eq!(desk.withdraw().unwrap(), Claim::Withdrawn);
        assert!(!folder.path().join(CLAIM).exists());
        desk.hand_to("driver-7").unwrap();
        assert_eq!(desk.look().unwrap().claim, Claim::Open);
        assert_eq!(desk.withdraw().unwrap(), Claim::Withdrawn);
        assert_eq!(desk.withdraw().unwrap(), Claim::Withdrawn);
        fs::write(folder.path().join(CLAIM), r#"{"driver": "driver-7"}"#).unwrap();
        assert_eq!(desk.withdraw().unwrap(), Claim::Driver("driver-7".into()));
        // Of another life nothing is believed, and nothing is changed.
        let namesake = Desk::new(folder.path(), "b".into());
        let nothing = Seen { driver: None, claim: Claim::Open, end: None };
        assert_eq!(namesake.look().unwrap(), nothing);
        assert_eq!(namesake.withdraw().unwrap(), Claim::Withdrawn);
        let gone = Desk::new(&folder.path().join("gone"), "a".into());
        assert_eq!(gone.withdraw().unwrap(), Claim::Withdrawn);
        assert_eq!(gone.look().unwrap(), nothing);
    }

    #[test]
    fn what_a_launcher_writes_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::new(folder.path(), "a".into());
        desk.hand_to("driver-7").unwrap();
        let check = |text: &str, expect: Ending| {
            fs::write(folder.path().join(END), text).unwrap();
            let seen = desk.look().unwrap();
            assert_eq!((seen.driver.as_deref(), seen.end), (Some("driver-7"), Some(expect)));
        };
        check(r#"{"exit": 3}"#, Ending::Exit(3));
        check(r#"{"signal": 9}"#, Ending::Signal(9));
        check(r#"{"unstarted": "no"}"#, Ending::Unstarted("no".into()));
        check(r#"{"late": true}"#, Ending::Late(true));
        fs::remove_file(folder.path().join(END)).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join(END)).unwrap();
        assert_eq!(desk.look().unwrap().end, None);
    }
}
