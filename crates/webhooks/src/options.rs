//! What an operator may choose.

use std::sync::Arc;
use std::time::Duration;

use jobwright_core::secret::SecretSource;

use crate::guard::{Allowed, Guard};

/// How webhooks are sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    pub(crate) guard: Guard,
    /// Where the keys of signatures, and secrets in headers, come from. Default nowhere: then
    /// webhooks that need one fail.
    pub secrets: Option<Arc<dyn SecretSource>>,
    /// How long one try may take in all. Default and at most 30 seconds.
    pub try_time: Duration,
    /// How often a message is tried before it is given up. Default 12: about three hours.
    pub tries: u32,
    /// The pause after the first try that failed; each further one is twice as long, and up to
    /// half of it is left out by chance. Default 5 seconds.
    pub first_pause: Duration,
    /// The longest pause, also where the receiver asks for a longer one. Default 1 hour.
    pub longest_pause: Duration,
    /// How many messages one webhook is sent at a time. Default 2.
    pub at_a_time: u32,
    /// How many messages are sent at a time in all. Default 1,024: more than there are webhooks
    /// in most instances, so that none waits for another.
    pub at_a_time_in_all: usize,
    /// How many messages may wait for one webhook; what comes then is kept as failed. Default and
    /// at most 500.
    pub waiting: usize,
    /// How often the store is looked at for what other engines left. Default 30 seconds.
    pub look: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            secrets: None,
            try_time: LONGEST_TRY,
            tries: 12,
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(3600),
            at_a_time: 2,
            at_a_time_in_all: 1024,
            waiting: MOST_WAITING,
            look: Duration::from_secs(30),
        }
    }
}

/// What the documents of clients promise to receivers.
const LONGEST_TRY: Duration = Duration::from_secs(30);

/// With the failed ones that are kept, what one page of the store holds.
const MOST_WAITING: usize = 500;

impl Options {
    /// Allows a host or a network that would be refused, see [`Allowed`].
    #[must_use]
    pub fn allow(mut self, allowed: Allowed) -> Self {
        self.guard.allowed.push(allowed);
        self
    }

    /// Sends to nothing else than what is allowed.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.guard.closed = true;
        self
    }

    /// Sets where secrets come from.
    #[must_use]
    pub fn secrets(mut self, source: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(source);
        self
    }

    /// Sets how long one try may take; longer than 30 seconds is 30 seconds.
    #[must_use]
    pub fn try_time(mut self, time: Duration) -> Self {
        self.try_time = time.min(LONGEST_TRY);
        self
    }

    /// Sets how often a message is tried, and the pauses between.
    #[must_use]
    pub fn retry(mut self, tries: u32, first_pause: Duration, longest_pause: Duration) -> Self {
        (self.tries, self.first_pause, self.longest_pause) = (tries, first_pause, longest_pause);
        self
    }

    /// Sets how many messages may wait for one webhook, at most 500.
    #[must_use]
    pub fn waiting(mut self, most: usize) -> Self {
        self.waiting = most.min(MOST_WAITING);
        self
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("guard", &self.guard)
            .field("secrets", &self.secrets.is_some())
            .field("try_time", &self.try_time)
            .field("tries", &self.tries)
            .finish_non_exhaustive()
    }
}
