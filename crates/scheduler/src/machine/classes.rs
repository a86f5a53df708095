//! Jobs that are driven alike share a class: what is asked of a job's step at every stage. A turn
//! over thousands of jobs so reads the same few lines, and none of their plans.

use std::collections::BTreeMap;

use jobwright_core::{Priority, Timeouts};

/// How jobs are driven.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    /// Where they wait for a slot.
    pub(super) lane: u32,
    pub(super) priority: Priority,
    pub(super) timeouts: Timeouts,
}

/// All classes of a machine. Like its lanes they are as many as packages say different things.
#[derive(Debug, Default)]
pub(super) struct Classes {
    all: Vec<Class>,
    by_value: BTreeMap<Class, u32>,
}

impl Classes {
    /// Finds the class of those that are driven so.
    pub(super) fn class(&mut self, class: Class) -> u32 {
        if let Some(known) = self.by_value.get(&class) {
            return *known;
        }
        let index = self.all.len() as u32;
        self.all.push(class.clone());
        self.by_value.insert(class, index);
        index
    }

    pub(super) fn get(&self, class: u32) -> &Class {
        &self.all[class as usize]
    }
}
