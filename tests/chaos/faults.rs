//! The faults, drawn from the seed, and how long it took until others had gone on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::disk;
use crate::node::Node;
use crate::proxy::Mode;
use crate::rig::{LEASE, Rig};
use crate::takeover::{self, Takeover};

/// What was done to the engines, and what came of it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Each group of an engine that was lost.
    pub(crate) takeovers: Vec<Takeover>,
    /// How long each group of an engine that was killed and restarted at once waited.
    pub(crate) resumptions: Vec<Duration>,
    /// How long it took after a full disk until each engine wrote again.
    pub(crate) revivals: Vec<Duration>,
    /// The same after an engine that ended in order.
    pub(crate) handovers: Vec<Duration>,
    /// How often PostgreSQL ended by a full disk.
    pub(crate) died_of_disk: u64,
    pub(crate) wrong: Vec<String>,
    pub(crate) ended_by_themselves: u64,
}

pub(crate) type Book = Arc<Mutex<Ledger>>;

pub(crate) fn count(book: &Book, kind: &'static str) {
    *book.lock().unwrap().counts.entry(kind).or_default() += 1;
}

pub(crate) fn wrong(book: &Book, what: String) {
    eprintln!("chaos: {what}");
    book.lock().unwrap().wrong.push(what);
}

/// Large faults, one after the other, until the time is over; what was broken is whole at the end.
pub(crate) async fn large(rig: Arc<Rig>, book: Book, until: Instant) {
    let mut dice = Dice::new(rig.seed);
    // All kinds come before one comes again.
    let mut kinds: Vec<u64> = Vec::new();
    while Instant::now() < until {
        sleep(Duration::from_millis(dice.draw(500..2500))).await;
        if kinds.is_empty() {
            kinds = vec![0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
        }
        let kind = kinds.swap_remove(dice.draw(0..kinds.len() as u64) as usize);
        let node = dice.choose(&rig.nodes);
        match kind {
            0 => kill(&rig, &book, node, &mut dice).await,
            1 => stop(&rig, &book, node, &mut dice).await,
            2 => sever(&rig, &book, node, &mut dice, Mode::Cut).await,
            3 => sever(&rig, &book, node, &mut dice, Mode::Stalled).await,
            4 => drain(&rig, &book, node, &mut dice).await,
            5 => postmaster(&rig, &book, &mut dice).await,
            6 => backend_killed(&rig, &book, &mut dice).await,
            7 => disk::slow(&rig, &book, &mut dice).await,
            _ => disk::full(&rig, &book, &mut dice).await,
        }
        for node in &rig.nodes {
            if node.has_ended().await {
                let code = node.wait().await;
                book.lock().unwrap().ended_by_themselves += 1;
                wrong(&book, format!("{} ended by itself: {code:?}", node.name));
                again(&rig, &book, node).await;
            }
        }
    }
}

/// Small faults beside the large ones.
pub(crate) async fn small(rig: Arc<Rig>, book: Book, until: Instant) {
    let mut dice = Dice::new(!rig.seed);
    while Instant::now() < until {
        sleep(Duration::from_millis(dice.draw(1500..5000))).await;
        match dice.draw(0..3) {
            0 | 1 => {
                let Ok(backends) = rig.store.backends().await else { continue };
                if backends.is_empty() {
                    continue;
                }
                if rig.store.terminate(*dice.choose(&backends)).await.is_ok() {
                    count(&book, "a connection ended by pg_terminate_backend");
                }
            }
            _ => {
                let node = dice.choose(&rig.nodes);
                if !node.proxy.slow(Duration::from_millis(dice.draw(10..60))) {
                    continue;
                }
                count(&book, "network slow (10 to 60 ms each way) for 1 to 3 s");
                sleep(Duration::from_millis(dice.draw(1000..3000))).await;
                node.proxy.quicken();
            }
        }
    }
}

async fn kill(rig: &Rig, book: &Book, node: &Node, dice: &mut Dice) {
    node.signal(Signal::KILL).await;
    if dice.draw(0..3) > 0 {
        count(book, "kill -9 of an engine");
        node.wait().await;
        taken_over(rig, book, node, "kill -9").await;
        sleep(Duration::from_millis(dice.draw(0..2000))).await;
        return again(rig, book, node).await;
    }
    count(book, "kill -9 of an engine, restart at once");
    node.wait().await;
    // The next life knows that the last one is over, and waits for no lease.
    let watched = takeover::watch(rig, book, node, "kill -9 and restart");
    let (taken, ()) = tokio::join!(watched, again(rig, book, node));
    let took = taken.iter().map(Takeover::took);
    book.lock().unwrap().resumptions.extend(took);
}

async fn taken_over(rig: &Rig, book: &Book, node: &Node, fault: &str) {
    let taken = takeover::watch(rig, book, node, fault).await;
    book.lock().unwrap().takeovers.extend(taken);
}

async fn stop(rig: &Rig, book: &Book, node: &Node, dice: &mut Dice) {
    count(book, "SIGSTOP of an engine for longer than its lease, SIGCONT");
    node.signal(Signal::STOP).await;
    let began = Instant::now();
    taken_over(rig, book, node, "SIGSTOP").await;
    sleep(Duration::from_millis(dice.draw(0..3000))).await;
    sleep((LEASE + Duration::from_secs(1)).saturating_sub(began.elapsed())).await;
    node.signal(Signal::CONT).await;
}

async fn sever(rig: &Rig, book: &Book, node: &Node, dice: &mut Dice, mode: Mode) {
    let is_cut = mode == Mode::Cut;
    count(book, if is_cut { "network cut, healed" } else { "network stalled, healed" });
    node.proxy.set(mode);
    // Half of them end within the lease.
    if dice.draw(0..2) == 0 {
        sleep(Duration::from_millis(dice.draw(300..3000))).await;
    } else {
        taken_over(rig, book, node, if is_cut { "cut" } else { "stall" }).await;
        sleep(Duration::from_millis(dice.draw(0..3000))).await;
    }
    node.proxy.set(Mode::Open);
}

async fn drain(rig: &Rig, book: &Book, node: &Node, dice: &mut Dice) {
    count(book, "SIGTERM of an engine, restart");
    let (life, began) = (node.id(), Instant::now());
    node.signal(Signal::TERM).await;
    let code = tokio::time::timeout(Duration::from_secs(60), node.wait()).await;
    match code {
        Ok(Some(0)) => {}
        Ok(code) => wrong(book, format!("{} ended with {code:?} after SIGTERM", node.name)),
        Err(_) => {
            wrong(book, format!("{} does not end in a minute after SIGTERM", node.name));
            node.signal(Signal::KILL).await;
            node.wait().await;
        }
    }
    if let Ok(left) = rig.store.groups_of(&life).await
        && !left.is_empty()
    {
        wrong(book, format!("{} kept {} groups at its end", node.name, left.len()));
    }
    book.lock().unwrap().handovers.push(began.elapsed());
    sleep(Duration::from_millis(dice.draw(0..2000))).await;
    again(rig, book, node).await;
}

async fn postmaster(rig: &Rig, book: &Book, dice: &mut Dice) {
    count(book, "kill -9 of the postmaster, restart");
    let cluster = Arc::clone(&rig.cluster);
    let _ = tokio::task::spawn_blocking(move || cluster.kill()).await;
    sleep(Duration::from_millis(dice.draw(200..4000))).await;
    let cluster = Arc::clone(&rig.cluster);
    if tokio::task::spawn_blocking(move || cluster.launch()).await.is_err() {
        wrong(book, "PostgreSQL does not start again".to_owned());
    }
}

/// PostgreSQL takes that for damaged memory, and starts all of itself again.
async fn backend_killed(rig: &Rig, book: &Book, dice: &mut Dice) {
    let backends = rig.store.backends().await.unwrap_or_default();
    let Some(pid) = (!backends.is_empty()).then(|| *dice.choose(&backends)) else { return };
    count(book, "kill -9 of a backend: PostgreSQL recovers");
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Starts an engine until it starts: a small fault may hit its first steps.
pub(crate) async fn again(rig: &Rig, book: &Book, node: &Node) {
    for _ in 0..10 {
        match rig.begin(node).await {
            Ok(()) => return,
            Err(error) => eprintln!("chaos: {} starts once more: {error:#}", node.name),
        }
        sleep(Duration::from_millis(500)).await;
    }
    wrong(book, format!("{} does not start", node.name));
}
