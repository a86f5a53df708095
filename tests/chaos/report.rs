//! The report, in Markdown.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::disk;
use crate::faults::Ledger;
use crate::oracle::Verdict;
use crate::rig::{LEASE, Rig};
use crate::takeover::Parts;

pub(crate) fn write(
    rig: &Rig,
    ledger: &Ledger,
    parts: &Parts,
    verdict: &Verdict,
    load: Duration,
) -> String {
    let mut text = String::new();
    let seconds = load.as_secs();
    let faults: u64 = ledger.counts.values().sum();
    let _ = writeln!(
        text,
        "Command: `{command}`. {engines} engines on one PostgreSQL, lease {LEASE:?}, {seconds} s of \
         load with faults, seed {seed}.\n",
        seed = rig.seed,
        command = crate::command(rig.seed, load),
        engines = rig.nodes.len(),
    );
    let _ = writeln!(text, "| fault | times |\n|---|---:|");
    for (kind, times) in &ledger.counts {
        let _ = writeln!(text, "| {kind} | {times} |");
    }
    if rig.cluster.disk().is_none() {
        let _ = writeln!(text, "| {} | **left out**: no `tmpfs` can be mounted here |", disk::FULL);
    }
    let _ = writeln!(text, "| all | {faults} |\n\n| | |\n|---|---:|");
    let requests = rig.seen.requests.load(Ordering::Relaxed);
    let repeated = rig.seen.repeated.load(Ordering::Relaxed);
    for (what, number) in [
        ("requests", requests),
        ("of them to be repeated", repeated),
        ("runs acknowledged", verdict.runs),
        ("job groups ended", verdict.groups),
        ("of them cancelled", verdict.cancelled),
        ("jobs ended", verdict.jobs),
        ("groups that ran one after the other, by the run policy", verdict.queued),
        ("attempts requested", verdict.attempts),
        ("times that a group was taken up by an engine", verdict.adopted),
        ("processes that ran", verdict.processes),
        ("of them killed", verdict.killed),
        ("times that a full disk ended PostgreSQL", ledger.died_of_disk),
        ("engines that ended by themselves", ledger.ended_by_themselves),
    ] {
        let _ = writeln!(text, "| {what} | {number} |");
    }
    times(&mut text, "take-over of a lost engine's group", &parts.whole);
    times(&mut text, "of it, until the lease ended", &parts.lease);
    times(&mut text, "of it, from the end of the lease to the claim", &parts.claim);
    times(&mut text, "from the claim to the group's first event", &parts.event);
    let resumed = "an engine is killed and restarted at once: its groups go on";
    times(&mut text, resumed, &ledger.resumptions);
    times(&mut text, "from the end of a full disk to an engine's next commit", &ledger.revivals);
    times(&mut text, "orderly end of an engine, its groups let go", &ledger.handovers);
    let _ = writeln!(text, "| **facts lost** | **{}** |", verdict.lost.len());
    let _ = writeln!(text, "| **double live attempts** | **{}** |", verdict.doubles.len());
    let other = verdict.wrong.len() + ledger.wrong.len() + refused(rig).len();
    let _ = writeln!(text, "| **other breaches** | **{other}** |");
    text
}

fn times(text: &mut String, what: &str, times: &[Duration]) {
    let mut times = times.to_vec();
    times.sort();
    let Some(longest) = times.last() else {
        let _ = writeln!(text, "| {what} | none |");
        return;
    };
    let median = times[times.len() / 2];
    let _ = writeln!(
        text,
        "| {what}: median, longest, of | {:.1} s, {:.1} s, {} |",
        median.as_secs_f64(),
        longest.as_secs_f64(),
        times.len()
    );
}

fn refused(rig: &Rig) -> Vec<String> {
    rig.seen.refused.lock().unwrap().clone()
}

/// Everything that is wrong, one line each.
pub(crate) fn breaches(rig: &Rig, ledger: &Ledger, verdict: &Verdict) -> Vec<String> {
    let kinds = [
        ("lost", &verdict.lost),
        ("double", &verdict.doubles),
        ("wrong", &verdict.wrong),
        ("wrong", &ledger.wrong),
        ("refused", &refused(rig)),
    ];
    kinds.iter().flat_map(|(kind, all)| all.iter().map(move |it| format!("{kind}: {it}"))).collect()
}
