//! How many drivers a cluster can hold without a deadlock: drivers take the cores and the memory
//! that the executors of their own applications wait for.

use crate::master::Worker;

/// Cores and memory that one process takes from a worker. Neither is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) cores: u32,
    /// In MiB.
    pub(crate) memory: u32,
}

/// Returns the most drivers of which it is certain, wherever they are placed, that some worker can
/// still start an executor; and no more than there is room for.
///
/// The worst placement fills one worker after the other just so far that no executor fits.
pub(crate) fn most_drivers(workers: &[Worker], driver: Size, executor: Size) -> u32 {
    let alive = workers.iter().filter(|worker| worker.is_alive());
    let (mut room, mut to_block) = (0_u32, Some(0_u32));
    for worker in alive {
        let fit = (worker.cores / driver.cores).min(worker.memory / driver.memory);
        room = room.saturating_add(fit);
        let needed = |has: u32, executor: u32, driver: u32| {
            (has + 1).saturating_sub(executor).div_ceil(driver)
        };
        let needed = needed(worker.cores, executor.cores, driver.cores).min(needed(
            worker.memory,
            executor.memory,
            driver.memory,
        ));
        to_block = to_block.filter(|_| needed <= fit).map(|sum| sum.saturating_add(needed));
    }
    match to_block {
        // Some worker has room for an executor however many drivers it has.
        None => room,
        Some(to_block) => to_block.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_leave_room_for_an_executor() {
        let check = |workers: &[(u32, u32)], driver: (u32, u32), executor: (u32, u32), expect| {
            let size = |(cores, memory)| Size { cores, memory };
            let made: Vec<_> = workers.iter().map(|it| Worker::alive(it.0, it.1)).collect();
            let found = most_drivers(&made, size(driver), size(executor));
            assert_eq!(found, expect, "{workers:?} {driver:?} {executor:?}");
        };
        let small = (1, 512);
        check(&[], small, small, 0);
        check(&[(1, 8192)], small, small, 0);
        check(&[(2, 8192)], small, small, 1);
        check(&[(4, 8192)], small, small, 3);
        check(&[(2, 8192), (2, 8192)], small, small, 3);
        // Two drivers, one on each worker, would leave no worker with two cores.
        check(&[(2, 8192), (2, 8192)], small, (2, 512), 1);
        // Nothing fits an executor: no driver is safe.
        check(&[(2, 8192)], small, (4, 512), 0);
        check(&[(8, 8192)], small, (1, 8192), 0);
        // Memory binds before cores do.
        check(&[(64, 2048)], (1, 1024), (1, 1024), 1);
        check(&[(64, 4096)], (1, 1024), (1, 1024), 3);
        // Three cores hold one driver of two, and always keep one for an executor.
        check(&[(3, 8192)], (2, 512), (1, 512), 1);
        // A worker on which no driver fits keeps its room.
        check(&[(4, 8192), (2, 256)], small, (1, 256), 4);
    }
}
