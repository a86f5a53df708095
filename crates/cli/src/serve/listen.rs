//! The address: who may be let in, and whether it is free.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::Server;

/// Why the server does not listen.
#[derive(Debug, Error)]
pub(super) enum ListenError {
    /// Other machines would read along.
    #[error(
        "`{0}` can be reached from other machines, and there is no TLS here: listen on 127.0.0.1 behind a proxy that does TLS, or say `--allow-remote` (`allow-remote = true` in `[server]`)"
    )]
    Remote(SocketAddr),
    /// Another program listens there.
    #[error(
        "another program listens on `{0}`, perhaps a server that runs already: stop it, or choose another address with `--listen`"
    )]
    InUse(SocketAddr),
    /// Ports below 1024 belong to the system.
    #[error(
        "only the system's administrator may listen on `{0}`: choose a port above 1023 with `--listen`"
    )]
    Denied(SocketAddr),
    /// Something else is wrong with it.
    #[error("cannot listen on `{address}`")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Refuses an address that other machines reach, unless they are allowed to.
pub(super) fn check(server: &Server) -> Result<(), ListenError> {
    let address = server.listen;
    let is_local = address.ip().to_canonical().is_loopback();
    if is_local || server.allow_remote { Ok(()) } else { Err(ListenError::Remote(address)) }
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        io::ErrorKind::PermissionDenied => ListenError::Denied(address),
        _ => ListenError::Address { address, source },
    })
}
