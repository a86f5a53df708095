//! A network that counts requests, and that loses the answer to a submission.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Stands before a submission server.
pub(crate) struct Proxy {
    pub(crate) address: String,
    /// How many requests it has passed on.
    pub(crate) requests: Arc<AtomicU32>,
    cuts: Arc<AtomicBool>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Starts one. It keeps an answer that is to be lost until `lost` is over.
    pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
        server: &str,
        lost: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let cuts = Arc::new(AtomicBool::new(false));
        let mut accepting = JoinSet::new();
        let requests = Arc::new(AtomicU32::new(0));
        let (armed, counted) = (cuts.clone(), requests.clone());
        accepting.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                relay(client, &server, &armed, &lost).await;
            }
        });
        Self { address, requests, cuts, _accepting: accepting }
    }

    /// The answer to the next submission is lost.
    pub(crate) fn cut(&self) {
        self.cuts.store(true, Ordering::SeqCst);
    }
}

/// Passes one request on, and its answer; then both connections are closed.
async fn relay<F: Future<Output = ()>>(
    mut client: TcpStream,
    server: &str,
    cuts: &AtomicBool,
    lost: &impl Fn() -> F,
) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if client.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8(request).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut server = TcpStream::connect(server).await.unwrap();
    let request = format!("{head}\r\nconnection: close\r\n\r\n{body}");
    server.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.unwrap();
    if head.contains("/create") && cuts.swap(false, Ordering::SeqCst) {
        lost().await;
        return;
    }
    let _ = client.write_all(&answer).await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.trim().parse().unwrap())
}
