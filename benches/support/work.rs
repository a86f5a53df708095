//! What is measured in a row of the dispatch table, each beside its floor.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jobwright::adapters::{LocalProcessExecutor, MockExecutor};
use jobwright::core::Bundle;
use jobwright::store::{MemoryStore, SqliteStore};

use super::floors;
use super::rig::{Kept, Rig};
use super::table::Sample;

/// How many attempts the engine begins in a turn, and so how many tasks of the limited floor live
/// at a time.
pub(crate) const LIMIT: usize = 1_024;

/// What is measured in a row.
pub(crate) enum Work {
    /// Another way to do nothing.
    Floor {
        units: usize,
        floor: Floor,
    },
    Memory {
        bundle: Bundle,
        executor: MockExecutor,
        kept: Kept,
    },
    Durable {
        bundle: Bundle,
        runs: usize,
    },
    Processes {
        bundle: Bundle,
    },
}

/// Ways to do nothing.
#[derive(Clone, Copy)]
pub(crate) enum Floor {
    /// The floor itself: how far apart two equal measurements are.
    Same,
    JoinSet {
        permits: Option<usize>,
    },
    /// Beside the floor of the durable row.
    Append,
}

/// Where files are written, and a number that makes their names differ.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) turn: usize,
}

impl Work {
    /// Measures it once, and its floor just before it.
    pub(crate) async fn measure(&self, place: &Place) -> Result<Sample> {
        match self {
            Self::Floor { units, floor } => floor.measure(*units, place).await,
            Self::Memory { bundle, executor, kept } => {
                let store = match kept {
                    Kept::Journals => MemoryStore::new(),
                    Kept::Verdicts => MemoryStore::forgetting_ended(),
                };
                let rig = Rig::start(store, executor.clone(), bundle).await?;
                let limited = floors::spawn_and_join_set(rig.jobs(), Some(LIMIT)).await?;
                let floor = floors::spawn_and_join(rig.jobs()).await?;
                let sample = one_run(rig, *kept, floor).await?;
                Ok(Sample { limited: Some(limited), ..sample })
            }
            Self::Durable { bundle, runs } => durable(bundle, *runs, place).await,
            Self::Processes { bundle } => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let root = place.path("attempts");
                let executor = LocalProcessExecutor::new(root).slots(u32::try_from(2 * cores)?);
                let rig = Rig::start(MemoryStore::new(), executor, bundle).await?;
                let floor = floors::processes(rig.jobs(), 2 * cores).await?;
                one_run(rig, Kept::Journals, floor).await
            }
        }
    }
}

impl Floor {
    async fn measure(self, units: usize, place: &Place) -> Result<Sample> {
        let floor = match self {
            Self::Same | Self::JoinSet { .. } => floors::spawn_and_join(units).await?,
            Self::Append => floors::group_commit(place.path("group-commit.db"), units).await?,
        };
        let run = match self {
            Self::Same => floors::spawn_and_join(units).await?,
            Self::JoinSet { permits } => floors::spawn_and_join_set(units, permits).await?,
            Self::Append => {
                let file = place.path("append.db");
                tokio::task::spawn_blocking(move || floors::append(&file, units)).await??
            }
        };
        let prepare = Duration::ZERO;
        Ok(Sample { jobs: units, prepare, run, units, floor, limited: None, missed: 0 })
    }
}

impl Place {
    /// A path that nothing else has.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-{}", self.turn))
    }
}

async fn one_run(rig: Rig, kept: Kept, floor: Duration) -> Result<Sample> {
    let (prepared, prepare) = rig.prepare().await?;
    let (handle, run) = rig.run(prepared).await?;
    rig.check(&handle, kept).await?;
    let jobs = rig.jobs();
    drop(handle);
    let missed = rig.end().await?;
    Ok(Sample { jobs, prepare, run, units: jobs, floor, limited: None, missed })
}

/// Several runs on one database, one after another, beside rows appended to a bare table in the
/// same folder.
async fn durable(bundle: &Bundle, runs: usize, place: &Place) -> Result<Sample> {
    let store = SqliteStore::open(place.path("engine.db"))?;
    let rig = Rig::start(store, MockExecutor::new(), bundle).await?;
    let jobs = rig.jobs() * runs;
    let rows = (2 * jobs).next_multiple_of(1_000);
    let floor = floors::group_commit(place.path("group-commit.db"), rows).await?;
    let (mut prepare, mut run) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..runs {
        let (prepared, expanding) = rig.prepare().await?;
        let (handle, running) = rig.run(prepared).await?;
        prepare += expanding;
        run += running;
        rig.check(&handle, Kept::Journals).await?;
    }
    let missed = rig.end().await?;
    Ok(Sample { jobs, prepare, run, units: rows, floor, limited: None, missed })
}
