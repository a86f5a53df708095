//! A connection that comes back: opened when it is needed, given up when it does not answer, and
//! opened anew by the next caller.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;

use crate::fault::{Fault, FaultKind};
use crate::session::{Bound, Session, Setup};

/// How long to wait between tries, one after the other: 20 ms at first, then ever longer, each
/// spread so that nodes do not come back together.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_jitter()
        .build()
}

/// How often a call is tried whose connection was lost: a restart of the database takes longer, but
/// then callers should hear of it.
pub(crate) const TRIES: usize = 4;

pub(crate) struct Link {
    setup: Arc<Setup>,
    current: Mutex<Current>,
    /// How often it could not be opened.
    failures: AtomicU64,
}

#[derive(Default)]
struct Current {
    session: Option<Arc<Session>>,
    /// Why it could not be opened the last time.
    fault: Option<Fault>,
}

impl Link {
    pub(crate) fn new(setup: Arc<Setup>) -> Self {
        Self { setup, current: Mutex::default(), failures: AtomicU64::new(0) }
    }

    /// The connection, opened if there is none. Those who wait while it cannot be opened do not
    /// try it all over, one after the other.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Fault> {
        let seen = self.failures.load(Ordering::SeqCst);
        let mut current = self.current.lock().await;
        if let Some(session) = &current.session
            && !session.is_closed()
        {
            return Ok(Arc::clone(session));
        }
        if self.failures.load(Ordering::SeqCst) > seen
            && let Some(fault) = &current.fault
        {
            return Err(fault.clone());
        }
        current.session = None;
        let opened = timeout(self.setup.patience, Session::open(&self.setup, |_| {})).await;
        match opened.map_err(|_| silent()).and_then(|opened| opened.map_err(Fault::from)) {
            Ok(session) => {
                let session = Arc::new(session);
                current.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(fault) => {
                self.failures.fetch_add(1, Ordering::SeqCst);
                current.fault = Some(fault.clone());
                Err(fault)
            }
        }
    }

    /// Waits for an answer, but not for ever: a connection that does not answer is closed, as is
    /// one that is no good any more, such as to a server that has become a copy of another.
    pub(crate) async fn patiently<T>(
        &self,
        session: &Session,
        asked: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let answer = timeout(self.setup.patience, asked).await.unwrap_or_else(|_| Err(silent()));
        if answer.as_ref().is_err_and(|fault| fault.kind() == FaultKind::Lost) {
            session.kill();
        }
        answer
    }

    /// Asks for rows, again where the connection is lost. Only for what may be done twice.
    pub(crate) async fn query(&self, sql: &str, bound: Bound<'_>) -> Result<Vec<Row>, Fault> {
        let mut pauses = pauses().take(TRIES);
        loop {
            let answer = match self.session().await {
                Ok(session) => self.patiently(&session, session.query(sql, bound)).await,
                Err(fault) => Err(fault),
            };
            match (answer, pauses.next()) {
                (Err(fault), Some(pause))
                    if matches!(fault.kind(), FaultKind::Lost | FaultKind::Raced) =>
                {
                    sleep(pause).await;
                }
                (answer, _) => return answer,
            }
        }
    }
}

fn silent() -> Fault {
    Fault::lost("the database does not answer")
}

/// Connections that read, each shared by all who ask at the same time.
pub(crate) struct Readers {
    links: Vec<Link>,
    next: AtomicUsize,
}

impl Readers {
    /// One may be busy with a long journal, or with a list.
    const COUNT: usize = 3;

    pub(crate) fn new(setup: &Arc<Setup>) -> Self {
        let links = (0..Self::COUNT).map(|_| Link::new(Arc::clone(setup))).collect();
        Self { links, next: AtomicUsize::new(0) }
    }

    pub(crate) async fn query(&self, sql: &str, bound: Bound<'_>) -> Result<Vec<Row>, Fault> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.links.len();
        self.links[next].query(sql, bound).await
    }
}
