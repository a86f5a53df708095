//! Lease, fence and take-over: every order of ticks, renewals, claims, appends, deeds, stops and
//! lost messages of two engines over one group. Each rule of the protocol can be left out, and then
//! the checker must find out why it is there.
//!
//! ```text
//! store    epoch, owner, journal, and what is left of each engine's lease
//! engine   what is left of its belief in its lease, the epoch it drives under, its attempt
//! between  a renewal, a claim's answer and an append of each engine, which may be late or lost
//! ```
//!
//! Time is what is left, in ticks, so it has no end.

use stateright::{Model, Property};

use crate::{ENGINES, LEASE, TRUSTED, check};

/// So often the group is taken up.
const EPOCHS: u8 = 3;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The store refuses what is written under an old epoch.
    Fence,
    /// An engine looks whether its lease lasts before it does what it wrote down, and whenever it
    /// goes on.
    Look,
    /// An engine counts its lease from when it asked for it, and for less than it lasts.
    Margin,
}

/// What a journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fact {
    Requested,
    Lost,
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct World {
    epoch: u8,
    owner: Option<usize>,
    journal: Vec<(u8, Fact)>,
    engines: Vec<Engine>,
    /// The store has refused something.
    fenced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Engine {
    /// What the store knows: how long the lease lasts.
    lease: u8,
    /// What the engine believes: how long it lasts.
    trust: u8,
    is_stopped: bool,
    /// The epoch under which it drives the group.
    drives: Option<u8>,
    has_attempt: bool,
    /// A renewal on its way, how old it is, and whether it is already its answer.
    renewal: Option<(u8, bool)>,
    /// The answer to a claim: the epoch, and whether it was asked for in this term.
    claim: Option<(u8, bool)>,
    /// Rows on their way, under the epoch that the engine knows.
    append: Option<(u8, Fact)>,
    /// Rows that are durable, and what follows from them is not done.
    durable: Option<Fact>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Deed {
    Ask,
    Renew,
    LoseRenewal,
    Renewed,
    Begin,
    Claim,
    Hear,
    Write(Fact),
    Arrive,
    LoseAppend,
    Perform,
    Stop,
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Act {
    Tick,
    Of(usize, Deed),
}

struct Protocol {
    without: Without,
}

impl Protocol {
    fn trusted(&self) -> u8 {
        if self.without == Without::Margin { LEASE } else { TRUSTED }
    }

    fn looks(&self) -> bool {
        self.without != Without::Look
    }

    /// What an engine can do now, and what can become of what it sent.
    fn deeds(&self, world: &World, at: usize) -> Vec<Deed> {
        let it = &world.engines[at];
        let mut deeds = Vec::new();
        if let Some((_, is_answer)) = it.renewal {
            deeds.push(Deed::LoseRenewal);
            deeds.extend((!is_answer).then_some(Deed::Renew));
        }
        if it.append.is_some() {
            deeds.extend([Deed::Arrive, Deed::LoseAppend]);
        }
        if it.is_stopped {
            deeds.push(Deed::Continue);
            return deeds;
        }
        deeds.push(Deed::Stop);
        match it.renewal {
            Some((_, true)) => deeds.push(Deed::Renewed),
            Some((_, false)) => {}
            None => deeds.extend((it.trust > 0).then_some(Deed::Ask)),
        }
        if it.trust == 0 && it.drives.is_none() && it.append.is_none() {
            deeds.push(Deed::Begin);
        }
        let is_free = world.owner.is_none_or(|owner| world.engines[owner].lease == 0);
        let is_over = world.journal.last().is_some_and(|(_, fact)| *fact == Fact::Ended);
        if it.trust > 0 && it.claim.is_none() && is_free && !is_over && world.epoch < EPOCHS {
            deeds.push(Deed::Claim);
        }
        if it.claim.is_some() {
            deeds.push(Deed::Hear);
        }
        if it.durable.is_some() {
            deeds.push(Deed::Perform);
        } else if it.drives.is_some() && it.append.is_none() {
            deeds.push(Deed::Write(self.next(world, at)));
        }
        deeds
    }

    /// What the machine writes next: it has read the journal when it took the group up.
    fn next(&self, world: &World, at: usize) -> Fact {
        let it = &world.engines[at];
        let mine = world.journal.iter().rev().find(|(epoch, _)| Some(*epoch) == it.drives);
        let read = world.journal.iter().rev().find(|(epoch, _)| Some(*epoch) < it.drives);
        match (it.has_attempt, mine.or(read)) {
            (true, _) => Fact::Ended,
            (false, Some((_, Fact::Requested))) => Fact::Lost,
            (false, _) => Fact::Requested,
        }
    }

    fn tick(&self, world: &mut World) {
        for it in &mut world.engines {
            it.lease = it.lease.saturating_sub(1);
            it.trust = it.trust.saturating_sub(1);
            it.renewal = it.renewal.map(|(age, is_answer)| ((age + 1).min(TRUSTED), is_answer));
            if !it.is_stopped {
                self.look(it);
            }
        }
    }

    /// When the lease is over the engine drops everything, before anybody else may begin.
    fn look(&self, it: &mut Engine) {
        if it.trust == 0 && self.looks() {
            (it.drives, it.has_attempt, it.durable) = (None, false, None);
        }
    }

    fn act(&self, world: &mut World, at: usize, deed: Deed) {
        match deed {
            Deed::Ask => world.engines[at].renewal = Some((0, false)),
            Deed::Renew => {
                let it = &mut world.engines[at];
                it.lease = LEASE;
                it.renewal = it.renewal.map(|(age, _)| (age, true));
            }
            Deed::Renewed => self.renewed(&mut world.engines[at]),
            Deed::LoseRenewal => world.engines[at].renewal = None,
            Deed::Begin => {
                let it = &mut world.engines[at];
                (it.lease, it.trust) = (LEASE, self.trusted());
                it.renewal = None;
                it.claim = it.claim.map(|(epoch, _)| (epoch, false));
                if world.owner == Some(at) {
                    world.owner = None;
                }
            }
            Deed::Claim => {
                (world.epoch, world.owner) = (world.epoch + 1, Some(at));
                let it = &mut world.engines[at];
                it.claim = Some((world.epoch, true));
            }
            Deed::Hear => {
                let it = &mut world.engines[at];
                let claim = it.claim.take();
                if let Some((epoch, true)) = claim
                    && (it.trust > 0 || !self.looks())
                {
                    (it.drives, it.has_attempt, it.durable) = (Some(epoch), false, None);
                }
            }
            Deed::Write(fact) => {
                let it = &mut world.engines[at];
                it.append = it.drives.map(|epoch| (epoch, fact));
            }
            Deed::Arrive => self.arrive(world, at),
            Deed::LoseAppend => world.engines[at].append = None,
            Deed::Perform => {
                let it = &mut world.engines[at];
                match it.durable.take() {
                    Some(Fact::Requested) => it.has_attempt = true,
                    Some(Fact::Ended) => (it.drives, it.has_attempt) = (None, false),
                    Some(Fact::Lost) | None => {}
                }
            }
            Deed::Stop => world.engines[at].is_stopped = true,
            Deed::Continue => {
                world.engines[at].is_stopped = false;
                self.look(&mut world.engines[at]);
            }
        }
    }

    /// An engine hears that its lease was renewed. It may have lost faith meanwhile; then it begins
    /// another term.
    fn renewed(&self, it: &mut Engine) {
        let (age, _) = it.renewal.take().unwrap_or_default();
        if it.trust > 0 {
            let since = if self.without == Without::Margin { 0 } else { age };
            it.trust = it.trust.max(self.trusted().saturating_sub(since));
        }
    }

    /// Rows arrive: the store takes them from whoever drives the group, and from nobody else.
    fn arrive(&self, world: &mut World, at: usize) {
        let Some((epoch, fact)) = world.engines[at].append.take() else { return };
        let is_good = epoch == world.epoch && world.owner == Some(at);
        let it = &mut world.engines[at];
        if is_good || self.without == Without::Fence {
            world.journal.push((epoch, fact));
            it.durable = it.drives.filter(|drives| *drives == epoch).map(|_| fact);
        } else {
            world.fenced = true;
            (it.drives, it.has_attempt, it.durable) = (None, false, None);
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        let engine = Engine { lease: LEASE, trust: self.trusted(), ..Engine::default() };
        vec![World { engines: vec![engine; ENGINES], ..World::default() }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        acts.push(Act::Tick);
        for at in 0..ENGINES {
            acts.extend(self.deeds(world, at).into_iter().map(|deed| Act::Of(at, deed)));
        }
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        match act {
            Act::Tick => self.tick(&mut next),
            Act::Of(at, deed) => self.act(&mut next, at, deed),
        }
        // Engines are alike: worlds that differ by their order are one.
        if next.engines[1] < next.engines[0] {
            next.engines.swap(0, 1);
            next.owner = next.owner.map(|owner| 1 - owner);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SOUND, |_, world: &World| is_sound(&world.journal)),
            Property::always(SINGLE, |_, world: &World| {
                let live = world.engines.iter().filter(|it| it.has_attempt && !it.is_stopped);
                live.count() < 2
            }),
            Property::sometimes(TAKEN, |_, world: &World| {
                matches!(world.journal.last(), Some((2.., Fact::Ended)))
            }),
            Property::sometimes(FENCED, |_, world: &World| world.fenced),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.journal.len() < 7
    }
}

const SOUND: &str = "a journal is written by one engine after the other";
const SINGLE: &str = "at most one attempt lives";
const TAKEN: &str = "a group that was taken over ends";
const FENCED: &str = "a late row is refused";

/// Epochs grow, each attempt is over before the next, and nothing follows the end.
fn is_sound(journal: &[(u8, Fact)]) -> bool {
    let mut is_open = false;
    journal.iter().enumerate().all(|(at, (epoch, fact))| {
        let before = at.checked_sub(1).map(|before| journal[before]);
        let follows = before.is_none_or(|(of, fact)| of <= *epoch && fact != Fact::Ended);
        let fits = (*fact == Fact::Requested) != is_open;
        is_open = *fact == Fact::Requested;
        follows && fits
    })
}

#[test]
fn lease_fence_and_take_over_keep_facts_and_attempts_single() {
    check(Protocol { without: Without::Nothing }, "nothing", None);
}

#[test]
fn each_rule_is_needed() {
    check(Protocol { without: Without::Fence }, "the fence", Some(SOUND));
    check(Protocol { without: Without::Look }, "the look", Some(SINGLE));
    check(Protocol { without: Without::Margin }, "the margin", Some(SINGLE));
}
