//! What is read once for all job groups that are shown together: their runs, and the outputs of
//! their releases.

use std::collections::BTreeMap;

use jobwright_core::{GroupSummary, OutputName, ReleaseId, Run, RunId};
use jobwright_scheduler::PrepareError;

use crate::problem::Problem;
use crate::view::View;
use crate::wrangled::WrangledId;

/// What was read so far.
#[derive(Default)]
pub(crate) struct Along {
    runs: BTreeMap<RunId, Option<Run>>,
    outputs: BTreeMap<ReleaseId, Vec<OutputName>>,
}

impl Along {
    /// Nothing but a run that is at hand.
    pub(crate) fn with(run: &Run) -> Self {
        Self { runs: BTreeMap::from([(run.id, Some(run.clone()))]), ..Self::default() }
    }

    /// The run of a group.
    pub(crate) async fn run(&mut self, view: &View, id: RunId) -> Result<Option<Run>, Problem> {
        if let Some(known) = self.runs.get(&id) {
            return Ok(known.clone());
        }
        let run = view.find_run(id).await?.map(|it| it.run().clone());
        self.runs.insert(id, run.clone());
        Ok(run)
    }

    /// The first output of a group with its id; none where its release is gone.
    pub(crate) async fn wrangled(
        &mut self,
        view: &View,
        group: &GroupSummary,
        run: Option<&Run>,
    ) -> Result<Option<(WrangledId, OutputName)>, Problem> {
        let of_group = run.and_then(|run| run.groups.iter().find(|it| it.id == group.id));
        let Some(output) = of_group.and_then(|it| it.outputs.first()) else { return Ok(None) };
        if let std::collections::btree_map::Entry::Vacant(seat) = self.outputs.entry(group.release)
        {
            seat.insert(match view.outputs(group.release).await {
                Ok(outputs) => outputs,
                Err(PrepareError::Store(error)) => return Err(error.into()),
                Err(_) => Vec::new(),
            });
        }
        let outputs = self.outputs.get(&group.release).map_or(&[][..], Vec::as_slice);
        let id = WrangledId::of(group.release, outputs, output);
        Ok(id.map(|id| (id, output.clone())))
    }
}
