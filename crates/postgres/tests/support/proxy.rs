//! A network that loses the answer to a COMMIT, in each way in which that can happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// What becomes of the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It never arrives.
    Before,
    /// It is done, and nobody hears of it.
    After,
    /// It arrives when the client has given up and waits for the lock that it left behind.
    Late,
    /// It is done, and the connection stays open in silence.
    Silent,
    /// It never arrives, and neither side learns that the other cannot be reached.
    Never,
}

pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    server: u16,
    next: Mutex<Option<Cut>>,
    cuts: AtomicU32,
    /// The server without the proxy.
    direct: String,
}

impl Proxy {
    pub(crate) async fn start(server: u16, direct: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (next, cuts) = (Mutex::new(None), AtomicU32::new(0));
        let shared = Arc::new(Shared { server, next, cuts, direct: direct.to_owned() });
        let mut accepting = JoinSet::new();
        let accepted = Arc::clone(&shared);
        accepting.spawn(async move {
            let mut pairs = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                pairs.spawn(serve(Arc::clone(&accepted), client));
            }
        });
        Self { port, shared, _accepting: accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn cut_next(&self, cut: Cut) {
        *self.shared.next.lock().await = Some(cut);
    }

    pub(crate) fn cuts(&self) -> u32 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Returns when a connection waits for a lock of another.
    async fn somebody_waits(&self) {
        let client = crate::stage::client(&self.direct).await;
        let sql = "SELECT FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while client.query(sql, &[]).await.unwrap().is_empty() {}
    }
}

async fn serve(shared: Arc<Shared>, client: TcpStream) {
    let server = TcpStream::connect(("127.0.0.1", shared.server)).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut back = JoinSet::new();
    let quiet = Arc::new(Notify::new());
    back.spawn(copy(from_server, to_client, Arc::clone(&quiet)));
    forth(shared, from_client, to_server, (back, quiet)).await;
}

/// Passes on what the server says until it is to be quiet; then both ends stay open.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, quiet: Arc<Notify>) {
    tokio::select! {
        _ = tokio::io::copy(&mut from, &mut to) => {}
        () = quiet.notified() => std::future::pending().await,
    }
}

/// Passes on what the client says, up to a COMMIT that is to be cut.
async fn forth(
    shared: Arc<Shared>,
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    (mut back, quiet): (JoinSet<()>, Arc<Notify>),
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = client.read(&mut buffer).await {
        let said = &buffer[..count];
        let says = |word: &[u8]| said.windows(word.len()).any(|it| it == word);
        let cut = if says(b"COMMIT\0") { shared.next.lock().await.take() } else { None };
        let Some(cut) = cut else {
            if server.write_all(said).await.is_err() {
                return;
            }
            continue;
        };
        shared.cuts.fetch_add(1, Ordering::SeqCst);
        // From here on the client hears nothing more.
        quiet.notify_one();
        if matches!(cut, Cut::Before | Cut::After) {
            back.abort_all();
            while back.join_next().await.is_some() {}
        }
        match cut {
            Cut::Before => {}
            Cut::After => server.write_all(said).await.unwrap(),
            Cut::Silent => {
                server.write_all(said).await.unwrap();
                std::future::pending::<()>().await;
            }
            Cut::Never => std::future::pending::<()>().await,
            Cut::Late => {
                shared.somebody_waits().await;
                server.write_all(said).await.unwrap();
            }
        }
        return;
    }
}
