//! A network between an executor and its API server, which can be cut, and can lose answers.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Whole,
    /// Nobody gets through, and who was through is cut off.
    Cut,
    /// What is asked arrives, what is answered does not.
    Deaf,
}

pub(crate) struct Proxy {
    port: u16,
    network: Arc<watch::Sender<Network>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(watch::Sender::new(Network::Whole));
        let (mut accepting, state) = (JoinSet::new(), Arc::clone(&network));
        accepting.spawn(async move {
            let mut pairs = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                pairs.spawn(serve(client, server, state.subscribe()));
            }
        });
        Self { port, network, _accepting: accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn serve(client: TcpStream, server: u16, mut network: watch::Receiver<Network>) {
    if *network.borrow() == Network::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut deaf = network.clone();
    let back = async {
        tokio::select! {
            biased;
            () = becomes(&mut deaf, Network::Deaf) => std::future::pending().await,
            copied = tokio::io::copy(&mut from_server, &mut to_client) => drop(copied),
        }
    };
    tokio::select! {
        () = becomes(&mut network, Network::Cut) => {}
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = back => {}
    }
}

async fn becomes(network: &mut watch::Receiver<Network>, what: Network) {
    let _ = network.wait_for(|it| *it == what).await;
}
