//! The graph over all flows of an export: its order, its cycles, and what lies upstream of a node.

use std::collections::VecDeque;

use super::ExportError;
use super::model::{Export, Node, Work};

/// The graph with its order: every node comes after what flows into it.
pub(super) struct Graph {
    rank: Vec<usize>,
}

impl Graph {
    /// Orders the nodes.
    ///
    /// # Errors
    /// Names a whole cycle, if there is one.
    pub(super) fn new(export: &Export<'_>) -> Result<Self, ExportError> {
        let nodes = &export.nodes;
        let mut followers = vec![Vec::new(); nodes.len()];
        let mut missing = vec![0usize; nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            missing[at] = node.inputs.len();
            for input in &node.inputs {
                followers[input.from].push(at);
            }
        }
        let mut ready: VecDeque<usize> = (0..nodes.len()).filter(|&at| missing[at] == 0).collect();
        let mut rank = vec![usize::MAX; nodes.len()];
        let mut next = 0;
        while let Some(at) = ready.pop_front() {
            rank[at] = next;
            next += 1;
            for &follower in &followers[at] {
                missing[follower] -= 1;
                if missing[follower] == 0 {
                    ready.push_back(follower);
                }
            }
        }
        match (0..nodes.len()).find(|&at| missing[at] > 0) {
            Some(stuck) => Err(ExportError::Cycle { names: cycle(export, &missing, stuck) }),
            None => Ok(Self { rank }),
        }
    }

    /// Lists a node and everything upstream of it, in the graph's order; the node comes last.
    pub(super) fn upstream(&self, nodes: &[Node<'_>], node: usize) -> Vec<usize> {
        let mut seen = std::collections::BTreeSet::from([node]);
        let mut open = vec![node];
        while let Some(at) = open.pop() {
            open.extend(nodes[at].inputs.iter().map(|it| it.from).filter(|&it| seen.insert(it)));
        }
        let mut upstream: Vec<usize> = seen.into_iter().collect();
        upstream.sort_unstable_by_key(|&at| self.rank[at]);
        upstream
    }
}

/// Follows references to the recipe or dataset at their end.
pub(super) fn source(nodes: &[Node<'_>], mut node: usize) -> usize {
    while nodes[node].work == Work::Reference {
        let Some(input) = nodes[node].inputs.first() else { break };
        node = input.from;
    }
    node
}

/// Walks against the edges from a node that lies on or behind a cycle until a node comes again.
/// References are left out: they have no name.
fn cycle(export: &Export<'_>, missing: &[usize], stuck: usize) -> Vec<String> {
    let mut place = vec![usize::MAX; export.nodes.len()];
    let mut path = Vec::new();
    let mut at = stuck;
    while place[at] == usize::MAX {
        place[at] = path.len();
        path.push(at);
        let inputs = &export.nodes[at].inputs;
        let Some(next) = inputs.iter().find(|input| missing[input.from] > 0) else { break };
        at = next.from;
    }
    path.drain(..place[at]);
    path.push(at);
    path.reverse();
    if path.iter().any(|&at| export.nodes[at].work != Work::Reference) {
        path.retain(|&at| export.nodes[at].work != Work::Reference);
        if path.first() != path.last() || path.len() == 1 {
            path.extend(path.first().copied());
        }
    }
    path.into_iter().map(|at| export.node_name(at)).collect()
}
