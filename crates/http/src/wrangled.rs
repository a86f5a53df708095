//! Outputs by number. Clients of the product name what they run by the id of its recipe, the
//! "wrangled dataset"; here an output has a name. The id is made of the release's id and of the
//! output's place in it: nothing is kept, and it means the same for as long as the release does.

use jobwright_core::{ID_LIMIT, IdError, OutputName, ReleaseId};
use jobwright_scheduler::PrepareError;
use serde::Deserialize;

use crate::problem::{Problem, Sort};
use crate::view::View;

/// How many bits of an id are the place.
const PLACE: u32 = 20;

/// The number of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct WrangledId(i64);

impl WrangledId {
    /// None where the id would be too large to be one.
    pub(crate) fn of(
        release: ReleaseId,
        outputs: &[OutputName],
        output: &OutputName,
    ) -> Option<Self> {
        let place = outputs.iter().position(|it| it == output)?;
        Self::new(release, place)
    }

    pub(crate) fn new(release: ReleaseId, place: usize) -> Option<Self> {
        let place = i64::try_from(place).ok().filter(|place| *place < 1 << PLACE)?;
        let id = release.get().checked_mul(1 << PLACE)? + place;
        (id < ID_LIMIT).then_some(Self(id))
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }

    fn release(self) -> Result<ReleaseId, IdError> {
        ReleaseId::new(self.0 >> PLACE)
    }

    fn place(self) -> usize {
        usize::try_from(self.0 & ((1 << PLACE) - 1)).unwrap_or(usize::MAX)
    }

    /// The release and the output that have the id.
    pub(crate) async fn find(self, view: &View) -> Result<(ReleaseId, OutputName), Problem> {
        let detail = format!(
            "wrangled dataset {} does not exist: imports and job groups show the ids of outputs",
            self.0
        );
        let missing = || Problem::new(Sort::NotFound, detail);
        let Ok(release) = self.release() else { return Err(missing()) };
        let outputs = match view.outputs(release).await {
            Err(PrepareError::NoSuchRelease(_)) => return Err(missing()),
            outputs => outputs?,
        };
        match outputs.into_iter().nth(self.place()) {
            Some(output) => Ok((release, output)),
            None => Err(missing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_release_and_the_place() {
        let check = |release: i64, place: usize, expect: Option<i64>| {
            let release = ReleaseId::new(release).unwrap();
            let id = WrangledId::new(release, place);
            assert_eq!(id.map(WrangledId::get), expect);
            if let Some(id) = id {
                assert_eq!((id.release(), id.place()), (Ok(release), place));
            }
        };
        check(1, 0, Some(1_048_576));
        check(3, 2, Some(3_145_730));
        check(1, (1 << PLACE) - 1, Some(2_097_151));
        check(1, 1 << PLACE, None);
        check((1 << 33) - 1, 0, Some(((1 << 33) - 1) << 20));
        check(1 << 33, 0, None);
    }
}
