//! Hints between nodes, over a connection of their own. Nothing depends on them: one may be missed,
//! or come for nothing.
//!
//! A hint is sent after the commit that it tells of, not in it: a transaction that notifies holds a
//! lock of the whole database until it is on the disk, so that the commits of all nodes would wait
//! for each other.

use std::sync::Arc;

use jobwright_core::Digest;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::Notification;
use uuid::Uuid;

use crate::fault::Fault;
use crate::link::pauses;
use crate::session::{Bound, Session, Setup};

/// The node's ear and voice.
pub(crate) struct Hints {
    shared: Arc<Shared>,
    _listener: JoinSet<()>,
}

struct Shared {
    setup: Arc<Setup>,
    channel: String,
    /// Who speaks, so that it does not hear itself.
    me: Uuid,
    /// There is something to tell others.
    tell: Notify,
    /// Another told something.
    told: Notify,
}

impl Hints {
    pub(crate) fn start(setup: Arc<Setup>, schema: &str, me: Uuid) -> Self {
        // A channel is named in the whole database, in at most 63 bytes.
        let digest = Digest::of(schema.as_bytes()).to_string();
        let channel = format!("jobwright_{}", digest.get(..16).unwrap_or_default());
        let (tell, told) = (Notify::new(), Notify::new());
        let shared = Arc::new(Shared { setup, channel, me, tell, told });
        let mut listener = JoinSet::new();
        listener.spawn(Arc::clone(&shared).listen());
        Self { shared, _listener: listener }
    }

    /// Tells the other nodes, soon. What is told while a hint is on its way makes one more.
    pub(crate) fn tell(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.tell.notify_one()
    }

    /// Returns when another node told something since the last call.
    pub(crate) async fn told(&self) {
        self.shared.told.notified().await;
    }
}

impl Shared {
    async fn listen(self: Arc<Self>) {
        let mut waits = pauses();
        loop {
            match self.connect().await {
                Ok(session) => {
                    waits = pauses();
                    // Whatever was told while nobody listened was missed.
                    self.told.notify_one();
                    self.speak(&session).await;
                }
                Err(fault) => tracing::debug!(%fault, "nobody listens to other nodes for a moment"),
            }
            if let Some(pause) = waits.next() {
                sleep(pause).await;
            }
        }
    }

    async fn connect(self: &Arc<Self>) -> Result<Session, Fault> {
        let shared = Arc::clone(self);
        let me = self.me.to_string();
        let heard = move |note: &Notification| {
            if note.payload() != me {
                shared.told.notify_one();
            }
        };
        let opened = timeout(self.setup.patience, Session::open(&self.setup, heard)).await;
        let session = opened.map_err(|_| Fault::lost("the database does not answer"))??;
        session.run(&format!("LISTEN {}", self.channel)).await?;
        Ok(session)
    }

    /// Passes on what there is to tell, until the connection ends.
    async fn speak(&self, session: &Session) {
        let me = self.me.to_string();
        loop {
            tokio::select! {
                () = session.ended() => return,
                () = self.tell.notified() => {
                    let sql = "SELECT pg_notify($1, $2)";
                    let bound: Bound<'_> = &[&self.channel, &me];
                    let said = timeout(self.setup.patience, session.query(sql, bound)).await;
                    if !matches!(said, Ok(Ok(_))) {
                        self.tell.notify_one();
                        return;
                    }
                }
            }
        }
    }
}
