//! Writes the log of an attempt, bounded. A log that cannot be written never changes how the
//! attempt ends: the first error is reported, the rest of the log is lost.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;

use jobwright_core::Timestamp;

use super::{LogEnd, LogStream, ProcessEnd};

/// The most bytes of a stream's tail that are held in memory until the end.
const MOST_TAIL: usize = 1024 * 1024;

/// Roughly what a record needs beside its text.
const OVERHEAD: usize = 32;

/// Writes records. If it is dropped before [`LogWriter::end`], the log ends with `dropped`.
pub(crate) struct LogWriter {
    file: Option<File>,
    pending: Vec<u8>,
    seq: u64,
    now: Timestamp,
    streams: [Bounded; 2],
    ended: bool,
}

/// One stream: first its head is written, then a tail of bounded size is held.
struct Bounded {
    stream: LogStream,
    head_left: usize,
    over: bool,
    tail: VecDeque<Held>,
    tail_bytes: usize,
    tail_most: usize,
    dropped: u64,
    first_dropped: Option<(u64, Timestamp)>,
}

struct Held {
    seq: u64,
    at: Timestamp,
    continues: bool,
    text: Box<str>,
}

impl LogWriter {
    /// Takes an empty file; `cap` is the most bytes of each stream that are kept, roughly.
    pub(crate) fn new(file: File, cap: usize) -> Self {
        let tail_most = (cap / 2).min(MOST_TAIL);
        let streams = [LogStream::Out, LogStream::Err].map(|stream| Bounded {
            stream,
            head_left: cap - tail_most,
            over: false,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_most,
            dropped: 0,
            first_dropped: None,
        });
        let now = Timestamp::default();
        Self { file: Some(file), pending: Vec::new(), seq: 0, now, streams, ended: false }
    }

    /// Goes on with a log that another engine began, after its record `last`.
    pub(crate) fn resume(file: File, last: u64) -> Self {
        let mut log = Self::new(file, 0);
        log.seq = last;
        log
    }

    /// Sets the time of the records that follow.
    pub(crate) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Writes which process it is.
    pub(crate) fn begin(&mut self, process: &str) {
        self.seq += 1;
        let (seq, at) = (self.seq, self.now.as_millis());
        self.pending.extend_from_slice(format!("+ {seq} {at} {process}\n").as_bytes());
        self.flush();
    }

    /// Adds a line, or a part of one; it is written with the next [`LogWriter::flush`].
    pub(crate) fn line(&mut self, stream: LogStream, text: &str, continues: bool) {
        self.seq += 1;
        let (seq, at) = (self.seq, self.now);
        let bounded = &mut self.streams[usize::from(stream == LogStream::Err)];
        if !bounded.over && text.len() + OVERHEAD <= bounded.head_left {
            bounded.head_left -= text.len() + OVERHEAD;
            put_line(&mut self.pending, stream, seq, at, text, continues);
            return;
        }
        bounded.over = true;
        bounded.hold(Held { seq, at, continues, text: text.into() });
    }

    /// Hands what was added to the operating system.
    pub(crate) fn flush(&mut self) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(&self.pending) {
            tracing::warn!(%error, "the log of an attempt is cut short");
            self.file = None;
        }
        self.pending.clear();
        self.pending.shrink_to(64 * 1024);
    }

    /// Tells whether something of it is not kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.streams.iter().any(|stream| stream.first_dropped.is_some())
    }

    /// Writes the tails and the end record.
    pub(crate) fn end(mut self, end: LogEnd) {
        self.close(end);
    }

    fn close(&mut self, end: LogEnd) {
        self.ended = true;
        let mut held = Vec::new();
        for bounded in &mut self.streams {
            if let Some((seq, at)) = bounded.first_dropped {
                let letter = letter(bounded.stream, false);
                let gap = format!("- {seq} {} {letter} {}\n", at.as_millis(), bounded.dropped);
                self.pending.extend_from_slice(gap.as_bytes());
            }
            let stream = bounded.stream;
            held.extend(bounded.tail.drain(..).map(|held| (held.seq, stream, held)));
        }
        held.sort_unstable_by_key(|(seq, ..)| *seq);
        for (seq, stream, line) in held {
            put_line(&mut self.pending, stream, seq, line.at, &line.text, line.continues);
        }
        let (seq, at) = (self.seq + 1, self.now.as_millis());
        self.pending.extend_from_slice(format!(". {seq} {at} {end}\n").as_bytes());
        self.flush();
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.close(LogEnd::plain(ProcessEnd::Dropped));
        }
    }
}

impl Bounded {
    fn hold(&mut self, line: Held) {
        self.tail_bytes += line.text.len() + OVERHEAD;
        self.tail.push_back(line);
        while self.tail_bytes > self.tail_most {
            let Some(gone) = self.tail.pop_front() else { break };
            self.tail_bytes -= gone.text.len() + OVERHEAD;
            self.dropped += gone.text.len() as u64 + u64::from(!gone.continues);
            self.first_dropped.get_or_insert((gone.seq, gone.at));
        }
    }
}

fn put_line(
    to: &mut Vec<u8>,
    stream: LogStream,
    seq: u64,
    at: Timestamp,
    text: &str,
    continues: bool,
) {
    let letter = letter(stream, continues);
    to.extend_from_slice(format!("{letter} {seq} {} ", at.as_millis()).as_bytes());
    to.extend_from_slice(text.as_bytes());
    to.push(b'\n');
}

fn letter(stream: LogStream, continues: bool) -> char {
    match (stream, continues) {
        (LogStream::Out, false) => 'o',
        (LogStream::Out, true) => 'O',
        (LogStream::Err, false) => 'e',
        (LogStream::Err, true) => 'E',
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogEntry, LogReader, LogRecord, read};
    use super::*;

    fn records(cap: usize, write: impl FnOnce(&mut LogWriter)) -> (Vec<LogRecord>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.log");
        let mut log = LogWriter::new(File::create(&path).unwrap(), cap);
        write(&mut log);
        log.end(LogEnd { killed: true, ..LogEnd::plain(ProcessEnd::Signal(9)) });
        let reader: LogReader = read(&path).unwrap();
        (reader.map(Result::unwrap).collect(), path.metadata().unwrap().len())
    }

    #[test]
    fn a_log_reads_back_as_it_was_written() {
        let (records, _) = records(1024, |log| {
            log.at(Timestamp::from_millis(7));
            log.line(LogStream::Out, "a  b\tc\r", true);
            log.line(LogStream::Err, "", false);
            log.flush();
        });
        let line = |stream, text: &str, continues| LogEntry::Line {
            stream,
            text: text.to_owned(),
            continues,
        };
        let entries: Vec<_> = records.into_iter().map(|record| record.entry).collect();
        let end = LogEnd { killed: true, ..LogEnd::plain(ProcessEnd::Signal(9)) };
        let expect = [
            line(LogStream::Out, "a  b\tc\r", true),
            line(LogStream::Err, "", false),
            LogEntry::End(end),
        ];
        assert_eq!(entries, expect);
    }

    #[test]
    fn head_and_tail_are_kept_and_the_gap_is_told() {
        let text = "x".repeat(68);
        let (records, size) = records(2000, |log| {
            for n in 0..1000 {
                log.line(LogStream::Out, &format!("{text}{n:>4}"), false);
                log.line(LogStream::Err, if n == 500 { "once" } else { "" }, false);
            }
        });
        assert!(size < 2 * 2000 + 500, "{size} bytes");
        let (mut kept, mut gap) = (0, 0);
        for record in &records {
            match &record.entry {
                LogEntry::Line { stream: LogStream::Out, text, .. } => {
                    kept += text.len() as u64 + 1;
                }
                LogEntry::Gap { stream: LogStream::Out, bytes } => gap += bytes,
                _ => {}
            }
        }
        assert_eq!(kept + gap, 73 * 1000, "every byte is kept or counted");
        let shown: Vec<_> = records.iter().map(|record| record.seq).collect();
        assert_eq!(shown[0], 1);
        assert!(records.iter().any(|record| matches!(&record.entry,
            LogEntry::Line { text, .. } if text.ends_with(" 999"))));
        assert!(matches!(records.last().unwrap().entry, LogEntry::End(_)));
    }

    #[test]
    fn a_dropped_writer_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.log");
        drop(LogWriter::new(File::create(&path).unwrap(), 100));
        let last = super::super::last(&mut File::open(&path).unwrap()).unwrap().unwrap();
        assert_eq!(last.entry, LogEntry::End(LogEnd::plain(ProcessEnd::Dropped)));
    }
}
