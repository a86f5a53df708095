//! What a process says: two pipes in, masked lines out, to the log, the live log, the progress and
//! the tail of the error message. Memory is bounded whatever the process writes.

use std::collections::VecDeque;
use std::future::pending;

use jobwright_core::Attempt;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::clock::now;
use crate::log::{LogEnd, LogStream, LogWriter};
use crate::mask::Masker;

/// The most bytes of a line; the rest goes on in a further record.
const LONGEST_LINE: usize = 64 * 1024;

/// The most bytes that one read takes, as much as a pipe holds by default.
const READ: usize = 64 * 1024;

/// How much of the end of a stream an error message tells.
const TAIL_LINES: usize = 10;
const TAIL_BYTES: usize = 2048;

/// The capture of one attempt's output.
pub(crate) struct Capture {
    pub(crate) out: Source,
    pub(crate) err: Source,
    sink: Sink,
}

/// Where output is read from.
pub(crate) type Pipe = Box<dyn AsyncRead + Send + Unpin>;

/// One pipe and the bytes of it that are no whole line yet.
pub(crate) struct Source {
    stream: LogStream,
    pipe: Option<Pipe>,
    buffer: Vec<u8>,
    /// So many bytes of the buffer are known to hold no line break.
    searched: usize,
    next_read: usize,
    tail: Tail,
}

struct Sink {
    attempt: Attempt,
    masker: Masker,
    log: LogWriter,
}

impl Capture {
    pub(crate) fn new(
        attempt: Attempt,
        masker: Masker,
        log: LogWriter,
        out: Option<Pipe>,
        err: Option<Pipe>,
    ) -> Self {
        let (out, err) = (Source::new(LogStream::Out, out), Source::new(LogStream::Err, err));
        Self { out, err, sink: Sink { attempt, masker, log } }
    }

    /// Writes down which process it is.
    pub(crate) fn begin(&mut self, process: &str) {
        self.sink.log.at(now());
        self.sink.log.begin(process);
    }

    /// Tells whether both pipes are closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.out.pipe.is_none() && self.err.pipe.is_none()
    }

    /// Hands on what the last reads brought.
    pub(crate) fn take(&mut self) {
        self.sink.log.at(now());
        self.out.hand_on(&mut self.sink);
        self.err.hand_on(&mut self.sink);
        self.sink.log.flush();
        self.sink.attempt.heartbeat();
    }

    /// Writes the end of the log. Returns the end of what the process said, for people: of its
    /// standard error, or of its output if it said nothing there.
    pub(crate) fn end(mut self, end: LogEnd) -> (String, Masker) {
        self.sink.log.at(now());
        self.out.finish(&mut self.sink);
        self.err.finish(&mut self.sink);
        if self.sink.log.is_cut() {
            self.sink.attempt.log_cut();
        }
        self.sink.log.end(end);
        let tail = if self.err.tail.is_empty() { self.out.tail } else { self.err.tail };
        (tail.text(), self.sink.masker)
    }
}

impl Source {
    fn new(stream: LogStream, pipe: Option<Pipe>) -> Self {
        let (buffer, tail) = (Vec::new(), Tail::default());
        Self { stream, pipe, buffer, searched: 0, next_read: 4096, tail }
    }

    /// Reads what there is; never returns once the pipe is closed. Cancel safe.
    pub(crate) async fn fill(&mut self) {
        let Some(pipe) = &mut self.pipe else { return pending().await };
        self.buffer.reserve(self.next_read);
        match pipe.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(read) => self.next_read = (2 * read).clamp(4096, READ),
        }
    }

    fn hand_on(&mut self, sink: &mut Sink) {
        let mut begin = 0;
        while let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + at;
            sink.line(self.stream, &mut self.tail, &self.buffer[begin..end], false);
            (begin, self.searched) = (end + 1, end + 1);
        }
        while self.buffer.len() - begin > LONGEST_LINE {
            let long = &self.buffer[begin..begin + LONGEST_LINE];
            let cut = sink.masker.safe_cut(long);
            sink.line(self.stream, &mut self.tail, &long[..cut], true);
            begin += cut;
        }
        self.buffer.drain(..begin);
        self.searched = self.buffer.len();
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.hand_on(sink);
        if !self.buffer.is_empty() {
            sink.line(self.stream, &mut self.tail, &self.buffer, false);
        }
    }
}

impl Sink {
    fn line(&mut self, stream: LogStream, tail: &mut Tail, bytes: &[u8], continues: bool) {
        let masked = self.masker.mask(bytes);
        let text = String::from_utf8_lossy(&masked);
        self.log.line(stream, &text, continues);
        self.attempt.log(&text);
        tail.push(&text);
        if stream == LogStream::Out
            && let Some((percent, words)) = progress(&text)
        {
            self.attempt.progress(percent, words);
        }
    }
}

/// Reads `::progress 42 half of the rows`.
fn progress(line: &str) -> Option<(u8, &str)> {
    let rest = line.strip_prefix("::progress ")?.trim();
    let (percent, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let percent = percent.trim_end_matches('%').parse().ok()?;
    Some((percent, words.trim_start()))
}

/// The last lines of a stream.
#[derive(Default)]
pub(crate) struct Tail(VecDeque<String>);

impl Tail {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, line: &str) {
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let mut text = if self.0.len() < TAIL_LINES {
            String::new()
        } else {
            self.0.pop_front().unwrap_or_default()
        };
        text.clear();
        // Of a long line the end is kept, where the reason usually stands.
        let mut begin = line.len().saturating_sub(TAIL_BYTES);
        while !line.is_char_boundary(begin) {
            begin += 1;
        }
        text.push_str(&line[begin..]);
        self.0.push_back(text);
    }

    pub(crate) fn text(self) -> String {
        let mut lines: Vec<_> = self.0.into();
        while lines.iter().map(|line| line.len() + 1).sum::<usize>() > TAIL_BYTES && lines.len() > 1
        {
            lines.remove(0);
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_line_of_its_own_form() {
        let check = |line: &str, expect: Option<(u8, &str)>| assert_eq!(progress(line), expect);
        check("::progress 42 half of the rows", Some((42, "half of the rows")));
        check("::progress 42%  words ", Some((42, "words")));
        check("::progress 100", Some((100, "")));
        check("::progress much", None);
        check("::progress 300 too much", None);
        check(" ::progress 42", None);
        check("progress 42", None);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = Tail::default();
        for n in 0..1000 {
            tail.push(&format!("line {n}"));
            tail.push("");
        }
        tail.push(&"é".repeat(700));
        let text = tail.text();
        assert!(text.starts_with("line 991\n") && text.len() <= TAIL_BYTES, "{text}");
        let mut tail = Tail::default();
        tail.push(&format!("x{}", "é".repeat(5000)));
        assert_eq!(tail.text().len(), TAIL_BYTES);
    }
}
