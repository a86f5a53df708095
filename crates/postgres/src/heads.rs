//! Where journals end, and whether appends may follow. A batch first says what must hold, in the
//! statements that write it; only where one of them wrote fewer rows than it should, the ends are
//! read under a lock and judged append by append.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jobwright_core::{Append, Commit, Epoch, GroupId, NodeId, Record, Refusal, Seq};
use uuid::Uuid;

use crate::fault::Fault;
use crate::queries::column;
use crate::session::{Ask, Session};

const FIRST: Seq = Seq(1);

/// Ends of journals as columns.
#[derive(Default)]
pub(crate) struct Heads {
    ids: Vec<i64>,
    epochs: Vec<i64>,
    owners: Vec<Uuid>,
    firsts: Vec<i64>,
    nexts: Vec<i64>,
    ends: Vec<bool>,
}

impl Heads {
    fn push(&mut self, group: GroupId, chain: &Chain) -> Option<()> {
        self.ids.push(group.get());
        self.epochs.push(i64::try_from(chain.epoch.0).ok()?);
        self.owners.push(chain.owner.0);
        self.firsts.push(i64::try_from(chain.first.0).ok()?);
        self.nexts.push(i64::try_from(chain.next.0).ok()?);
        self.ends.push(chain.ends);
        Some(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.ids.len() as u64
    }
}

/// What the appends of a batch do to one journal.
struct Chain {
    epoch: Epoch,
    owner: NodeId,
    first: Seq,
    next: Seq,
    ends: bool,
}

/// What a batch does to the ends of journals, if it may.
#[derive(Default)]
pub(crate) struct Planned {
    /// Journals that it makes.
    pub(crate) made: Heads,
    /// Journals that it goes on with.
    pub(crate) moved: Heads,
}

impl Planned {
    /// None where the appends of the batch do not even fit together.
    pub(crate) fn of(commits: &[Arc<Commit>]) -> Option<Self> {
        let mut chains: BTreeMap<GroupId, Chain> = BTreeMap::new();
        for append in commits.iter().flat_map(|commit| &commit.journal) {
            let Append { owner, record, .. } = append;
            let (epoch, first, owner) = (record.epoch, record.first, *owner);
            let fresh = Chain { epoch, owner, first, next: first, ends: false };
            let chain = chains.entry(record.group).or_insert(fresh);
            if (chain.epoch, chain.owner, chain.next) != (epoch, owner, first) {
                return None;
            }
            chain.next = record.next();
            chain.ends |= ends(append);
        }
        let mut planned = Self::default();
        for (group, chain) in &chains {
            let made = chain.first == FIRST;
            let heads = if made { &mut planned.made } else { &mut planned.moved };
            heads.push(*group, chain)?;
        }
        Some(planned)
    }

    /// The statements that move the ends, each writing a row per journal if it may.
    pub(crate) fn asks(&self) -> [Ask<'_>; 2] {
        let Heads { ids, epochs, owners, firsts, nexts, ends } = &self.moved;
        let moved = Ask { sql: MOVE, bound: vec![ids, epochs, owners, firsts, nexts, ends] };
        let Heads { ids, epochs, owners, nexts, ends, .. } = &self.made;
        let made = Ask { sql: MAKE, bound: vec![ids, epochs, owners, nexts, ends] };
        [moved, made]
    }
}

fn ends(append: &Append) -> bool {
    append.summary.as_ref().is_some_and(|it| it.status.is_terminal())
}

const MOVE: &str = "UPDATE groups AS g SET next = u.next, ended = g.ended OR u.ends
    FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::boolean[])
        AS u (id, epoch, owner, first, next, ends)
    WHERE g.id = u.id AND g.epoch = u.epoch AND g.owner = u.owner AND g.next = u.first";

const MAKE: &str = "INSERT INTO groups (id, epoch, owner, next, ended)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::boolean[])
    ON CONFLICT DO NOTHING";

/// The end of one journal, under a lock.
struct Head {
    epoch: Epoch,
    owner: Option<NodeId>,
    next: Seq,
}

/// The ends of all journals of some commits.
pub(crate) struct Locked(BTreeMap<GroupId, Head>);

/// Reads the ends of the journals, which nobody changes until the transaction is over.
pub(crate) async fn lock(session: &Session, commits: &[Arc<Commit>]) -> Result<Locked, Fault> {
    let appends = commits.iter().flat_map(|commit| &commit.journal);
    let groups: BTreeSet<GroupId> = appends.map(|append| append.record.group).collect();
    let ids: Vec<i64> = groups.iter().map(|group| group.get()).collect();
    let sql = "SELECT g.id, g.epoch, g.owner, g.next
               FROM unnest($1::bigint[]) AS u (id) JOIN groups AS g ON g.id = u.id
               ORDER BY g.id FOR UPDATE OF g";
    let mut heads = BTreeMap::new();
    for row in session.query(sql, &[&ids]).await? {
        let group = GroupId::new(column(&row, 0)?);
        let group = group.map_err(|error| Fault::broken(error.to_string()))?;
        let epoch = Epoch(column::<i64>(&row, 1)?.unsigned_abs());
        let owner = column::<Option<Uuid>>(&row, 2)?.map(NodeId);
        let next = Seq(column::<i64>(&row, 3)?.unsigned_abs());
        heads.insert(group, Head { epoch, owner, next });
    }
    Ok(Locked(heads))
}

impl Locked {
    /// Adds a refusal for each append that may not follow, the others of the commit being made.
    pub(crate) fn judge(&mut self, commit: &Commit, refusals: &mut Vec<Refusal>) {
        for append in &commit.journal {
            if let Err(refusal) = self.follow(append) {
                refusals.push(refusal);
            }
        }
    }

    fn follow(&mut self, append: &Append) -> Result<(), Refusal> {
        let Record { group, first: given, epoch, .. } = append.record;
        let Some(head) = self.0.get_mut(&group) else {
            if given != FIRST {
                return Err(Refusal::Conflict { group, given, current: FIRST });
            }
            let owner = Some(append.owner);
            self.0.insert(group, Head { epoch, owner, next: append.record.next() });
            return Ok(());
        };
        if head.epoch != epoch || head.owner != Some(append.owner) {
            return Err(Refusal::Fenced { group, given: epoch, current: head.epoch });
        }
        if head.next != given {
            return Err(Refusal::Conflict { group, given, current: head.next });
        }
        head.next = append.record.next();
        Ok(())
    }
}
