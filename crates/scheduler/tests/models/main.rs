//! The protocol that engines on one store keep to, as models that Stateright goes through state by
//! state. The simulation of the machine (`tests/sim/nodes.rs`) has the same rules over the whole
//! machine, with chance instead of completeness.

#![expect(clippy::print_stdout, reason = "what the checker went through is read by a person")]

mod helm;
mod lease;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// The length of a lease in ticks, and for how long an engine believes in it.
const LEASE: u8 = 2;
const TRUSTED: u8 = 1;

const ENGINES: usize = 2;

/// Goes through all states. Where a rule is left out, the property that it keeps must turn out not
/// to hold; else all must.
fn check<M>(model: M, without: &str, broken: Option<&'static str>)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let mut options = model.checker().threads(2);
    if let Some(name) = broken {
        options = options.finish_when(HasDiscoveries::AnyOf([name].into()));
    }
    let checker = options.spawn_bfs().join();
    println!("without {without}: {} states", checker.unique_state_count());
    match broken {
        Some(name) => {
            let path = checker.discovery(name);
            let path = path.unwrap_or_else(|| panic!("without {without} nothing breaks"));
            println!("without {without}, not: {name}\n{:?}", path.into_actions());
        }
        None => checker.assert_properties(),
    }
}
