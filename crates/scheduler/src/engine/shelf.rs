//! Packages that are ready for runs: those used last, so that a run need not read its package and
//! an engine that lives long does not keep every package it ever ran.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jobwright_core::Digest;

/// The most packages that are kept ready.
const PLACES: usize = 256;

/// The most bytes of artifacts that are kept ready, if there is more than one package.
const ROOM: usize = 256 << 20;

/// Packages that are ready for runs.
pub(super) struct Shelf<T>(Mutex<Places<T>>);

struct Places<T> {
    by_digest: HashMap<Digest, Place<T>>,
    bytes: usize,
    uses: u64,
}

struct Place<T> {
    it: Arc<T>,
    bytes: usize,
    last_used: u64,
}

impl<T> Shelf<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Places { by_digest: HashMap::new(), bytes: 0, uses: 0 }))
    }

    pub(super) fn find(&self, digest: Digest) -> Option<Arc<T>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.uses += 1;
        let now = places.uses;
        let place = places.by_digest.get_mut(&digest)?;
        place.last_used = now;
        Some(Arc::clone(&place.it))
    }

    /// Puts a package there whose artifacts have so many bytes. Those not used for the longest
    /// time make room.
    pub(super) fn put(&self, digest: Digest, it: Arc<T>, bytes: usize) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.uses += 1;
        let place = Place { it, bytes, last_used: places.uses };
        places.bytes += bytes;
        if let Some(before) = places.by_digest.insert(digest, place) {
            places.bytes -= before.bytes;
        }
        while places.by_digest.len() > 1 && (places.by_digest.len() > PLACES || places.bytes > ROOM)
        {
            let oldest = places.by_digest.iter().min_by_key(|(_, place)| place.last_used);
            let Some(oldest) = oldest.map(|(digest, _)| *digest) else { return };
            if let Some(gone) = places.by_digest.remove(&oldest) {
                places.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts packages there, each with its bytes, uses some, and says which are still there.
    fn check(puts: &[(usize, usize)], expect: &[usize]) {
        let digest = |name: usize| Digest::of(&name.to_le_bytes());
        let shelf = Shelf::new();
        for (name, bytes) in puts {
            match shelf.find(digest(*name)) {
                Some(known) => assert_eq!(*known, *name),
                None => shelf.put(digest(*name), Arc::new(*name), *bytes),
            }
        }
        let last = puts.iter().map(|(name, _)| *name).max().unwrap_or(0);
        let kept: Vec<_> = (0..=last).filter(|name| shelf.find(digest(*name)).is_some()).collect();
        assert_eq!(kept, expect);
    }

    #[test]
    fn those_used_last_stay() {
        check(&[(0, 1), (1, 1)], &[0, 1]);
        check(&[(0, ROOM), (1, 1)], &[1]);
        check(&[(0, 1), (1, ROOM - 1), (0, 1), (2, 1)], &[0, 2]);
        // One that is larger than all room is kept until another comes.
        check(&[(0, ROOM + 1)], &[0]);
        check(&[(0, ROOM + 1), (1, 1), (2, 1)], &[1, 2]);
        let many: Vec<_> = (0..PLACES + 2).map(|name| (name, 1)).collect();
        let last: Vec<_> = (2..PLACES + 2).collect();
        check(&many, &last);
    }
}
