//! The log of an attempt of a local process: one text file of one record per line, readable with
//! a pager, parseable by [`LogReader`].
//!
//! ```text
//! + 1 1760000000000 pid 4711 start 280003 boot 68fb60d5-7e73-42d1-b96d-1d99c3faf28b
//! o 2 1760000000000 a line of standard output
//! e 3 1760000000004 a line of standard error
//! O 4 1760000000004 the begin of a line longer than 64 KiB; `E` on standard error
//! o 5 1760000000004 its end
//! - 6 1760000000009 o 1048576       from here, so many bytes of a stream are left out
//! . 9000 1760000000321 exit 3       the end: always the last record
//! ```
//!
//! A record begins with its kind, a sequence number that both streams share, and milliseconds
//! since the Unix epoch. The first one says which process it is. Text is UTF-8, invalid bytes
//! replaced, control characters as they came; secrets are masked before anything is written. Each
//! stream keeps its head and its tail; a stream over its cap has a gap record in between. Tails
//! are written at the end, so only a log with gaps is not in the order of sequence numbers
//! throughout. A log without an end record is that of an attempt that still runs, or whose engine
//! died.

mod reader;
mod writer;

use std::fmt;
use std::str::FromStr;

use jobwright_core::Timestamp;

pub use reader::LogError;
pub use reader::LogReader;
pub(crate) use reader::last;
pub use reader::read;
pub(crate) use writer::LogWriter;

/// One record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its number, from 1, shared by both streams.
    pub seq: u64,
    /// When it was read.
    pub at: Timestamp,
    /// What it says.
    pub entry: LogEntry,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// The process began; always the first record. Its pid, its start time in ticks of the
    /// kernel, and the kernel's name of the boot.
    Process(String),
    /// A line, or a part of one.
    Line {
        /// Where the process wrote it.
        stream: LogStream,
        /// Without the line break.
        text: String,
        /// The line goes on in the next record of the stream.
        continues: bool,
    },
    /// A part of a stream is left out here.
    Gap {
        /// Which stream.
        stream: LogStream,
        /// How many bytes, line breaks included.
        bytes: u64,
    },
    /// The attempt ended.
    End(LogEnd),
}

/// Where a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How the process of an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// How its first process ended.
    pub process: ProcessEnd,
    /// It was asked to stop before.
    pub stopped: bool,
    /// It did not stop within its grace.
    pub killed: bool,
    /// It left processes behind that kept its output open; they were killed.
    pub leftovers: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself, with this code.
    Exit(i32),
    /// Through this signal.
    Signal(i32),
    /// Nobody saw it: the engine that was its parent died before.
    Unseen,
    /// It was killed because the engine let go of the attempt.
    Dropped,
}

impl LogEnd {
    /// An end without anything particular.
    #[must_use]
    pub fn plain(process: ProcessEnd) -> Self {
        Self { process, stopped: false, killed: false, leftovers: false }
    }
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            ProcessEnd::Exit(code) => write!(f, "exit {code}")?,
            ProcessEnd::Signal(number) => write!(f, "signal {number}")?,
            ProcessEnd::Unseen => f.write_str("unseen")?,
            ProcessEnd::Dropped => f.write_str("dropped")?,
        }
        let flags =
            [(self.stopped, "stopped"), (self.killed, "killed"), (self.leftovers, "leftovers")];
        flags.iter().filter(|(set, _)| *set).try_for_each(|(_, word)| write!(f, " {word}"))
    }
}

/// A text that is no end of a process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the end of a process")]
pub struct LogEndError(String);

impl FromStr for LogEnd {
    type Err = LogEndError;
    fn from_str(text: &str) -> Result<Self, LogEndError> {
        let refuse = || LogEndError(text.to_owned());
        let mut words = text.split(' ');
        let kind = words.next();
        let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or_else(refuse);
        let process = match kind {
            Some("exit") => ProcessEnd::Exit(number()?),
            Some("signal") => ProcessEnd::Signal(number()?),
            Some("unseen") => ProcessEnd::Unseen,
            Some("dropped") => ProcessEnd::Dropped,
            _ => return Err(refuse()),
        };
        let mut end = Self::plain(process);
        for word in words {
            match word {
                "stopped" => end.stopped = true,
                "killed" => end.killed = true,
                "leftovers" => end.leftovers = true,
                _ => return Err(refuse()),
            }
        }
        Ok(end)
    }
}
