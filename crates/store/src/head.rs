//! Where a journal ends, and whether an append may follow. Both stores ask this one question.

use jobwright_core::{Append, Epoch, Record, Refusal, Seq};

pub(crate) const FIRST: Seq = Seq(1);

/// The end of one journal. A commit is planned first, append by append, and then either made as
/// planned or forgone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Head {
    pub(crate) epoch: Epoch,
    /// The position that the next event has; 0 while the journal itself is only planned.
    pub(crate) next: Seq,
    /// The same if the plan with this number comes about.
    planned: (u64, Seq),
}

impl Head {
    pub(crate) fn new(epoch: Epoch, next: Seq) -> Self {
        Self { epoch, next, planned: (0, next) }
    }

    /// The head of a journal that the plan with this number makes.
    ///
    /// # Errors
    /// Refuses an append that is not at 1.
    pub(crate) fn planned(plan: u64, record: &Record) -> Result<Self, Refusal> {
        let Record { group, first: given, epoch, .. } = *record;
        if given != FIRST {
            return Err(Refusal::Conflict { group, given, current: FIRST });
        }
        Ok(Self { epoch, next: Seq(0), planned: (plan, FIRST) })
    }

    /// Plans an append, after those that the same plan holds already.
    ///
    /// # Errors
    /// Refuses one under another epoch or that does not follow.
    pub(crate) fn plan(&mut self, plan: u64, append: &Append) -> Result<(), Refusal> {
        let Record { group, first: given, epoch, .. } = append.record;
        if self.epoch != epoch {
            return Err(Refusal::Fenced { group, given: epoch, current: self.epoch });
        }
        let current = if self.planned.0 == plan { self.planned.1 } else { self.next };
        if current != given {
            return Err(Refusal::Conflict { group, given, current });
        }
        self.planned = (plan, append.record.next());
        Ok(())
    }

    /// Tells whether the journal is only planned.
    pub(crate) fn is_planned(&self) -> bool {
        self.next == Seq(0)
    }
}
