//! How often a token may ask: so many requests in each minute, and so many open streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use dashmap::DashMap;
use jobwright_core::{Timestamp, TokenId};

use crate::problem::{Problem, Sort};

/// The length of a window, in milliseconds.
const WINDOW: i64 = 60_000;

/// What each token has used up.
#[derive(Default)]
pub(crate) struct Quotas {
    requests: DashMap<Option<TokenId>, (i64, u32)>,
    streams: DashMap<Option<TokenId>, Arc<AtomicU32>>,
    waits: DashMap<Option<TokenId>, Arc<AtomicU32>>,
}

/// What a token has left in the present window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    limit: u32,
    remaining: u32,
    /// Seconds until the window ends.
    reset: u64,
}

/// Where a request's quota is put, so that the edge can say it on the response.
#[derive(Clone, Default)]
pub(crate) struct Seat(Arc<std::sync::OnceLock<Quota>>);

impl Seat {
    pub(crate) fn set(&self, quota: Option<Quota>) {
        if let Some(quota) = quota {
            let _ = self.0.set(quota);
        }
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.extend(self.0.get().into_iter().flat_map(Quota::headers));
    }
}

impl Quota {
    fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        let members = [
            ("x-rate-limit-user-limit", u64::from(self.limit)),
            ("x-rate-limit-user-remaining", u64::from(self.remaining)),
            ("x-rate-limit-user-reset", self.reset),
        ];
        members.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from(value)))
    }
}

/// An open stream; closes when dropped.
pub(crate) struct OpenStream(Arc<AtomicU32>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Quotas {
    /// Counts a request, or refuses it.
    pub(crate) fn take(
        &self,
        token: Option<TokenId>,
        now: Timestamp,
        limit: Option<u32>,
    ) -> Result<Option<Quota>, Problem> {
        let Some(limit) = limit else { return Ok(None) };
        let window = now.as_millis().div_euclid(WINDOW);
        let left = WINDOW - now.as_millis().rem_euclid(WINDOW);
        let reset = u64::try_from(left).unwrap_or(0).div_ceil(1000);
        let used = {
            let mut seat = self.requests.entry(token).or_insert((window, 0));
            if seat.0 != window {
                *seat = (window, 0);
            }
            seat.1 = seat.1.saturating_add(1);
            seat.1
        };
        if used > limit {
            let detail = format!(
                "requests of one token are limited to {limit} a minute: try again in {reset} s"
            );
            let mut problem = Problem::new(Sort::TooMany, detail).retry_after(reset);
            problem.headers.extend(Quota { limit, remaining: 0, reset }.headers());
            return Err(problem);
        }
        Ok(Some(Quota { limit, remaining: limit - used, reset }))
    }

    /// Opens a stream, or refuses it.
    pub(crate) fn open(&self, token: Option<TokenId>, limit: u32) -> Result<OpenStream, Problem> {
        let full = || format!("a token may have {limit} event streams open: close one first");
        taken(&self.streams, token, limit).ok_or_else(|| too_many(full()))
    }

    /// Begins a wait, or refuses it.
    pub(crate) fn wait(&self, token: Option<TokenId>, limit: u32) -> Result<OpenStream, Problem> {
        let full = || format!("a token may wait {limit} times at once: let one end first");
        taken(&self.waits, token, limit).ok_or_else(|| too_many(full()))
    }

    /// How many streams are open.
    pub(crate) fn open_streams(&self) -> u64 {
        self.streams.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).sum()
    }
}

fn too_many(detail: String) -> Problem {
    Problem::new(Sort::TooMany, detail).retry_after(1)
}

/// Takes a seat, if one is free.
fn taken(
    seats: &DashMap<Option<TokenId>, Arc<AtomicU32>>,
    token: Option<TokenId>,
    limit: u32,
) -> Option<OpenStream> {
    let seat = OpenStream(Arc::clone(&seats.entry(token).or_default()));
    (seat.0.fetch_add(1, Ordering::Relaxed) < limit).then_some(seat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_and_the_next_begins() {
        let quotas = Quotas::default();
        let check = |millis: i64, expect: Option<(u32, u64)>| {
            let taken = quotas.take(None, Timestamp::from_millis(millis), Some(2));
            let found = taken.ok().flatten().map(|quota| (quota.remaining, quota.reset));
            assert_eq!(found, expect, "{millis}");
        };
        check(0, Some((1, 60)));
        check(59_001, Some((0, 1)));
        check(59_999, None);
        check(60_000, Some((1, 60)));
        assert!(quotas.take(None, Timestamp::from_millis(0), None).unwrap().is_none());
    }

    #[test]
    fn a_dropped_stream_makes_room() {
        let quotas = Quotas::default();
        let first = quotas.open(None, 1).ok().unwrap();
        assert!(quotas.open(None, 1).is_err());
        assert_eq!(quotas.open_streams(), 1);
        drop(first);
        assert!(quotas.open(None, 1).is_ok());
    }
}
