//! Parts of log files, each after the other. Where the last part ended is remembered, so that who
//! reads or follows a log to its end reads the file once, not once per part.
//!
//! The numbers of a log's lines have no holes, and the file is in their order as long as none is
//! seen: what is kept of a stream's end stands behind what the other stream said later. From there
//! on the log is read whole and sorted. While an attempt runs, what is kept of an end is not in the
//! file yet; who follows is not told of it once later lines were told.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jobwright_adapters::log::{LogEntry, LogError, LogReader, LogRecord, LogStream};
use jobwright_core::{AttemptId, GroupId};
use jobwright_http::LogLine;
use rustix::fs::OFlags;
use thiserror::Error;

/// So many readers' places are remembered; who is forgotten reads from the begin.
const PLACES: usize = 256;

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub(super) enum PageError {
    /// The file cannot be used.
    #[error("the file cannot be read")]
    File(#[from] io::Error),
    /// It holds something else.
    #[error("the file is no log")]
    Log(#[from] LogError),
}

/// The logs below some folders.
pub(super) struct Pages {
    roots: BTreeSet<PathBuf>,
    /// The latest last.
    places: Mutex<VecDeque<Place>>,
}

/// Where a part ended: its last line's number, and how far into the file that is.
#[derive(Debug, Clone, Copy)]
struct Place {
    attempt: AttemptId,
    after: u64,
    offset: u64,
}

impl Pages {
    pub(super) fn new(roots: BTreeSet<PathBuf>) -> Self {
        Self { roots, places: Mutex::default() }
    }

    /// Reads the lines after a number, in order, at most `limit`; none where there is no log.
    /// Blocks.
    pub(super) fn read(
        &self,
        group: GroupId,
        attempt: AttemptId,
        after: u64,
        limit: usize,
    ) -> Result<Option<Vec<LogLine>>, PageError> {
        let Some(mut file) = self.open(group, attempt)? else {
            return Ok(None);
        };
        let from = self.place(attempt, after);
        file.seek(SeekFrom::Start(from))?;
        let next = if from == 0 { 1 } else { after + 1 };
        if let Some((records, read)) = ordered(file.try_clone()?, next, after, limit)? {
            if let Some(last) = records.last() {
                let offset = from + length(&mut file, from, read)?;
                self.remember(Place { attempt, after: last.seq, offset });
            }
            return Ok(Some(records.into_iter().map(line).collect()));
        }
        file.rewind()?;
        let all = LogReader::from(file).filter(|it| it.as_ref().map_or(true, |it| it.seq > after));
        let mut records = all.collect::<Result<Vec<_>, _>>()?;
        records.sort_by_key(|record| record.seq);
        records.truncate(limit);
        Ok(Some(records.into_iter().map(line).collect()))
    }

    fn open(&self, group: GroupId, attempt: AttemptId) -> io::Result<Option<File>> {
        let below = format!("{group}/{attempt}/out.log");
        for root in &self.roots {
            match open(&root.join(&below)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened.map(Some),
            }
        }
        Ok(None)
    }

    fn place(&self, attempt: AttemptId, after: u64) -> u64 {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.iter().rev().find(|it| it.attempt == attempt && it.after == after);
        known.map_or(0, |place| place.offset)
    }

    fn remember(&self, place: Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|it| (it.attempt, it.after) != (place.attempt, place.after));
        if places.len() == PLACES {
            places.pop_front();
        }
        places.push_back(place);
    }
}

/// Opens a file and nothing else: programs may write into their folders, and could put a link or a
/// pipe in the log's place.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Reads records from where the file stands, where the one with the number `next` should be, and
/// how many were passed; nothing where a hole comes before there are enough.
fn ordered(
    file: File,
    next: u64,
    after: u64,
    limit: usize,
) -> Result<Option<(Vec<LogRecord>, usize)>, LogError> {
    let (mut records, mut read) = (Vec::new(), 0);
    for (record, number) in LogReader::from(file).zip(next..) {
        let record = record?;
        if record.seq != number {
            return Ok(None);
        }
        read += 1;
        if record.seq > after {
            records.push(record);
        }
        if records.len() == limit {
            break;
        }
    }
    Ok(Some((records, read)))
}

/// How many bytes so many records have: each is a line.
fn length(file: &mut File, from: u64, records: usize) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let (mut lines, mut bytes) = (BufReader::new(file), 0);
    for _ in 0..records {
        bytes += lines.skip_until(b'\n')? as u64;
    }
    Ok(bytes)
}

fn line(record: LogRecord) -> LogLine {
    let name = |stream| match stream {
        LogStream::Out => "out",
        LogStream::Err => "err",
    };
    let (stream, text) = match record.entry {
        LogEntry::Process(process) => ("engine", format!("process {process}")),
        LogEntry::Line { stream, text, .. } => (name(stream), text),
        LogEntry::Gap { stream, bytes } => {
            ("engine", format!("{bytes} bytes of stream `{}` are left out here", name(stream)))
        }
        LogEntry::End(end) => ("engine", end.to_string()),
    };
    LogLine::new(record.seq, record.at, stream, text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use jobwright_core::JobId;

    use super::*;

    /// Writes a log piece by piece; after each piece a reader reads on, `limit` lines at a time.
    fn check(pieces: &[&str], limit: usize, expect: &[u64]) {
        let root = tempfile::tempdir().unwrap();
        let (group, job) = (GroupId::new(33).unwrap(), JobId::new(68).unwrap());
        let attempt = AttemptId { job, number: 1 };
        let pages = Pages::new(BTreeSet::from([PathBuf::from("/nowhere"), root.path().into()]));
        assert!(pages.read(group, attempt, 0, limit).unwrap().is_none());
        let folder = root.path().join("33/68-1");
        std::fs::create_dir_all(&folder).unwrap();
        let mut log = File::create(folder.join("out.log")).unwrap();
        let mut found = Vec::new();
        for piece in pieces {
            log.write_all(piece.as_bytes()).unwrap();
            loop {
                let after = found.last().copied().unwrap_or(0);
                let page = pages.read(group, attempt, after, limit).unwrap().unwrap();
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                found.extend(page.iter().map(|line| line.seq));
            }
        }
        assert_eq!(found, expect, "{limit} of {pieces:?}");
        // Who asks for what was read before gets it again, as whoever asks for all at once.
        let read = |limit| pages.read(group, attempt, 1, limit).unwrap().unwrap();
        assert_eq!(read(2), read(100).into_iter().take(2).collect::<Vec<_>>());
    }

    #[test]
    fn only_a_file_is_a_log() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(open(&file).is_ok());
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open(&link).is_err());
        let pipe = root.path().join("pipe");
        let mode = rustix::fs::Mode::RWXU;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        assert!(open(&pipe).is_err());
        assert!(open(root.path()).is_err());
    }

    #[test]
    fn a_log_is_read_on_where_it_was_left() {
        let head = "+ 1 9 pid 1 start 2 boot b\no 2 9 a\n";
        let rest = ["e 3 9 b\nO 4 9 c", "\no 5 9 d\n", ". 6 9 exit 0\n"];
        for limit in [1, 2, 3, 100] {
            check(&[], limit, &[]);
            check(&[head], limit, &[1, 2]);
            check(&[head, rest[0], rest[1], rest[2]], limit, &[1, 2, 3, 4, 5, 6]);
            let gaps =
                "- 3 9 o 100\no 7 9 x\no 9 9 y\n- 4 9 e 50\ne 6 9 z\ne 8 9 w\n. 10 9 exit 0\n";
            check(&[&format!("{head}{gaps}")], limit, &[1, 2, 3, 4, 6, 7, 8, 9, 10]);
            check(&[head, gaps], limit, &[1, 2, 3, 4, 6, 7, 8, 9, 10]);
            // One stream is over its head and holds line 3 back; the other goes on.
            let held = format!("{head}e 4 9 z\no 3 9 x\no 5 9 y\n. 6 9 exit 0\n");
            check(&[&held], limit, &[1, 2, 3, 4, 5, 6]);
            check(&[head, "e 4 9 z\n", "o 3 9 x\n. 5 9 exit 0\n"], limit, &[1, 2, 4, 5]);
        }
    }
}
