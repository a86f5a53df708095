//! An executor that does what it is told: outcomes per step and attempt, latencies, seeded
//! failures, hangs and panics, and a record of its calls. It reads no clock but tokio's, so that it
//! works under a paused one.

mod act;
mod call;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use jobwright_core::{
    Attempt, AttemptId, Executor, ExecutorTraits, Failure, Reattached, StepName, Success,
};

use call::Recorder;

pub use act::Act;
pub use call::Call;
pub use call::Calls;
pub use call::End;

/// An executor for tests and benchmarks. Without a script every attempt succeeds at once.
///
/// A clone shares the record of calls, so a test keeps one and gives the other to the engine.
///
/// ```
/// use std::time::Duration;
/// use jobwright_adapters::MockExecutor;
/// use jobwright_adapters::mock::Act;
/// use jobwright_core::Failure;
///
/// let mock = MockExecutor::new()
///     .on("ingest", [
///         Act::fails(Failure::retryable("busy", "the source is busy")), // attempt 1
///         Act::succeeds_with(serde_json::json!({ "rows": 3 })),         // attempt 2 and later
///     ])
///     .on("wrangle", [Act::succeeds().after(Duration::from_secs(5))])
///     .recording();
/// # let _ = mock;
/// ```
#[derive(Debug, Clone)]
pub struct MockExecutor {
    script: BTreeMap<StepName, Vec<Act>>,
    otherwise: Act,
    faults: Option<Faults>,
    reattached: BTreeMap<StepName, Reattached>,
    recorder: Option<Recorder>,
    spawned: bool,
    slots: Option<u32>,
    /// There is nothing to look up and nothing to record: every attempt succeeds at once.
    plain: bool,
}

/// Failures that depend on nothing but a seed and the attempt's id.
#[derive(Debug, Clone, Copy)]
struct Faults {
    seed: u64,
    per_mille: u16,
}

impl Default for MockExecutor {
    fn default() -> Self {
        Self {
            script: BTreeMap::new(),
            otherwise: Act::succeeds(),
            faults: None,
            reattached: BTreeMap::new(),
            recorder: None,
            spawned: false,
            slots: None,
            plain: true,
        }
    }
}

impl MockExecutor {
    /// Makes an executor whose attempts all succeed at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the attempts at a step do: the first act is attempt 1's; the last act is also
    /// that of all later attempts.
    ///
    /// # Panics
    /// If `step` cannot be a name.
    #[must_use]
    pub fn on(mut self, step: &str, acts: impl IntoIterator<Item = Act>) -> Self {
        self.script.insert(name(step), acts.into_iter().collect());
        self.settled()
    }

    /// Says what attempts at steps without a script do.
    #[must_use]
    pub fn otherwise(mut self, act: Act) -> Self {
        self.otherwise = act;
        self.settled()
    }

    /// Lets `per_mille` of a thousand attempts fail, retryable, with the code `seeded`, instead of
    /// what they would do. Which ones is a pure function of the seed and the attempt's id.
    #[must_use]
    pub fn failing(mut self, seed: u64, per_mille: u16) -> Self {
        self.faults = Some(Faults { seed, per_mille });
        self.settled()
    }

    /// Says what becomes of attempts at a step that are taken up after a restart; `Unknown` where
    /// nothing is said.
    ///
    /// # Panics
    /// If `step` cannot be a name.
    #[must_use]
    pub fn reattaching(mut self, step: &str, answer: Reattached) -> Self {
        self.reattached.insert(name(step), answer);
        self
    }

    /// Keeps a record of calls; see [`MockExecutor::calls`].
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.recorder = Some(Recorder::default());
        self.settled()
    }

    /// Asks for a task per attempt, even where nothing takes time.
    #[must_use]
    pub fn spawned(mut self) -> Self {
        self.spawned = true;
        self
    }

    /// Limits the attempts that run at a time.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = Some(slots);
        self
    }

    /// Returns the calls so far, in the order in which they began; none unless
    /// [`MockExecutor::recording`].
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.recorder.as_ref().map(Recorder::calls).unwrap_or_default()
    }

    fn settled(mut self) -> Self {
        self.plain = self.script.is_empty()
            && self.faults.is_none()
            && self.recorder.is_none()
            && self.otherwise.is_plain();
        self
    }

    fn act(&self, attempt: &Attempt) -> Act {
        if self.faults.is_some_and(|faults| faults.hit(attempt.id())) {
            return Act::fails(Failure::retryable("seeded", "the seed says that it fails"));
        }
        let at = attempt.number().saturating_sub(1) as usize;
        let scripted = self.script.get(&attempt.job().step);
        let act = scripted.and_then(|acts| acts.get(at).or(acts.last()));
        act.unwrap_or(&self.otherwise).clone()
    }

    async fn perform(&self, attempt: Attempt) -> Result<Success, Failure> {
        let call = self.recorder.as_ref().map(|recorder| recorder.begin(&attempt, false));
        let outcome = self.act(&attempt).perform(&attempt).await;
        if let Some(call) = call {
            call.end(&outcome);
        }
        outcome
    }
}

/// Succeeds at once. Without a size, so that boxing it allocates nothing.
struct Done;

impl Future for Done {
    type Output = Result<Success, Failure>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Success::empty()))
    }
}

/// Written out instead of `#[async_trait]`, for the sake of [`Done`].
impl Executor for MockExecutor {
    fn execute<'me, 'future>(
        &'me self,
        attempt: Attempt,
    ) -> Pin<Box<dyn Future<Output = Result<Success, Failure>> + Send + 'future>>
    where
        'me: 'future,
        Self: 'future,
    {
        if self.plain { Box::pin(Done) } else { Box::pin(self.perform(attempt)) }
    }

    fn reattach<'me, 'future>(
        &'me self,
        attempt: Attempt,
    ) -> Pin<Box<dyn Future<Output = Reattached> + Send + 'future>>
    where
        'me: 'future,
        Self: 'future,
    {
        if let Some(recorder) = &self.recorder {
            recorder.begin(&attempt, true).answered();
        }
        let answer = self.reattached.get(&attempt.job().step).cloned();
        Box::pin(std::future::ready(answer.unwrap_or(Reattached::Unknown)))
    }

    fn traits(&self) -> ExecutorTraits {
        let mut acts = self.script.values().flatten().chain([&self.otherwise]);
        let mut traits = ExecutorTraits::default();
        traits.inline = !self.spawned && acts.all(|act| act.latency() == Some(Duration::ZERO));
        traits.slots = self.slots;
        traits
    }
}

impl Faults {
    fn hit(self, attempt: AttemptId) -> bool {
        let job = attempt.job.get().cast_unsigned();
        let mixed = mix(mix(self.seed ^ job).wrapping_add(u64::from(attempt.number)));
        mixed % 1000 < u64::from(self.per_mille)
    }
}

/// The finalizer of splitmix64: each bit of the input changes half the bits of the output.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn name(step: &str) -> StepName {
    StepName::new(step).expect("the script names a step")
}

#[cfg(test)]
mod tests;
