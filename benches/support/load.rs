//! A lean HTTP/1.1 client: connections that are kept, one request at a time on each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What was asked in how long, and how long each answer took, in microseconds.
pub(crate) struct Load {
    pub(crate) answered: u64,
    pub(crate) took: Duration,
    pub(crate) latency: Histogram<u64>,
}

impl Load {
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }
}

/// Sends a request again and again on so many connections, for so long. Every answer must have the
/// status.
pub(crate) async fn load(
    address: SocketAddr,
    request: &'static str,
    status: &'static str,
    connections: usize,
    time: Duration,
) -> Result<Load> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for stream in streams {
        clients.spawn(one(stream, request, status, begin + time));
    }
    let mut latency = histogram()?;
    while let Some(client) = clients.join_next().await {
        latency.add(client??)?;
    }
    Ok(Load { answered: latency.len(), took: begin.elapsed(), latency })
}

pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

async fn one(
    mut stream: TcpStream,
    request: &str,
    status: &str,
    end: Instant,
) -> Result<Histogram<u64>> {
    let (mut latency, mut buffer) = (histogram()?, vec![0; 64 << 10]);
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(latency);
        }
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        while !is_whole(buffer.get(..filled).unwrap_or_default())? {
            let free = buffer.get_mut(filled..).context("an answer is too large")?;
            let read = stream.read(free).await?;
            ensure!(read > 0, "the server closed a connection");
            filled += read;
        }
        let found = buffer.get(9..12).unwrap_or_default();
        if found != status.as_bytes() {
            bail!("{}", String::from_utf8_lossy(buffer.get(..filled).unwrap_or_default()));
        }
        latency.record(u64::try_from(sent.elapsed().as_micros())?.max(1))?;
    }
}

/// Tells whether the bytes are a whole answer, by its content length.
fn is_whole(bytes: &[u8]) -> Result<bool> {
    let Some(head) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(false) };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default())?;
    let mut lines = text.split("\r\n");
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok(bytes.len() >= head + 4 + length.context("an answer has no content length")??)
}
