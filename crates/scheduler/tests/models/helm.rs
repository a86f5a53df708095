//! The helm of a deployment whose runs wait for each other: two runs, two engines that die, are
//! stopped, and whose commits arrive late. Whatever happens, a run goes on only when the one before
//! has ended, and alone. Each rule can be left out, and then the checker must find out why it is
//! there.
//!
//! ```text
//! store    who is at the helm and its revision, the runs with their engines, the leases
//! engine   its belief in its lease, its hold of the helm, what it drives, its attempt
//! between  a commit that accepts a run, which may arrive late
//! ```
//!
//! What a lease is worth by itself is the matter of `lease.rs`; here it is taken for granted.

use stateright::{Model, Property};

use crate::{ENGINES, LEASE, TRUSTED, check};

const RUNS: usize = 2;

/// So often the helm's document is written.
const REVISIONS: u8 = 5;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A run is accepted only in a commit that finds the helm unchanged.
    Guard,
    /// Runs go on only at a helm whose engine drives all that have not ended.
    Completeness,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct World {
    /// Who is at the helm.
    helm: Option<usize>,
    revision: u8,
    runs: [Option<Run>; RUNS],
    engines: [Engine; ENGINES],
    /// A run went on although one before it had not ended.
    overtaken: bool,
    /// A run was accepted, or went on, at another helm than the first.
    moved: bool,
    refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    owner: Option<usize>,
    has_ended: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Engine {
    lease: u8,
    trust: u8,
    is_stopped: bool,
    /// The revision at which it has the helm, and whether it drives everything.
    hold: Option<(u8, bool)>,
    drives: [bool; RUNS],
    attempt: Option<usize>,
    /// A commit on its way: the run, and the revision of the helm that it expects.
    accepting: Option<(usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Deed {
    Renew,
    Begin,
    TakeHelm,
    Complete,
    Claim(usize),
    GiveUp(usize),
    Accept(usize),
    Arrive,
    Start(usize),
    End,
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

impl Engine {
    /// What it had is another's by now, or will be.
    fn drop_all(&mut self) {
        (self.hold, self.drives, self.attempt) = (None, [false; RUNS], None);
    }
}

impl World {
    fn is_dead(&self, engine: usize) -> bool {
        self.engines[engine].lease == 0
    }

    fn is_open(&self, run: usize) -> bool {
        self.runs[run].is_some_and(|run| !run.has_ended)
    }

    /// Whether the store takes what an engine writes of a run.
    fn owns(&self, engine: usize, run: usize) -> bool {
        self.runs[run].is_some_and(|run| run.owner == Some(engine) && !run.has_ended)
    }
}

impl Protocol {
    fn deeds(&self, world: &World, at: usize) -> Vec<Deed> {
        let it = &world.engines[at];
        let mut deeds = Vec::new();
        if it.accepting.is_some() {
            deeds.push(Deed::Arrive);
        }
        if it.is_stopped {
            deeds.push(Deed::Continue);
            return deeds;
        }
        deeds.push(Deed::Stop);
        if it.trust == 0 {
            // The loop is in its commit until that is decided.
            deeds.extend(it.accepting.is_none().then_some(Deed::Begin));
            return deeds;
        }
        deeds.push(Deed::Renew);
        let is_free = world.helm.is_none_or(|node| node == at || world.is_dead(node));
        if it.hold.is_none() && is_free && world.revision < REVISIONS {
            deeds.push(Deed::TakeHelm);
        }
        let is_complete = it.hold.is_some_and(|(_, complete)| complete);
        let has_all = (0..RUNS).all(|run| !world.is_open(run) || it.drives[run]);
        if it.hold.is_some() && !is_complete && has_all {
            deeds.push(Deed::Complete);
        }
        let may_go = is_complete || self.without == Without::Completeness && it.hold.is_some();
        for run in 0..RUNS {
            let owner = world.runs[run].and_then(|run| run.owner);
            let is_orphan = owner.is_none_or(|owner| world.is_dead(owner));
            if world.is_open(run) && is_orphan && owner != Some(at) {
                deeds.push(Deed::Claim(run));
            }
            if it.drives[run] && it.hold.is_none() && it.attempt != Some(run) {
                deeds.push(Deed::GiveUp(run));
            }
            // The machine lets the first of those go on that it knows.
            let is_first = !it.drives[..run].contains(&true);
            if may_go && it.drives[run] && is_first && it.attempt.is_none() {
                deeds.push(Deed::Start(run));
            }
        }
        let next = (0..RUNS).find(|run| self.is_new(world, *run));
        if let (true, Some(run), true) = (is_complete, next, world.revision < REVISIONS)
            && it.accepting.is_none()
        {
            deeds.push(Deed::Accept(run));
        }
        if it.attempt.is_some() {
            deeds.push(Deed::End);
        }
        deeds
    }

    /// Whether the run's id has not been drawn.
    fn is_new(&self, world: &World, run: usize) -> bool {
        let is_drawn = |it: &Engine| it.accepting.is_some_and(|(drawn, _)| drawn == run);
        world.runs[run].is_none() && !world.engines.iter().any(is_drawn)
    }

    fn act(&self, world: &mut World, at: usize, deed: Deed) {
        let revision = world.revision;
        match deed {
            Deed::Renew => (world.engines[at].lease, world.engines[at].trust) = (LEASE, TRUSTED),
            Deed::Begin => {
                (world.engines[at].lease, world.engines[at].trust) = (LEASE, TRUSTED);
                for run in world.runs.iter_mut().flatten() {
                    run.owner = run.owner.filter(|owner| *owner != at);
                }
            }
            Deed::TakeHelm => {
                world.moved |= world.helm.is_some_and(|node| node != at);
                (world.helm, world.revision) = (Some(at), revision + 1);
                world.engines[at].hold = Some((revision + 1, false));
            }
            Deed::Complete => {
                let is_mine = world.helm == Some(at);
                world.engines[at].hold = is_mine.then_some((revision, true));
            }
            Deed::Claim(run) => {
                world.runs[run] = Some(Run { owner: Some(at), has_ended: false });
                world.engines[at].drives[run] = true;
            }
            Deed::GiveUp(run) => {
                world.engines[at].drives[run] = false;
                if world.owns(at, run) {
                    world.runs[run] = Some(Run { owner: None, has_ended: false });
                }
            }
            Deed::Accept(run) => {
                let expected = world.engines[at].hold.map_or(0, |(revision, _)| revision);
                world.engines[at].accepting = Some((run, expected));
            }
            Deed::Arrive => self.arrive(world, at),
            Deed::Start(run) if world.owns(at, run) => {
                world.engines[at].attempt = Some(run);
                world.overtaken |= (0..run).any(|before| world.is_open(before));
            }
            Deed::Start(run) => world.engines[at].drives[run] = false,
            Deed::End => {
                let Some(run) = world.engines[at].attempt.take() else { return };
                if world.owns(at, run) {
                    world.runs[run] = Some(Run { owner: Some(at), has_ended: true });
                }
                world.engines[at].drives[run] = false;
            }
            Deed::Stop => world.engines[at].is_stopped = true,
            Deed::Continue => {
                world.engines[at].is_stopped = false;
                if world.engines[at].trust == 0 {
                    world.engines[at].drop_all();
                }
            }
        }
    }

    /// A commit that accepts a run arrives, and its engine hears what became of it.
    fn arrive(&self, world: &mut World, at: usize) {
        let Some((run, expected)) = world.engines[at].accepting.take() else { return };
        let is_good = expected == world.revision || self.without == Without::Guard;
        if !is_good {
            world.refused = true;
            world.engines[at].hold = None;
            return;
        }
        world.runs[run] = Some(Run { owner: Some(at), has_ended: false });
        if self.without != Without::Guard {
            world.revision += 1;
        }
        let revision = world.revision;
        if let Some((known, _)) = &mut world.engines[at].hold {
            *known = revision;
            world.engines[at].drives[run] = true;
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        let engine = Engine { lease: LEASE, trust: TRUSTED, ..Engine::default() };
        vec![World { engines: [engine.clone(), engine], ..World::default() }]
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
            Act::Tick => {
                for it in &mut next.engines {
                    it.lease = it.lease.saturating_sub(1);
                    it.trust = it.trust.saturating_sub(1);
                    if it.trust == 0 && !it.is_stopped {
                        it.drop_all();
                    }
                }
            }
            Act::Of(at, deed) => self.act(&mut next, at, deed),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ORDERED, |_, world: &World| !world.overtaken),
            Property::always(ALONE, |_, world: &World| {
                let live = world.engines.iter().filter(|it| it.attempt.is_some() && !it.is_stopped);
                live.count() < 2
            }),
            Property::sometimes(MOVED, |_, world: &World| {
                let all = world.runs.iter().all(|run| run.is_some_and(|run| run.has_ended));
                world.moved && all
            }),
            Property::sometimes(REFUSED, |_, world: &World| world.refused),
        ]
    }
}

const ORDERED: &str = "no run goes on before the one before it has ended";
const ALONE: &str = "one run goes on at a time";
const MOVED: &str = "all runs end although the helm changed hands";
const REFUSED: &str = "a late commit is refused";

#[test]
fn runs_that_wait_for_each_other_do_so_wherever_they_are_driven() {
    check(Protocol { without: Without::Nothing }, "nothing", None);
}

#[test]
fn each_rule_of_the_helm_is_needed() {
    check(Protocol { without: Without::Guard }, "the guard", Some(ORDERED));
    check(Protocol { without: Without::Completeness }, "completeness", Some(ORDERED));
}
