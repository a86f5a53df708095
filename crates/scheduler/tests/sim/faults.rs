//! Which faults a seed knows, and how often they strike. Each seed turns each kind on or off, so
//! that rare combinations are not drowned by the common ones.

use crate::random::Random;

/// Chances in thousandths, unless said otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// The engine dies at an append: before it, after it, or between the effects.
    pub(crate) crash: u64,
    /// A report arrives twice.
    pub(crate) duplicate: u64,
    /// A report never arrives.
    pub(crate) lose: u64,
    /// A report is late, and so overtaken by others.
    pub(crate) delay: u64,
    /// The executor refuses the attempt.
    pub(crate) refuse: u64,
    /// The executor forgets a running attempt over a restart.
    pub(crate) amnesia: u64,
    /// An attempt is silent although it promised heartbeats.
    pub(crate) silence: u64,
    /// An attempt does not stop when it is asked to.
    pub(crate) stubborn: u64,
    /// An attempt never ends by itself.
    pub(crate) hang: u64,
    /// The engine wakes late.
    pub(crate) oversleep: u64,
    /// The engine is stopped between an append and what follows, where it has a lease.
    pub(crate) rests: u64,
    /// How often the clock jumps in all.
    pub(crate) jumps: u64,
    /// How often groups change hands between two engines in all.
    pub(crate) fences: u64,
    /// How often an engine is shut down in all.
    pub(crate) halts: u64,
    /// How often a group is cancelled in all.
    pub(crate) cancels: u64,
}

/// When an engine dies in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    BeforeAppend,
    AfterAppend,
    /// After so many effects.
    Amid(usize),
}

impl Faults {
    pub(crate) fn of(random: &mut Random) -> Self {
        // An executor that refuses for good is what the limit on refusals is for.
        let always_refused = random.chance(5);
        let mut some = |most: u64| if random.chance(50) { random.between(1, most) } else { 0 };
        Self {
            crash: some(60),
            duplicate: some(200),
            lose: some(150),
            delay: some(300),
            refuse: if always_refused { 980 } else { some(200) },
            amnesia: some(300),
            silence: some(300),
            stubborn: some(500),
            hang: some(200),
            oversleep: some(300),
            rests: some(100),
            jumps: some(4),
            fences: some(6),
            halts: some(3),
            cancels: some(3),
        }
    }

    pub(crate) fn crash(&self, random: &mut Random, effects: usize) -> Option<Crash> {
        (random.below(1000) < self.crash).then(|| match random.below(3) {
            0 => Crash::BeforeAppend,
            1 => Crash::AfterAppend,
            _ => Crash::Amid(random.below(effects as u64 + 1) as usize),
        })
    }

    /// How late a wake-up or report is, in milliseconds.
    pub(crate) fn lateness(random: &mut Random) -> u64 {
        random.pick(&[1, 20, 500, 5000, 60_000, 600_000])
    }
}
