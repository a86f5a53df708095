//! How long it takes until others drive what a lost engine drove, and where the time goes: until
//! its lease ends, until another engine claims a group, until the group's first event there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use crate::faults::{Book, wrong};
use crate::node::Node;
use crate::rig::Rig;

/// A take-over that takes longer than this is a fault of the engine's.
const TOO_LONG: i64 = 30_000;

/// A claim that comes so long after the end of the lease is looked into.
const LATE: i64 = 2_500;

/// One group that changed hands. All times are the machine's, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takeover {
    pub(crate) group: i64,
    /// The epoch under which the lost engine drove it.
    pub(crate) epoch: i64,
    pub(crate) lost: i64,
    pub(crate) lease_ended: i64,
    pub(crate) claimed: i64,
}

impl Takeover {
    pub(crate) fn took(&self) -> Duration {
        Duration::from_millis((self.claimed - self.lost).max(0) as u64)
    }

    /// The lease of an engine that could not renew for a while may have ended before it was lost.
    fn lease_over(&self) -> i64 {
        self.lease_ended.clamp(self.lost, self.claimed)
    }
}

/// What all take-overs took, by part.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) whole: Vec<Duration>,
    pub(crate) lease: Vec<Duration>,
    pub(crate) claim: Vec<Duration>,
    pub(crate) event: Vec<Duration>,
}

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// Watches until no group is left with an engine that cannot go on, and returns all that were taken
/// over.
pub(crate) async fn watch(rig: &Rig, book: &Book, node: &Node, fault: &str) -> Vec<Takeover> {
    let (life, lost) = (node.id(), now());
    let mut left: Option<BTreeMap<i64, i64>> = None;
    let mut taken = Vec::new();
    let (mut lease_ended, mut looked) = (lost, 0);
    while now() < lost + TOO_LONG {
        sleep(Duration::from_millis(50)).await;
        let ends = rig.store.lease_end(&life).await;
        lease_ended = ends.ok().flatten().unwrap_or(lease_ended);
        let Ok(held) = rig.store.groups_of(&life).await else { continue };
        let claimed = now();
        let before = left.replace(held.clone()).unwrap_or_else(|| held.clone());
        let gone = before.into_iter().filter(|(group, _)| !held.contains_key(group));
        let gone = gone.map(|(group, epoch)| Takeover { group, epoch, lost, lease_ended, claimed });
        taken.extend(gone);
        if held.is_empty() {
            return taken;
        }
        if claimed > lease_ended.max(lost) + LATE && claimed > looked + 1000 {
            looked = claimed;
            let open =
                rig.store.transactions().await.unwrap_or_else(|error| vec![error.to_string()]);
            let of = format!(
                "{fault}, {}: {} groups wait {} ms after the end of the lease, {} ms after the fault",
                node.name,
                held.len(),
                claimed - lease_ended,
                claimed - lost,
            );
            println!("chaos: {of}");
            for line in &open {
                println!("chaos:   open transaction: {line}");
            }
        }
    }
    let left = left.unwrap_or_default();
    wrong(book, format!("groups of {} are not taken over: {left:?}", node.name));
    taken
}

/// Takes all take-overs apart; asks the journals for the first events.
pub(crate) async fn parts(rig: &Rig, takeovers: &[Takeover]) -> Parts {
    let span = |from: i64, to: i64| Duration::from_millis((to - from).max(0) as u64);
    let mut parts = Parts::default();
    for it in takeovers {
        parts.whole.push(it.took());
        parts.lease.push(span(it.lost, it.lease_over()));
        parts.claim.push(span(it.lease_over(), it.claimed));
        if let Ok(Some(first)) = rig.store.first_event(it.group, it.epoch).await {
            parts.event.push(span(it.claimed, first));
        }
    }
    parts
}
