//! A closure is an executor.

use std::future::Future;

use async_trait::async_trait;
use jobwright_core::{Attempt, Executor, ExecutorTraits, Failure, Success};

use crate::mask::Masker;

/// Runs each attempt with a closure.
///
/// The closure may watch [`Attempt::cancellation`] and end early. If it does not, its future is
/// dropped when the grace is over, and the attempt ends as cancelled; so whatever the future owns
/// must clean up on drop.
///
/// The attempt's secrets are masked in what the closure returns, success or failure. What it
/// reports on its way, as progress or as lines of a log, it must keep them out of itself.
///
/// ```
/// use jobwright_adapters::FnExecutor;
/// use jobwright_core::Success;
///
/// let executor = FnExecutor::new(|attempt| async move {
///     let rows: u64 = attempt.payload()["rows"].to_string().parse()?; // `?` is retryable
///     Ok(Success::with((rows * 2).into()))
/// });
/// # let _ = executor;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FnExecutor<F> {
    work: F,
    traits: ExecutorTraits,
}

impl<F, Work> FnExecutor<F>
where
    F: Fn(Attempt) -> Work + Send + Sync + 'static,
    Work: Future<Output = Result<Success, Failure>> + Send + 'static,
{
    /// Takes a closure as an executor, each attempt of it in a task of its own.
    #[must_use]
    pub fn new(work: F) -> Self {
        Self { work, traits: ExecutorTraits::default() }
    }

    /// Declares that the closure and its future never block and never compute before their first
    /// await, so that the engine may poll them in its own loop.
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.traits = self.traits.inline();
        self
    }

    /// Limits the attempts that run at a time.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.traits = self.traits.slots(slots);
        self
    }
}

#[async_trait]
impl<F, Work> Executor for FnExecutor<F>
where
    F: Fn(Attempt) -> Work + Send + Sync + 'static,
    Work: Future<Output = Result<Success, Failure>> + Send + 'static,
{
    async fn execute(&self, attempt: Attempt) -> Result<Success, Failure> {
        let asked = attempt.clone();
        let force = async {
            let stop = asked.cancellation().wait().await;
            tokio::time::sleep(stop.grace).await;
        };
        // The work is polled first: a future that is ready at once costs no token and no timer.
        tokio::select! {
            biased;
            end = (self.work)(attempt) => masked(&asked, end),
            () = force => Err(Failure::cancelled("dropped, since it did not stop within its grace")),
        }
    }

    fn traits(&self) -> ExecutorTraits {
        self.traits
    }
}

/// Takes the attempt's secrets out of what the closure returns.
fn masked(attempt: &Attempt, end: Result<Success, Failure>) -> Result<Success, Failure> {
    // Most attempts have none, and this is on the way of every one.
    if attempt.secrets().iter().next().is_none() {
        return end;
    }
    match Masker::new(attempt.secrets()) {
        Ok(masker) => masker.mask_end(end),
        Err(error) => Err(Failure::permanent("secret", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jobwright_core::{CancelReason, FailureClass, Stop, StopReason};

    use super::*;
    use crate::conformance::attempt;

    #[tokio::test(start_paused = true)]
    async fn a_closure_that_ignores_its_cancellation_is_dropped_after_the_grace() {
        let executor = FnExecutor::new(|_| std::future::pending());
        let attempt = attempt(serde_json::Value::Null).build();
        let reason = StopReason::Cancelled { reason: CancelReason::Superseded };
        attempt.cancellation().stop(Stop { reason, grace: Duration::from_secs(9) });
        let mut run = executor.execute(attempt);
        let early = tokio::time::timeout(Duration::from_secs(8), &mut run).await;
        assert!(early.is_err(), "it was stopped before its grace was over");
        assert_eq!(run.await.unwrap_err().class, FailureClass::Cancelled);
    }

    #[tokio::test]
    async fn what_is_returned_holds_no_secret() {
        let run = async |fails: bool| {
            let executor = FnExecutor::new(move |attempt: Attempt| async move {
                let (_, content) = attempt.secrets().iter().next().unwrap();
                let content = jobwright_core::secret::ExposeSecret::expose_secret(content);
                let told = serde_json::json!({ "login": format!("me:{content}") });
                match fails {
                    true => Err(Failure::permanent("x", format!("no {content}")).details(told)),
                    false => Ok(Success::with(told)),
                }
            });
            let attempt = attempt(serde_json::Value::Null).secret("k", "hunter2-hunter2").build();
            format!("{:?}", executor.execute(attempt).await)
        };
        for fails in [true, false] {
            let told = run(fails).await;
            assert!(told.contains("me:***") && !told.contains("hunter2"), "{told}");
        }
    }

    #[tokio::test]
    async fn any_error_is_retryable() {
        let executor = FnExecutor::new(|attempt: Attempt| async move {
            Ok(Success::with(attempt.payload().to_string().parse::<u8>()?.into()))
        });
        let end = executor.execute(attempt(serde_json::json!(7)).build()).await.unwrap();
        assert_eq!(end.result().map(|result| (**result).clone()), Some(7.into()));
        let end = executor.execute(attempt(serde_json::json!(700)).build()).await.unwrap_err();
        assert_eq!(end.class, FailureClass::Retryable);
    }
}
