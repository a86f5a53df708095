//! Circles in a directed graph. Nothing here recurses: a chain of a hundred thousand nodes is as
//! harmless as a short one.

use std::collections::VecDeque;

/// Finds, for every set of nodes that all reach each other, one shortest circle through its
/// smallest node: each node of the circle has an edge to the next, the last to the first. `edges`
/// lists where each node's edges lead.
pub(super) fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let sets = reachable_from_each_other(edges);
    let mut member_of = vec![usize::MAX; edges.len()];
    for (index, set) in sets.iter().enumerate() {
        for node in set {
            member_of[*node] = index;
        }
    }
    let mut cycles: Vec<_> = sets
        .iter()
        .filter_map(|set| shortest_cycle(edges, &member_of, *set.iter().min()?))
        .collect();
    cycles.sort();
    cycles
}

/// Tarjan's strongly connected components, with the stack of calls kept by hand.
fn reachable_from_each_other(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut order = vec![UNSEEN; edges.len()];
    let mut lowest = vec![UNSEEN; edges.len()];
    let mut is_open = vec![false; edges.len()];
    let (mut open, mut calls, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = 0;
    for root in 0..edges.len() {
        if order[root] == UNSEEN {
            calls.push((root, 0));
        }
        while let Some((node, next)) = calls.pop() {
            if next == 0 {
                (order[node], lowest[node], is_open[node]) = (seen, seen, true);
                open.push(node);
                seen += 1;
            } else {
                let child = edges[node][next - 1];
                if is_open[child] {
                    lowest[node] = lowest[node].min(lowest[child]);
                }
            }
            if let Some(child) = edges[node].get(next).copied() {
                calls.push((node, next + 1));
                if order[child] == UNSEEN {
                    calls.push((child, 0));
                }
            } else if lowest[node] == order[node] {
                let start = open.iter().rposition(|it| *it == node).unwrap_or_default();
                let set = open.split_off(start);
                for member in &set {
                    is_open[*member] = false;
                }
                sets.push(set);
            }
        }
    }
    sets
}

/// Searches breadth first for the way from a node back to itself, inside its set.
fn shortest_cycle(edges: &[Vec<usize>], member_of: &[usize], start: usize) -> Option<Vec<usize>> {
    let mut came_from = std::collections::BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in edges[node].iter().copied() {
            if next == start {
                let mut way = vec![node];
                while let Some(before) = way.last().and_then(|node| came_from.get(node)) {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if member_of[next] == member_of[start] && !came_from.contains_key(&next) {
                came_from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use petgraph::algo::tarjan_scc;
    use petgraph::graph::{DiGraph, NodeIndex};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_knot_gives_one_shortest_circle() {
        let check = |edges: &[&[usize]], expect: &[&[usize]]| {
            let edges: Vec<_> = edges.iter().map(|to| to.to_vec()).collect();
            assert_eq!(cycles(&edges), expect);
        };
        check(&[], &[]);
        check(&[&[1, 2], &[2], &[]], &[]);
        check(&[&[0]], &[&[0]]);
        check(&[&[1], &[2], &[0]], &[&[0, 1, 2]]);
        check(&[&[1, 3], &[2], &[0], &[0]], &[&[0, 3]]);
        check(&[&[1], &[2], &[1], &[4], &[3]], &[&[1, 2], &[3, 4]]);
    }

    #[test]
    fn a_long_chain_and_a_long_circle_overflow_nothing() {
        const LONG: usize = 100_000;
        let mut edges: Vec<_> = (1..=LONG).map(|next| vec![next]).collect();
        edges.push(vec![]);
        assert!(cycles(&edges).is_empty());
        edges[LONG] = vec![0];
        assert_eq!(cycles(&edges), [(0..=LONG).collect::<Vec<_>>()]);
    }

    proptest! {
        #[test]
        fn the_oracle_finds_the_same_knots(
            pairs in prop::collection::vec((0..12_usize, 0..12_usize), 0..30),
        ) {
            let mut edges = vec![Vec::new(); 12];
            let mut graph = DiGraph::<(), ()>::new();
            let nodes: Vec<NodeIndex> = (0..12).map(|_| graph.add_node(())).collect();
            for (from, to) in pairs {
                edges[from].push(to);
                graph.add_edge(nodes[from], nodes[to], ());
            }
            let knots = tarjan_scc(&graph);
            let knots = knots.iter().filter(|set| {
                set.len() > 1 || graph.contains_edge(set[0], set[0])
            });
            let found = cycles(&edges);
            prop_assert_eq!(found.len(), knots.count());
            for cycle in found {
                let next = cycle.iter().cycle().skip(1);
                prop_assert!(cycle.iter().zip(next).all(|(from, to)| edges[*from].contains(to)));
                let distinct: std::collections::BTreeSet<_> = cycle.iter().collect();
                prop_assert_eq!(distinct.len(), cycle.len());
            }
        }
    }
}
