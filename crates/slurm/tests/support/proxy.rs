//! Stands between an executor and slurmrestd, and keeps the answers to submissions to itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A way to slurmrestd on which submissions arrive, and their answers do not.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// A submission was answered, and the answer kept.
    pub(crate) kept: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(to: &str) -> Self {
        let to = to.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Notify::new());
        let told = Arc::clone(&kept);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(pass(client, to.clone(), Arc::clone(&told)));
            }
        });
        Self { port, kept, _tasks: tasks }
    }
}

/// Passes bytes on both ways. Once a submission has begun on a connection, nothing comes back.
async fn pass(client: TcpStream, to: String, told: Arc<Notify>) {
    let server = TcpStream::connect(&to).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_mute = AtomicBool::new(false);
    let ask = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            is_mute.fetch_or(bytes.starts_with(b"POST "), Ordering::SeqCst);
            to_server.write_all(&bytes[..read]).await.unwrap();
        }
    };
    let answer = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            if is_mute.load(Ordering::SeqCst) {
                told.notify_one();
            } else if to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = ask => {}
        () = answer => {}
    }
}
