//! How often a wrong token may be shown: so many times in each minute, from one place.
//!
//! A right token is never refused because of wrong ones: it is looked up first, whoever else
//! failed from the same place. What a place has used up only turns its further 401 into 429, and
//! spares the store: a token that was unknown a moment ago is not looked up again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobwright_core::{Digest, Timestamp};

use crate::problem::{Problem, Sort};

/// The length of a window, in milliseconds.
const WINDOW: i64 = 60_000;

/// How many places and unknown tokens are remembered in a window.
const MOST: usize = 4_096;

/// How long an unknown token is not looked up again, in milliseconds.
const UNKNOWN: i64 = 1_000;

/// From where a wrong token was shown: the peer where the listener tells it, else what the token's
/// hash begins with. What has not even the form of a token is one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Peer(IpAddr),
    Prefix(u8),
    Nowhere,
}

impl Place {
    pub(crate) fn of(peer: Option<IpAddr>, hash: Option<&Digest>) -> Self {
        match (peer, hash) {
            (Some(peer), _) => Self::Peer(peer),
            (None, Some(hash)) => Self::Prefix(hash.as_bytes()[0]),
            (None, None) => Self::Nowhere,
        }
    }
}

/// What was refused in the present window.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Default)]
struct Window {
    number: i64,
    places: HashMap<Place, u32>,
    /// Those for which there was no room.
    others: u32,
    unknown: HashMap<Digest, i64>,
}

impl Refusals {
    /// Counts a refusal, and says which it is: the one given, or 429.
    pub(crate) fn count(
        &self,
        place: Place,
        now: Timestamp,
        limit: Option<u32>,
        refusal: Problem,
    ) -> Problem {
        let Some(limit) = limit else { return refusal };
        let used = {
            let mut window = self.window(now);
            let is_full = window.places.len() >= MOST && !window.places.contains_key(&place);
            let window = &mut *window;
            let seat = match is_full {
                true => &mut window.others,
                false => window.places.entry(place).or_default(),
            };
            *seat = seat.saturating_add(1);
            *seat
        };
        if used <= limit {
            return refusal;
        }
        let left = WINDOW - now.as_millis().rem_euclid(WINDOW);
        let reset = u64::try_from(left).unwrap_or(0).div_ceil(1000);
        let detail = format!("wrong access tokens were shown too often: try again in {reset} s");
        Problem::new(Sort::TooMany, detail).retry_after(reset)
    }

    /// Tells whether a token was unknown a moment ago.
    pub(crate) fn knows(&self, hash: &Digest, now: Timestamp) -> bool {
        let seen = self.window(now).unknown.get(hash).copied();
        seen.is_some_and(|seen| now.as_millis() - seen < UNKNOWN)
    }

    /// Remembers that a token is unknown.
    pub(crate) fn remember(&self, hash: Digest, now: Timestamp) {
        let mut window = self.window(now);
        if window.unknown.len() < MOST {
            window.unknown.insert(hash, now.as_millis());
        }
    }

    fn window(&self, now: Timestamp) -> MutexGuard<'_, Window> {
        let number = now.as_millis().div_euclid(WINDOW);
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.number != number {
            *window = Window { number, ..Window::default() };
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_refused_for_the_rest_of_the_minute() {
        let refusals = Refusals::default();
        let check = |place: Place, millis: i64, expect: u16| {
            let now = Timestamp::from_millis(millis);
            let given = Problem::unauthenticated("it is wrong");
            let found = refusals.count(place, now, Some(2), given);
            assert_eq!(found.sort.words().0, expect, "{place:?} at {millis}");
        };
        let peer = |last: u8| Place::Peer(IpAddr::from([10, 0, 0, last]));
        check(peer(1), 0, 401);
        check(peer(1), 1, 401);
        check(peer(1), 2, 429);
        check(peer(2), 3, 401);
        check(Place::Nowhere, 4, 401);
        check(Place::Prefix(1), 59_999, 401);
        check(peer(1), 60_000, 401);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (refusals, now) = (Refusals::default(), Timestamp::from_millis(5));
        let many = (0..=u32::try_from(MOST).unwrap()).map(|at| IpAddr::from(at.to_be_bytes()));
        for peer in many {
            let given = Problem::unauthenticated("it is wrong");
            refusals.count(Place::Peer(peer), now, Some(1), given);
            refusals.remember(Digest::of(peer.to_string().as_bytes()), now);
        }
        let window = refusals.window(now);
        assert_eq!((window.places.len(), window.others, window.unknown.len()), (MOST, 1, MOST));
        drop(window);
        let hash = Digest::of(b"0.0.0.1");
        assert!(refusals.knows(&hash, now));
        assert!(!refusals.knows(&hash, Timestamp::from_millis(5 + UNKNOWN)));
    }
}
