//! What a program says: the log of its pod, read to its end, also over a broken connection.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use futures_util::stream;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::LogParams;
use tokio::io::AsyncRead;
use tokio::time::sleep;
use tokio_util::bytes::Bytes;
use tokio_util::io::StreamReader;

use crate::manifest::CONTAINER;

/// How often a broken connection is made anew before the rest is given up, and the first pause.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// The most bytes of the time that begins a line.
const LONGEST_TIME: usize = 64;

/// Opens the log of a pod, to the end of its program.
///
/// # Errors
/// As the API server answers.
pub(crate) async fn open(
    pods: Api<Pod>,
    pod: String,
) -> Result<impl AsyncRead + Send + Unpin + 'static, kube::Error> {
    let place = Place { pods, pod };
    let source = Some(place.connect(None).await?);
    let log = Log { place, lines: Lines::default(), source };
    let chunks = stream::unfold(Some(log), |log| async {
        let mut log = log?;
        match log.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(log))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(StreamReader::new(Box::pin(chunks)))
}

type Source = Pin<Box<dyn AsyncBufRead + Send>>;

struct Log {
    place: Place,
    lines: Lines,
    source: Option<Source>,
}

/// Whose log it is.
struct Place {
    pods: Api<Pod>,
    pod: String,
}

impl Place {
    async fn connect(&self, since_time: Option<Timestamp>) -> Result<Source, kube::Error> {
        let params = LogParams {
            container: Some(CONTAINER.to_owned()),
            follow: true,
            timestamps: true,
            since_time,
            ..LogParams::default()
        };
        Ok(Box::pin(self.pods.log_stream(&self.pod, &params).await?))
    }
}

impl Log {
    /// Reads on; nothing at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut tries = 0;
        loop {
            let Some(source) = &mut self.source else {
                sleep(PAUSE * 2u32.pow(tries)).await;
                self.source = match self.place.connect(self.lines.last).await {
                    Ok(source) => Some(source),
                    Err(error) if tries >= TRIES => return Err(io::Error::other(error)),
                    Err(_) => None,
                };
                tries += 1;
                continue;
            };
            match source.fill_buf().await {
                Ok([]) => return Ok(None),
                Ok(bytes) => {
                    let read = bytes.len();
                    let text = self.lines.take(bytes);
                    source.as_mut().consume(read);
                    if !text.is_empty() {
                        return Ok(Some(text.into()));
                    }
                }
                Err(error) if tries >= TRIES => return Err(error),
                Err(_) => {
                    self.lines.breaks();
                    self.source = None;
                }
            }
        }
    }
}

/// Takes the times off the lines, and leaves out lines that were there before the connection broke.
#[derive(Default)]
struct Lines {
    /// The time of the line, while it is read.
    time: Vec<u8>,
    /// The time has been read, and the rest of the line is.
    is_inside: bool,
    is_known: bool,
    /// The time of the last line that was handed on.
    last: Option<Timestamp>,
    /// Up to here lines are known.
    known: Option<Timestamp>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = line;
            if !self.is_inside {
                let end = rest.iter().position(|byte| *byte == b' ' || *byte == b'\n');
                let most = LONGEST_TIME.saturating_sub(self.time.len());
                let end = end.unwrap_or(rest.len());
                self.time.extend_from_slice(&rest[..end.min(most)]);
                let Some(after) = rest.get(end) else { continue };
                rest = if *after == b' ' { &rest[end + 1..] } else { &rest[end..] };
                self.begins();
            }
            if !self.is_known {
                text.extend_from_slice(rest);
            }
            self.is_inside = !rest.ends_with(b"\n");
        }
        text
    }

    fn begins(&mut self) {
        let time = std::mem::take(&mut self.time);
        let time = std::str::from_utf8(&time).ok().and_then(|it| it.parse::<Timestamp>().ok());
        self.is_known = time.is_some_and(|time| self.known.is_some_and(|known| time <= known));
        self.last = time.max(self.last);
    }

    /// The connection broke: the line that it broke in comes again, whole, and is left out.
    fn breaks(&mut self) {
        (self.known, self.is_inside) = (self.last, false);
        self.time.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_off_whatever_the_pieces() {
        let text = "2026-01-01T00:00:00.5Z one\n2026-01-01T00:00:01Z \n2026-01-01T00:00:02Z a b\n";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let read: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|it| lines.take(it)).collect();
            assert_eq!(String::from_utf8(read).unwrap(), "one\n\na b\n", "in pieces of {size}");
        }
    }

    #[test]
    fn a_connection_made_anew_repeats_nothing() {
        let mut lines = Lines::default();
        let read = lines.take(b"2026-01-01T00:00:00.25Z one\n2026-01-01T00:00:00.5Z t");
        assert_eq!(read, b"one\nt");
        lines.breaks();
        let read = lines.take(
            b"2026-01-01T00:00:00.25Z one\n2026-01-01T00:00:00.5Z two\n2026-01-01T00:00:00.75Z three\n",
        );
        // What the break cut off of a line is lost; the next line is whole.
        assert_eq!(read, b"three\n");
    }
}
