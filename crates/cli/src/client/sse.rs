//! Streams of events: read as they come, and taken up again where they broke off.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::Value;

use super::Client;
use crate::exit::Failure;

/// How often in a row a stream is taken up again without anything coming of it, and how long it
/// is waited before; the pause grows with every time.
const MOST_TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(500);

/// The longest line of a stream.
const MOST_BYTES: usize = 4 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerEvent {
    /// Where a reader that comes back goes on.
    pub(crate) id: Option<String>,
    /// What sort of event.
    pub(crate) name: String,
    /// What it says.
    pub(crate) data: Value,
}

/// Where a reader of a stream is.
struct Reader<'c> {
    client: &'c Client,
    path: String,
    last: Option<String>,
    open: Option<BoxStream<'c, Result<ServerEvent, Failure>>>,
    tries: u32,
    ended: bool,
}

impl Client {
    /// Reads a stream to its end: until what is followed is over. It is taken up again where the
    /// server, or the way to it, broke off.
    pub(crate) fn follow(&self, path: String) -> BoxStream<'_, Result<ServerEvent, Failure>> {
        let reader = Reader { client: self, path, last: None, open: None, tries: 0, ended: false };
        stream::try_unfold(reader, |mut reader| async move {
            let event = reader.next().await?;
            Ok(event.map(|event| (event, reader)))
        })
        .boxed()
    }

    /// Opens a stream once.
    async fn stream(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<BoxStream<'_, Result<ServerEvent, Failure>>, Failure> {
        let mut request = self.request(Method::GET, path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = self.send(request).await?;
        let bytes = answer.bytes_stream().map_err(|error| self.unreachable(&error));
        Ok(events(bytes).boxed())
    }
}

impl Reader<'_> {
    async fn next(&mut self) -> Result<Option<ServerEvent>, Failure> {
        while !self.ended {
            let opened = match self.open.take() {
                Some(open) => Ok(open),
                None => self.client.stream(&self.path, self.last.as_deref()).await,
            };
            let failure = match opened {
                Ok(mut open) => match open.next().await {
                    Some(Ok(event)) => {
                        let goes_on = self.take(&event);
                        self.open = goes_on.then_some(open);
                        if event.name == "bye" && !self.ended {
                            continue;
                        }
                        return Ok(Some(event));
                    }
                    Some(Err(failure)) => Some(failure),
                    None => None,
                },
                Err(failure) if passes(&failure) => Some(failure),
                Err(failure) => return Err(failure),
            };
            self.pause(failure).await?;
        }
        Ok(None)
    }

    /// Remembers where the reader is. Says whether this stream goes on.
    fn take(&mut self, event: &ServerEvent) -> bool {
        if event.name == "bye" {
            self.ended = event.data["reason"] == "ended";
            return false;
        }
        self.tries = 0;
        if event.id.is_some() {
            self.last.clone_from(&event.id);
        }
        true
    }

    async fn pause(&mut self, failure: Option<Failure>) -> Result<(), Failure> {
        self.tries += 1;
        if self.tries > MOST_TRIES {
            return Err(failure.unwrap_or_else(|| Failure::Unreachable {
                server: self.client.base.clone(),
                reason: "the stream of events ends again and again".to_owned(),
            }));
        }
        tokio::time::sleep(PAUSE * self.tries).await;
        Ok(())
    }
}

/// Whether it may be over by itself.
fn passes(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { .. } => true,
        Failure::Refused(problem) => {
            matches!(problem["status"].as_u64(), Some(408 | 429 | 502 | 503 | 504))
        }
        _ => false,
    }
}

/// Cuts bytes into events.
fn events<B: AsRef<[u8]>>(
    bytes: impl Stream<Item = Result<B, Failure>> + Send,
) -> impl Stream<Item = Result<ServerEvent, Failure>> + Send {
    let mut parser = Parser::default();
    bytes
        .map(move |chunk| {
            let found: Vec<_> = match chunk {
                Ok(chunk) => match parser.push(chunk.as_ref()) {
                    Ok(events) => events.into_iter().map(Ok).collect(),
                    Err(failure) => vec![Err(failure)],
                },
                Err(failure) => vec![Err(failure)],
            };
            stream::iter(found)
        })
        .flatten()
}

/// What is known of the event that is being read.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    name: String,
    data: String,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, Failure> {
        let mut found = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    let line = String::from_utf8_lossy(&line);
                    found.extend(self.line(line.trim_end_matches('\r')));
                }
                _ if self.line.len() >= MOST_BYTES => {
                    let text = "a line of the stream has more than 4 MiB";
                    return Err(anyhow::anyhow!(text).into());
                }
                byte => self.line.push(*byte),
            }
        }
        Ok(found)
    }

    fn line(&mut self, line: &str) -> Option<ServerEvent> {
        if line.is_empty() {
            let (id, name) = (self.id.take(), std::mem::take(&mut self.name));
            let data = std::mem::take(&mut self.data);
            if data.is_empty() {
                return None;
            }
            let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
            return Some(ServerEvent { id, name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments keep the connection alive; how long to pause is decided here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_cut_wherever_the_chunks_end() {
        let text = ": alive\n\nid: 7\nevent: job\nretry: 2000\ndata: {\"seq\":7}\n\r\n\
                    event: bye\r\ndata: {\"reason\":\"ended\"}\r\n\r\ndata: a\ndata: b\n\nevent: x\n";
        let event = |id: Option<&str>, name: &str, data: Value| ServerEvent {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data,
        };
        let expect = [
            event(Some("7"), "job", json!({ "seq": 7 })),
            event(None, "bye", json!({ "reason": "ended" })),
            event(None, "", json!("a\nb")),
        ];
        for size in [1, 2, 3, 7, text.len()] {
            let mut parser = Parser::default();
            let chunks = text.as_bytes().chunks(size);
            let found: Vec<_> = chunks.flat_map(|chunk| parser.push(chunk).unwrap()).collect();
            assert_eq!(found, expect, "in chunks of {size}");
        }
    }
}
