//! A bucket of tokens: what is taken up again comes at a bounded rate, after a first burst.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::moment;

/// How fast unfinished groups are taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readmission {
    pub(super) per_second: u32,
    pub(super) burst: u32,
}

impl Default for Readmission {
    /// A second's work of one engine at once, and then as much a second: what comes back neither
    /// falls upon executors like a herd nor waits for long behind what is new.
    fn default() -> Self {
        Self { per_second: 2_000, burst: 2_000 }
    }
}

/// Tokens that come back with time.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Readmission,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Readmission) -> Self {
        let rate = Readmission { per_second: rate.per_second.max(1), burst: rate.burst.max(1) };
        Self { rate, tokens: f64::from(rate.burst), at: moment() }
    }

    /// Takes as many tokens as there are, up to `most`.
    pub(super) fn take(&mut self, most: u32) -> u32 {
        let now = moment();
        let new = now.duration_since(self.at).as_secs_f64() * f64::from(self.rate.per_second);
        self.tokens = (self.tokens + new).min(f64::from(self.rate.burst));
        self.at = now;
        let taken = self.tokens.floor().min(f64::from(most));
        self.tokens -= taken;
        taken as u32
    }

    /// Puts tokens back that were not needed.
    pub(super) fn put_back(&mut self, tokens: u32) {
        self.tokens = (self.tokens + f64::from(tokens)).min(f64::from(self.rate.burst));
    }

    /// How long it takes until there are tokens worth a look at the store.
    pub(super) fn pause(&self) -> Duration {
        const LOOK: f64 = 256.0;
        let wanted = LOOK.min(f64::from(self.rate.burst));
        let missing = (wanted - self.tokens).max(1.0);
        Duration::from_secs_f64(missing / f64::from(self.rate.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_come_back_with_time_up_to_the_burst() {
        let mut bucket = Bucket::new(Readmission { per_second: 10, burst: 5 });
        assert_eq!((bucket.take(2), bucket.take(9), bucket.take(1)), (2, 3, 0));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(bucket.take(9), 2);
        bucket.put_back(1);
        assert_eq!(bucket.take(9), 1);
        assert_eq!(bucket.pause(), Duration::from_millis(450));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(bucket.take(9), 5);
    }
}
