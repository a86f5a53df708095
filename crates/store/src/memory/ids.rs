//! Ids in ascending order. Most are given out in that order, so that they are mostly added at the
//! end; those that are gone stay until they are half of all, since whoever looks one up finds out.

/// So few are not worth tidying.
const TIDY: usize = 32;

#[derive(Default)]
pub(super) struct Ids {
    sorted: Vec<i64>,
    gone: usize,
}

impl Ids {
    /// Adds an id that is not there, or was there and is gone.
    pub(super) fn insert(&mut self, id: i64) {
        if self.sorted.last().is_none_or(|last| *last < id) {
            return self.sorted.push(id);
        }
        match self.sorted.binary_search(&id) {
            Ok(_) => self.gone -= 1,
            Err(at) => self.sorted.insert(at, id),
        }
    }

    /// Counts one more that is gone. `is_there` tells which are not.
    pub(super) fn remove(&mut self, is_there: impl Fn(i64) -> bool) {
        self.gone += 1;
        if self.gone >= TIDY && self.gone * 2 > self.sorted.len() {
            self.sorted.retain(|id| is_there(*id));
            self.gone = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gone == self.sorted.len()
    }

    /// The ids between two, both included, with some that are gone.
    pub(super) fn range(&self, least: i64, greatest: i64) -> impl DoubleEndedIterator<Item = i64> {
        let begin = self.sorted.partition_point(|id| *id < least);
        let end = self.sorted.partition_point(|id| *id <= greatest);
        self.sorted[begin..end.max(begin)].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_gone_come_back_or_are_tidied_away() {
        let (mut ids, mut there) = (Ids::default(), std::collections::BTreeSet::new());
        for id in [5, 1, 3].into_iter().chain(10..200) {
            ids.insert(id);
            there.insert(id);
        }
        for id in (1..200).filter(|id| id % 3 != 0) {
            if there.remove(&id) {
                ids.remove(|id| there.contains(&id));
            }
        }
        ids.insert(100);
        there.insert(100);
        let left: Vec<_> = ids.range(1, 199).filter(|id| there.contains(id)).collect();
        assert_eq!(left, there.iter().copied().collect::<Vec<_>>());
        assert!(ids.sorted.len() < 150, "{} are kept", ids.sorted.len());
        assert_eq!(ids.range(3, 3).collect::<Vec<_>>(), [3]);
        assert_eq!(ids.range(7, 2).count(), 0);
        while there.pop_first().is_some() {
            ids.remove(|id| there.contains(&id));
        }
        assert!(ids.is_empty());
    }
}
