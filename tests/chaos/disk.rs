//! The faults of PostgreSQL's disk: it is full for a while, or slow.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::faults::{Book, count, wrong};
use crate::rig::Rig;
use crate::takeover::now;

pub(crate) const FULL: &str = "PostgreSQL's disk full for 1 to 6 s";

/// How long engines may need to write again after the disk has room.
const REVIVAL: Duration = Duration::from_secs(30);

/// The largest and the smallest piece of ballast.
const PIECE: u64 = 16 << 20;
const PAGE: u64 = 4096;

/// The size of the disk: what a run of that length writes must have room on it.
pub(crate) fn megabytes(load: Duration) -> u64 {
    768 + load.as_secs() / 2
}

/// Each flush of the log takes a tenth of a second more, the most that `commit_delay` can do: to
/// engines the same as a disk whose `fsync` is so slow.
pub(crate) async fn slow(rig: &Rig, book: &Book, dice: &mut Dice) {
    let slow = ["SET commit_siblings = 0", "SET commit_delay = 100000"];
    if rig.store.set(&slow).await.is_ok() {
        count(book, "each flush of PostgreSQL's log 100 ms slower (commit_delay) for 2 to 6 s");
        sleep(Duration::from_millis(dice.draw(2000..6000))).await;
    }
    for _ in 0..20 {
        if rig.store.set(&["RESET commit_delay", "RESET commit_siblings"]).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    wrong(book, "PostgreSQL stays slow: its settings cannot be reset".to_owned());
}

/// Fills the disk for a while. PostgreSQL refuses what needs room, or dies where its log needs
/// some; then it is started again, as an operator would.
pub(crate) async fn full(rig: &Rig, book: &Book, dice: &mut Dice) {
    let Some(disk) = rig.cluster.disk() else { return };
    count(book, FULL);
    let ballast = disk.join("ballast");
    let until = Instant::now() + Duration::from_millis(dice.draw(1000..6000));
    while Instant::now() < until {
        if let Err(error) = fill(&ballast) {
            wrong(book, format!("the disk cannot be filled: {error}"));
            break;
        }
        // What the server frees is taken too.
        sleep(Duration::from_millis(50)).await;
    }
    if let Err(error) = std::fs::remove_file(&ballast) {
        wrong(book, format!("the disk cannot be emptied: {error}"));
    }
    revived(rig, book, now()).await;
}

/// Takes all the room that is left, in ever smaller pieces: a piece that does not fit is given back
/// whole, and the server takes room at the same time.
fn fill(ballast: &Path) -> std::io::Result<()> {
    let file = File::options().create(true).append(true).open(ballast)?;
    let mut piece = PIECE;
    while piece >= PAGE {
        let (end, space) = (file.metadata()?.len(), fstatvfs(&file)?);
        let free = space.f_bavail * space.f_frsize;
        if free < piece || fallocate(&file, FallocateFlags::empty(), end, piece).is_err() {
            piece /= 4;
        }
    }
    Ok(())
}

/// Waits until every engine has written again.
async fn revived(rig: &Rig, book: &Book, emptied: i64) {
    let (since, mut ready) = (Instant::now(), 0);
    while since.elapsed() < REVIVAL {
        relaunch(rig, book).await;
        if let Ok(writes) = rig.store.last_writes().await {
            let written = writes.values().filter(|at| **at > emptied).count();
            let new = written.min(rig.nodes.len()).saturating_sub(ready);
            ready += new;
            let times = std::iter::repeat_n(since.elapsed(), new);
            book.lock().unwrap().revivals.extend(times);
            if ready == rig.nodes.len() {
                return;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    let left = rig.nodes.len() - ready;
    wrong(book, format!("{left} engines do not write {REVIVAL:?} after the disk has room"));
}

/// Starts PostgreSQL again where the full disk ended it.
async fn relaunch(rig: &Rig, book: &Book) {
    let cluster = Arc::clone(&rig.cluster);
    let launched = tokio::task::spawn_blocking(move || {
        let is_ended = !cluster.is_running();
        if is_ended {
            cluster.launch();
        }
        is_ended
    });
    match launched.await {
        Ok(false) => {}
        Ok(true) => book.lock().unwrap().died_of_disk += 1,
        Err(_) => wrong(book, "PostgreSQL does not start after its disk was full".to_owned()),
    }
}
