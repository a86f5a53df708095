//! The network between one engine and PostgreSQL: it can be cut, stalled, and slowed down.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Connections are closed, and none is made.
    Cut,
    /// Connections stay, and nothing comes through.
    Stalled,
    /// Everything comes later, each way.
    Slow(Duration),
}

/// A proxy on loopback. Ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (mode, watched) = watch::channel(Mode::Open);
        tokio::spawn(accept(listener, to, watched));
        Ok(Self { port, mode })
    }

    /// Makes an open network slow; leaves another fault as it is.
    pub(crate) fn slow(&self, by: Duration) -> bool {
        let change = |mode: &mut Mode| {
            let is_open = *mode == Mode::Open;
            if is_open {
                *mode = Mode::Slow(by);
            }
            is_open
        };
        self.mode.send_if_modified(change)
    }

    /// Makes a slow network fast; leaves another fault as it is.
    pub(crate) fn quicken(&self) {
        self.mode.send_if_modified(|mode| {
            let is_slow = matches!(mode, Mode::Slow(_));
            if is_slow {
                *mode = Mode::Open;
            }
            is_slow
        });
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, to: u16, mut mode: watch::Receiver<Mode>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok((near, _)) = accepted else { continue };
        if *mode.borrow() == Mode::Cut {
            continue;
        }
        tokio::spawn(connect(near, to, mode.clone()));
    }
}

async fn connect(near: TcpStream, to: u16, mut mode: watch::Receiver<Mode>) {
    // A stalled network makes no connection either.
    if mode.wait_for(|it| *it != Mode::Stalled).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = carry(near_in, far_out, mode.clone()) => {}
        () = carry(far_in, near_out, mode) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            cut = mode.wait_for(|it| *it == Mode::Cut) => {
                drop(cut);
                return;
            }
        };
        let Ok(read @ 1..) = read else { return };
        let now = match mode.wait_for(|it| *it != Mode::Stalled).await {
            Ok(now) => *now,
            Err(_) => return,
        };
        match now {
            Mode::Cut => return,
            Mode::Slow(by) => tokio::time::sleep(by).await,
            Mode::Open | Mode::Stalled => {}
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
