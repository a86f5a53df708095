//! Reads the log of an attempt, finished or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use jobwright_core::Timestamp;
use thiserror::Error;

use super::{LogEntry, LogRecord, LogStream};

/// More bytes than a record can have: a line, three times as long where its bytes were invalid,
/// and what stands before it.
const LONGEST_RECORD: i64 = 256 * 1024;

/// Opens a log.
///
/// # Errors
/// As opening a file does.
pub fn read(path: impl AsRef<Path>) -> io::Result<LogReader> {
    Ok(File::open(path)?.into())
}

impl From<File> for LogReader {
    /// Reads from where the file stands.
    fn from(file: File) -> Self {
        Self { lines: BufReader::new(file), number: 0 }
    }
}

/// The records of a log, in the order in which they were written. Ends before a record that is
/// not yet written in full, so a log can be read while the attempt runs.
#[derive(Debug)]
pub struct LogReader {
    lines: BufReader<File>,
    number: u64,
}

/// A log that cannot be read on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be read.
    #[error("the log cannot be read after line {after}")]
    Io {
        /// The last line that was read.
        after: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no record.
    #[error("line {line} of the log is no record")]
    Malformed {
        /// Which line, from 1.
        line: u64,
    },
}

impl Iterator for LogReader {
    type Item = Result<LogRecord, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        if let Err(source) = self.lines.read_until(b'\n', &mut line) {
            return Some(Err(LogError::Io { after: self.number, source }));
        }
        if line.pop() != Some(b'\n') {
            return None;
        }
        self.number += 1;
        let record = parse(&String::from_utf8_lossy(&line));
        Some(record.ok_or(LogError::Malformed { line: self.number }))
    }
}

fn parse(line: &str) -> Option<LogRecord> {
    let mut parts = line.splitn(4, ' ');
    let kind = parts.next()?;
    let seq = parts.next()?.parse().ok()?;
    let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let text = parts.next()?;
    let entry = match kind {
        "+" => LogEntry::Process(text.to_owned()),
        "-" => {
            let (stream, bytes) = text.split_once(' ')?;
            let stream = if stream == "o" { LogStream::Out } else { LogStream::Err };
            LogEntry::Gap { stream, bytes: bytes.parse().ok()? }
        }
        "." => LogEntry::End(text.parse().ok()?),
        "o" | "O" | "e" | "E" => LogEntry::Line {
            stream: if kind.eq_ignore_ascii_case("o") { LogStream::Out } else { LogStream::Err },
            text: text.to_owned(),
            continues: kind.chars().all(char::is_uppercase),
        },
        _ => return None,
    };
    Some(LogRecord { seq, at, entry })
}

/// Returns the last record of a log, if it is written in full.
pub(crate) fn last(file: &mut File) -> io::Result<Option<LogRecord>> {
    let length = i64::try_from(file.seek(SeekFrom::End(0))?).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(LONGEST_RECORD)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if tail.pop() != Some(b'\n') {
        return Ok(None);
    }
    let begin = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(parse(&String::from_utf8_lossy(&tail[begin..])))
}
