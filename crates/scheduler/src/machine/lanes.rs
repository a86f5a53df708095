//! What is ready and waits for a slot. Jobs that use the same limits wait in one lane, so that a
//! full limit stops its lanes and no others, and the work of a dispatch does not depend on how
//! many jobs wait.
//!
//! A job's rank is the moment it became ready, one minute earlier per level of priority: fixed
//! when it begins to wait, and a job that waits gains on all that come later. Jobs of groups that
//! have begun wait one level higher, so that what was begun is finished first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use jobwright_core::{Priority, Timestamp};

use super::limits::{Limit, Use};
use super::timers::Place;

/// How much earlier one level of priority ranks, in milliseconds.
const LEVEL: i64 = 60_000;

/// When a waiting job is due compared with others.
pub(super) type Rank = i64;

pub(super) fn rank(since: Timestamp, priority: Priority) -> Rank {
    since.as_millis().saturating_sub(i64::from(priority.0) * LEVEL)
}

/// A job that waits, with when it began to: a job that waits anew has another entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) place: Place,
    pub(super) since: Timestamp,
}

#[derive(Debug)]
struct Lane {
    uses: Use,
    /// By level of priority; within a level the first to wait is the first to go.
    levels: Vec<(Priority, VecDeque<Waiter>)>,
    state: LaneState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LaneState {
    /// Nothing waits, as far as anybody knows.
    Idle,
    /// In `open` under this rank; what stands there under another one means nothing.
    Open(Rank),
    /// In `parked` under this limit.
    Parked(Limit),
}

/// All lanes of a machine.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    by_use: BTreeMap<Use, u32>,
    open: BinaryHeap<Reverse<(Rank, u32)>>,
    parked: BTreeMap<Limit, Vec<u32>>,
}

impl Lanes {
    /// Finds the lane of those that use the same limits.
    pub(super) fn lane(&mut self, uses: Use) -> u32 {
        let lanes = &mut self.lanes;
        *self.by_use.entry(uses).or_insert_with(|| {
            lanes.push(Lane { uses, levels: Vec::new(), state: LaneState::Idle });
            (lanes.len() - 1) as u32
        })
    }

    pub(super) fn uses(&self, lane: u32) -> &Use {
        &self.lanes[lane as usize].uses
    }

    pub(super) fn push(&mut self, lane: u32, priority: Priority, waiter: Waiter) {
        let it = &mut self.lanes[lane as usize];
        match it.levels.iter_mut().find(|(level, _)| *level == priority) {
            // Only groups that are adopted and clocks that went back do not come at the end.
            Some((_, queue)) if queue.back().is_some_and(|last| last.since > waiter.since) => {
                let at = queue.partition_point(|other| other.since <= waiter.since);
                queue.insert(at, waiter);
            }
            Some((_, queue)) => queue.push_back(waiter),
            None => it.levels.push((priority, VecDeque::from([waiter]))),
        }
        let rank = rank(waiter.since, priority);
        match self.lanes[lane as usize].state {
            // It may rank before the one behind whom the lane was put aside.
            LaneState::Parked(limit @ Limit::Pool(_)) if self.oldest(lane) == rank => {
                if let Some(lanes) = self.parked.get_mut(&limit) {
                    lanes.retain(|other| *other != lane);
                }
                self.reopen(lane, rank);
            }
            LaneState::Parked(_) => {}
            LaneState::Open(known) if known <= rank => {}
            LaneState::Open(_) | LaneState::Idle => self.reopen(lane, rank),
        }
    }

    /// Whether somebody may go, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        self.first_open().is_some()
    }

    /// The open lane that ranks first.
    fn first_open(&mut self) -> Option<(Rank, u32)> {
        while let Some(Reverse((rank, lane))) = self.open.peek().copied() {
            if self.lanes[lane as usize].state == LaneState::Open(rank) {
                return Some((rank, lane));
            }
            self.open.pop();
        }
        None
    }

    /// Takes the open lane that ranks first, with the rank at which the next one follows.
    pub(super) fn take_first(&mut self) -> Option<(u32, Rank)> {
        let (_, lane) = self.first_open()?;
        self.open.pop();
        self.lanes[lane as usize].state = LaneState::Idle;
        let next = self.first_open().map_or(Rank::MAX, |(rank, _)| rank);
        Some((lane, next))
    }

    /// The first of a lane and its rank, after those that wait no more have been dropped.
    pub(super) fn head(
        &mut self,
        lane: u32,
        waits: impl Fn(&Waiter) -> bool,
    ) -> Option<(Rank, Waiter)> {
        let mut first: Option<(Rank, Waiter)> = None;
        for (priority, queue) in &mut self.lanes[lane as usize].levels {
            while queue.front().is_some_and(|waiter| !waits(waiter)) {
                queue.pop_front();
            }
            if let Some(waiter) = queue.front() {
                let rank = rank(waiter.since, *priority);
                if first.is_none_or(|(best, _)| rank < best) {
                    first = Some((rank, *waiter));
                }
            }
        }
        first
    }

    /// Puts a taken lane back, to be looked at again when its rank comes.
    pub(super) fn reopen(&mut self, lane: u32, rank: Rank) {
        self.lanes[lane as usize].state = LaneState::Open(rank);
        self.open.push(Reverse((rank, lane)));
    }

    /// Puts a taken lane aside until the limit gives something back.
    pub(super) fn park(&mut self, lane: u32, limit: Limit) {
        self.lanes[lane as usize].state = LaneState::Parked(limit);
        self.parked.entry(limit).or_default().push(lane);
    }

    /// Whether somebody who ranks before waits for the limit already.
    pub(super) fn is_behind(&self, limit: Limit, rank: Rank) -> bool {
        let lanes = self.parked.get(&limit);
        lanes.is_some_and(|lanes| lanes.iter().any(|lane| self.oldest(*lane) <= rank))
    }

    /// Opens the lanes that wait for a limit.
    pub(super) fn unpark(&mut self, limit: Limit) {
        if self.parked.is_empty() {
            return;
        }
        for lane in self.parked.remove(&limit).unwrap_or_default() {
            let oldest = self.oldest(lane);
            self.reopen(lane, oldest);
        }
    }

    /// Opens all lanes that wait for anything that `uses` gives back.
    pub(super) fn unpark_uses(&mut self, uses: &Use) {
        if self.parked.is_empty() {
            return;
        }
        self.unpark(Limit::Executor(uses.executor));
        if let Some((pool, _)) = uses.pool {
            self.unpark(Limit::Pool(pool));
        }
        if let Some(deployment) = uses.deployment {
            self.unpark(Limit::Deployment(deployment));
        }
    }

    /// How many wait for an executor, those included that wait no more and were not dropped yet.
    pub(super) fn waiting_for(&self, executor: u32) -> u32 {
        let lanes = self.lanes.iter().filter(|lane| lane.uses.executor == executor);
        let queues = lanes.flat_map(|lane| lane.levels.iter());
        let waiting: usize = queues.map(|(_, queue)| queue.len()).sum();
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    fn oldest(&self, lane: u32) -> Rank {
        let levels = self.lanes[lane as usize].levels.iter();
        let fronts = levels.filter_map(|(priority, queue)| {
            queue.front().map(|waiter| rank(waiter.since, *priority))
        });
        fronts.min().unwrap_or(Rank::MAX)
    }

    /// All that wait, for the check of invariants.
    pub(super) fn waiters(&self) -> impl Iterator<Item = (u32, &Waiter)> {
        let lanes = self.lanes.iter().enumerate();
        lanes.flat_map(|(lane, it)| {
            it.levels.iter().flat_map(move |(_, queue)| queue.iter().map(move |w| (lane as u32, w)))
        })
    }

    /// Whether everything that waits can still be found, for the check of invariants.
    pub(super) fn reachable(&self, lane: u32) -> bool {
        match self.lanes[lane as usize].state {
            LaneState::Idle => false,
            LaneState::Open(rank) => self.open.iter().any(|Reverse(it)| *it == (rank, lane)),
            LaneState::Parked(limit) => {
                self.parked.get(&limit).is_some_and(|lanes| lanes.contains(&lane))
            }
        }
    }
}
