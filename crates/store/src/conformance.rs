//! The contract of [`Store`], sentence by sentence, for whoever writes a store.
//!
//! Each check runs on a fresh, empty store. A store that passes them all may be given to an engine:
//!
//! ```
//! use jobwright_store::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::exercise(|| async { MemoryStore::new() }).await;
//! # }
//! ```

mod catalog;
mod commits;
mod journal;
mod leases;
mod nodes;
mod prune;
mod sample;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jobwright_core::{CommitError, Refusal, Store, StoreError};
use thiserror::Error;

/// Runs all checks, each on a store that `make` has just made: empty, and not shared with any
/// other. Those for several nodes hold for any store that is not [shared](Store::is_shared). Needs
/// a tokio runtime; on several threads it checks concurrency better.
///
/// # Panics
/// Names every sentence of the contract that the store breaks, and how.
pub async fn exercise<S, F, Fut>(make: F)
where
    S: Store,
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
{
    let mut broken = Vec::new();
    for check in checks() {
        let store: Arc<dyn Store> = Arc::new(make().await);
        if let Err(fault) = (check.run)(store).await {
            broken.push(format!("{}\n    {fault}", check.sentence));
        }
    }
    assert!(broken.is_empty(), "the store breaks its contract:\n  {}", broken.join("\n  "));
}

/// One sentence of the contract, and how to see whether it holds.
struct Check {
    sentence: &'static str,
    run: fn(Arc<dyn Store>) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// How a store broke a sentence.
#[derive(Debug, Error)]
enum Fault {
    #[error("{0}")]
    Differs(String),
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    #[error("the commit failed: {0}")]
    Commit(#[from] CommitError),
}

/// Compares what a store did with what the contract says.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Fault> {
    if found == expected {
        return Ok(());
    }
    Err(Fault::Differs(format!("{what}: expected {expected:?}, found {found:?}")))
}

fn holds(what: &str, truth: bool) -> Result<(), Fault> {
    if truth { Ok(()) } else { Err(Fault::Differs(what.to_owned())) }
}

/// Takes the refusals of a commit that must be refused.
fn refusals(result: Result<(), CommitError>) -> Result<Vec<Refusal>, Fault> {
    match result {
        Err(CommitError::Refused(refusals)) => Ok(refusals),
        Ok(()) => Err(Fault::Differs("the commit happened, but must be refused".to_owned())),
        Err(error) => Err(error.into()),
    }
}

macro_rules! checks {
    ($($sentence:literal => $run:path,)+) => {
        fn checks() -> Vec<Check> {
            vec![$(Check { sentence: $sentence, run: |store| Box::pin($run(store)) },)+]
        }
    };
}

checks! {
    "ids grow and are never given twice" => catalog::ids_grow,
    "a commit is durable as a whole: journals, documents and contents" => commits::whole,
    "nothing of a refused commit is there" => commits::nothing_of_a_refused_one,
    "all refusals of a commit are reported at once" => commits::all_refusals_at_once,
    "commits are ordered as they were called" => commits::ordered,
    "commits of many callers keep the order of each group" => commits::concurrent,
    "a row at 1 makes the journal with the row's epoch" => journal::first_row,
    "a row must follow the journal's last event" => journal::conflicts,
    "a row must carry the group's epoch" => journal::fences,
    "load returns what was appended, from a position on" => journal::loads_from,
    "journals are loaded together in the order in which they are asked for" => journal::loads_many,
    "a group that does not exist has no records" => journal::nothing_to_load,
    "a journal is not mixed up with that of another group" => journal::apart,
    "claim takes unfinished groups in the order of their ids, up to the limit" => leases::claims,
    "each claim gives an epoch that is greater than all before" => leases::epochs_grow,
    "a row under an epoch before the claim is fenced" => leases::claimed_away,
    "a node does not claim what it drives" => leases::not_its_own,
    "renew keeps a node's groups from others, or the others fence it" => leases::renewed,
    "released groups are free at once" => leases::released,
    "a terminal summary takes the group off the unfinished" => leases::ended,
    "a live node's groups are not claimed by others of a shared store" => nodes::live,
    "when the lease ends, others claim the groups and the old owner is fenced" => nodes::ended,
    "renewing a lease does not give back what others claimed" => nodes::not_given_back,
    "released groups are free although the lease lives, and fenced for the old owner" => nodes::released,
    "a row of another owner is fenced, also under the right epoch" => nodes::other_owner,
    "the feed has what was committed after its end, each record once and a group's in order" => nodes::feed,
    "claimers at the same time never get the same group" => nodes::apart,
    "a document has revision 1 when made, and another with each write" => catalog::revisions,
    "a change of a document that has another revision is refused" => catalog::changed,
    "a unique text belongs to one document of a kind and parent" => catalog::taken,
    "changes of one commit see the ones before them" => catalog::in_sequence,
    "a summary is written without a look at its revision" => catalog::summaries,
    "documents of every kind come back as they were written" => catalog::every_kind,
    "documents are listed in the order of their ids" => catalog::lists,
    "lists narrow by parent, unique text and life" => catalog::narrows,
    "a run that is over is removed whole, and nothing else is" => prune::whole,
    "a run with a group that has not ended is left as it is" => prune::live,
    "one call removes no more groups than it may, and the run with the last of them" => prune::bounded,
    "contents are found by their digest, and may be written again" => catalog::contents,
}
