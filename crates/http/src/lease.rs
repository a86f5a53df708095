//! How long a stream or a wait may go on: as long as its token lives, the server takes requests,
//! and the embedder wants streams to last.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::{Digest, Timestamp, Token};
use tokio::sync::watch;

use crate::app::App;
use crate::auth::{Caller, REMEMBERED};

/// Why a stream ends although there is more to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The server drains.
    Draining,
    /// The token was revoked.
    Revoked,
    /// The token has expired.
    Expired,
    /// It is as old as streams become.
    Age,
}

impl Over {
    /// The word that `bye` says.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Age => "age",
        }
    }
}

/// What a stream rests on.
pub(crate) struct Lease {
    app: App,
    token: Option<(Arc<Token>, Option<Digest>)>,
    /// Told when this server revokes a token.
    revoked: watch::Receiver<u64>,
    /// When the token is looked up again: another engine may have revoked it.
    look_at: Timestamp,
    /// When it is as old as it may become.
    age_at: Option<Timestamp>,
}

impl Lease {
    /// Begins a lease of a stream.
    pub(crate) fn of_stream(app: &App, caller: &Caller) -> Self {
        let age = app.options().stream_time;
        Self { age_at: age.map(|age| app.now() + age), ..Self::of_wait(app, caller) }
    }

    /// Begins a lease of a wait, which has a bound of its own.
    pub(crate) fn of_wait(app: &App, caller: &Caller) -> Self {
        let token = caller.whole_token().map(|token| (Arc::clone(token), token.hash.parse().ok()));
        let revoked = app.0.revoked.subscribe();
        let mut lease = Self { app: app.clone(), token, revoked, look_at: app.now(), age_at: None };
        lease.look_again_later();
        lease
    }

    /// Returns when it is over. Cancel safe: asked again, it goes on where it was.
    pub(crate) async fn over(&mut self) -> Over {
        loop {
            let now = self.app.now();
            tokio::select! {
                biased;
                () = self.app.options().drain.cancelled() => return Over::Draining,
                () = until(self.age_at, now) => return Over::Age,
                Ok(()) = self.revoked.changed(), if self.token.is_some() => {}
                () = until(Some(self.look_at), now), if self.token.is_some() => {}
            }
            if let Some(over) = self.look().await {
                return over;
            }
            self.look_again_later();
        }
    }

    /// Looks at the token in the store. One that cannot be read lives until it can.
    async fn look(&self) -> Option<Over> {
        let (token, hash) = self.token.as_ref()?;
        if token.has_expired(self.app.now()) {
            return Some(Over::Expired);
        }
        match self.app.0.engine.token_of((*hash)?).await {
            Ok(None) => Some(Over::Revoked),
            Ok(Some(_)) | Err(_) => None,
        }
    }

    fn look_again_later(&mut self) {
        let now = self.app.now();
        let end = self.token.as_ref().and_then(|(token, _)| token.expires_at);
        // Not before the end: a wake-up just before it would look in vain.
        let left = end.map(|end| end.since(now) + Duration::from_millis(1));
        self.look_at = now + left.unwrap_or(REMEMBERED).min(REMEMBERED);
    }
}

async fn until(at: Option<Timestamp>, now: Timestamp) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now)).await,
        None => std::future::pending().await,
    }
}
