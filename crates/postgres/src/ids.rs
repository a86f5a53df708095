//! Ids. A node takes them from the database in blocks, so that most allocations ask nobody; what is
//! left of a block when it ends stays unused.

use std::collections::BTreeMap;

use jobwright_core::{ID_LIMIT, Kind};
use tokio::sync::Mutex;

use crate::fault::Fault;
use crate::link::Link;

/// How many ids a block holds beyond those asked for. Small, since the nodes' ids mingle by blocks,
/// and people take the greater id for the later one.
const BLOCK: i64 = 64;

/// The ids that this node has and has not given to anybody, by kind: the next, and the first that
/// is not ours.
#[derive(Default)]
pub(crate) struct Ids(Mutex<BTreeMap<Kind, (i64, i64)>>);

impl Ids {
    /// Takes consecutive ids. An answer that is lost costs ids and nothing else.
    pub(crate) async fn allocate(&self, link: &Link, kind: Kind, count: u32) -> Result<i64, Fault> {
        let count = i64::from(count);
        let mut blocks = self.0.lock().await;
        let (mut first, mut end) = blocks.get(&kind).copied().unwrap_or((0, 0));
        if end - first < count {
            let wanted = count + BLOCK;
            let sql = "INSERT INTO ids AS known (kind, next) VALUES ($1, 1 + $2::bigint)
                       ON CONFLICT (kind) DO UPDATE SET next = known.next + $2
                       RETURNING next - $2";
            let rows = link.query(sql, &[&kind.as_str(), &wanted]).await?;
            let row = rows.first().ok_or_else(|| Fault::broken("no ids came back".to_owned()))?;
            let next: i64 = row.try_get(0).map_err(Fault::row)?;
            // The old block ends where the new one begins if no other node took one meanwhile.
            first = if end == next { first } else { next };
            end = (next + wanted).min(ID_LIMIT);
            if end - first < count {
                let reason = format!("there are no {} ids below 2^53 left", kind.as_str());
                return Err(Fault::broken(reason));
            }
        }
        blocks.insert(kind, (first + count, end));
        Ok(first)
    }
}
