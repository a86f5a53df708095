//! Doing what the machine asked for, once it is justified.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use jobwright_core::parameter::Value;
use jobwright_core::secret::{self, SecretSource, Secrets};
use jobwright_core::{
    Attempt, AttemptParts, Cancellation, Executor, ExecutorName, Failure, Outcome, Reattached,
    Reporter, Stop, StopReason, Success,
};
use tokio_util::sync::ReusableBoxFuture;
use tracing::Instrument;

use super::message::Message;
use super::{Driver, Held, Seat};
use crate::machine::{AttemptKey, Effect, Input, Order, Report};

/// How long a source of secrets that does not answer is left alone.
const FETCH_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// The room in which inline attempts are polled: one allocation for all that end at once.
pub(super) type Room = ReusableBoxFuture<'static, Result<Success, Failure>>;

impl Driver {
    /// Does what the turn asked for; its events are durable.
    pub(super) fn perform(&mut self) {
        for (_, submission) in std::mem::take(&mut self.turn.submissions) {
            if !submission.artifacts.is_empty() {
                self.artifacts.insert(submission.key(), submission.artifacts);
            }
            let _ = submission.answer.send(Ok(()));
        }
        if !self.trusts() {
            // Others may act by now. The next turn gives everything up.
            self.turn.out.effects.clear();
        }
        if self.is_deposed() {
            self.turn.reports.push(Input::Tick);
        }
        let mut effects = std::mem::take(&mut self.turn.out.effects);
        let mut any_ended = false;
        for effect in effects.drain(..) {
            match effect {
                Effect::Dispatch(order) => self.dispatch(order),
                Effect::Reattach(order) => self.reattach(order),
                Effect::Stop { attempt, stop } => {
                    if let Some(held) = self.attempts.get(&attempt) {
                        held.stop(stop);
                    }
                }
                Effect::Abandon { attempt } => {
                    if let Some(held) = self.attempts.remove(&attempt) {
                        held.task.abort();
                        self.listener.forget(&attempt);
                    }
                }
                Effect::Announce { group, verdict } => {
                    any_ended = true;
                    if let Some(waiters) = self.waiters.remove(&group) {
                        for waiter in waiters {
                            let _ = waiter.send(verdict);
                        }
                    }
                }
                Effect::Refuse { .. } => {}
            }
        }
        self.turn.out.effects = effects;
        if any_ended && !self.artifacts.is_empty() {
            self.artifacts
                .retain(|(deployment, run), _| self.machine.drives_run(*deployment, *run));
        }
        for (_, answer) in self.turn.answers.drain(..) {
            let _ = answer.send(());
        }
        for (group, answer) in self.turn.questions.drain(..) {
            let _ = answer.send(self.machine.waiting_jobs(group));
        }
        self.tell_shares();
    }

    /// Tells what executors have and need whose limits hold over all engines, to whoever asked; and
    /// wakes whoever sees to their parts where one is too small.
    fn tell_shares(&mut self) {
        for (executor, answer) in self.turn.shares.drain(..) {
            let mut demand = self.machine.demand(&executor);
            let own = own_limit(&self.shared, &executor);
            demand.waiting = demand.waiting.min(own.saturating_sub(demand.busy));
            let _ = answer.send(demand);
        }
        if let Some(tenure) = &self.tenure
            && self.shared.keys().any(|executor| self.machine.demand(executor).waiting > 0)
        {
            tenure.lack();
        }
    }

    /// What an executor may have on this engine, whatever others do.
    pub(super) fn own_limit(&self, executor: &ExecutorName) -> u32 {
        own_limit(&self.shared, executor)
    }

    fn dispatch(&mut self, order: Order) {
        let key = order.attempt;
        let planned = &order.plan.jobs[key.job.at()];
        let _within = tracing::debug_span!(
            "dispatch",
            otel.kind = "client",
            executor = planned.executor.as_str(),
            job_group.id = key.group.get(),
            attempt.id = %order.id(),
        )
        .entered();
        let Some(seat) = self.seats.get(order.executor as usize).cloned() else {
            let message = format!("the engine has no executor `{}`", planned.executor);
            let failure = Failure::rejected("no_executor", message);
            return self.ended(key, Err(failure));
        };
        let names = secret_names(&order);
        if !names.is_empty() {
            return self.dispatch_with_secrets(order, seat, names);
        }
        let attempt = self.attempt(order);
        let inline = seat.traits.inline;
        let execution = execute(seat.executor, attempt.clone());
        if inline {
            self.poll_once(key, attempt, execution);
        } else {
            self.spawn(key, attempt, execution);
        }
    }

    /// Polls an attempt in the loop, and lets it run in a task of its own if it is still pending.
    fn poll_once(
        &mut self,
        key: AttemptKey,
        attempt: Attempt,
        execution: impl Future<Output = Result<Success, Failure>> + Send + 'static,
    ) {
        let mut place = self.inline.take().unwrap_or_else(|| ReusableBoxFuture::new(idle()));
        place.set(execution);
        let mut context = Context::from_waker(Waker::noop());
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| place.poll(&mut context)));
        match polled {
            Ok(Poll::Ready(result)) => {
                self.inline = Some(place);
                self.ended(key, result);
            }
            Ok(Poll::Pending) => self.spawn(key, attempt, place),
            Err(panic) => self.ended(key, Err(panicked(panic.as_ref()))),
        }
    }

    /// Hands an attempt over that needs secrets: they are fetched in its own task.
    fn dispatch_with_secrets(&mut self, order: Order, seat: Seat, names: Vec<Arc<str>>) {
        let key = order.attempt;
        let source = self.secrets.clone();
        let attempt = self.attempt(order);
        let handed = attempt.clone();
        let execution = async move {
            handed.reveal(fetch(source.as_deref(), &names).await?);
            seat.executor.execute(handed).await
        };
        self.spawn(key, attempt, execution);
    }

    fn attempt(&self, order: Order) -> Attempt {
        let run = (order.plan.run.deployment, order.plan.run.run);
        let artifacts = match self.artifacts.is_empty() {
            true => None,
            false => self.artifacts.get(&run).cloned(),
        };
        let reporter: Arc<dyn Reporter> = self.listener.clone();
        Attempt::new(AttemptParts {
            group: order.attempt.group,
            plan: order.plan,
            job: order.attempt.job,
            number: order.attempt.number,
            end_by: order.end_by,
            inputs: order.inputs.into(),
            artifacts: artifacts.unwrap_or_default(),
            secrets: OnceLock::new(),
            handle: order.handle,
            cancellation: Cancellation::default(),
            reporter,
        })
    }

    fn reattach(&mut self, order: Order) {
        let key = order.attempt;
        let executor = self.seats.get(order.executor as usize).cloned();
        let (names, source) = (secret_names(&order), self.secrets.clone());
        let attempt = self.attempt(order);
        let taken = attempt.clone();
        let execution = async move {
            let Some(seat) = executor else {
                return Err(Failure::lost("the engine has no such executor any more"));
            };
            if let Some(source) = source {
                taken.reveal(fetch_again(&*source, &names).await);
            }
            match seat.executor.reattach(taken).await {
                Reattached::Ended(Outcome::Succeeded(success)) => Ok(success),
                Reattached::Ended(Outcome::Failed(failure)) => Err(*failure),
                Reattached::Unknown => {
                    Err(Failure::lost("the executor cannot tell how the attempt ended"))
                }
            }
        };
        self.spawn(key, attempt, execution);
    }

    /// Lets an attempt run in a task of its own. A panic in it is a failed attempt.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is spawned is held, and ended with the loop"
    )]
    fn spawn(
        &mut self,
        key: AttemptKey,
        attempt: Attempt,
        execution: impl Future<Output = Result<Success, Failure>> + Send + 'static,
    ) {
        let listener = Arc::clone(&self.listener);
        let span = tracing::debug_span!(
            parent: None,
            "wait",
            otel.kind = "client",
            executor = attempt.job().executor.as_str(),
            job_group.id = key.group.get(),
            attempt.id = %attempt.id(),
            traceparent = %attempt.trace(),
            handle = tracing::field::Empty,
        );
        let held = attempt.clone();
        let task = tokio::spawn(async move {
            let result = AssertUnwindSafe(execution.instrument(span)).catch_unwind().await;
            let result = result.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            if attempt.cancellation().requested().is_some_and(|it| it.reason == StopReason::GivenUp)
            {
                return;
            }
            let report = Report::Ended(outcome(result));
            listener.send(Message::Report { attempt: key, report }).await;
        });
        self.attempts.insert(key, Held { attempt: held, task });
    }

    /// Reports an attempt's end to the next turn.
    fn ended(&mut self, attempt: AttemptKey, result: Result<Success, Failure>) {
        let report = Report::Ended(outcome(result));
        self.turn.reports.push(Input::Report { attempt, report });
    }
}

impl Held {
    /// Asks the attempt to stop.
    fn stop(&self, stop: Stop) {
        let cancel = tracing::debug_span!(
            "cancel",
            otel.kind = "client",
            executor = self.attempt.job().executor.as_str(),
            job_group.id = self.attempt.group().get(),
            attempt.id = %self.attempt.id(),
            reason = ?stop.reason,
        );
        cancel.in_scope(|| self.attempt.cancellation().stop(stop));
    }
}

async fn execute(executor: Arc<dyn Executor>, attempt: Attempt) -> Result<Success, Failure> {
    executor.execute(attempt).await
}

/// What lies in the room before its first use.
async fn idle() -> Result<Success, Failure> {
    Ok(Success::empty())
}

fn outcome(result: Result<Success, Failure>) -> Outcome {
    match result {
        Ok(success) => Outcome::Succeeded(success),
        Err(failure) => Outcome::Failed(Box::new(failure)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let words = words.unwrap_or("no message");
    Failure::retryable("panic", format!("the executor panicked: {words}"))
}

/// The names of the secrets that an attempt's payload holds. A payload gets them from parameters
/// only, so most attempts are done with a glance at those.
fn secret_names(order: &Order) -> Vec<Arc<str>> {
    let parameters = &order.plan.run.parameters.parameters;
    let declared = parameters.iter().filter_map(|parameter| match &parameter.value {
        Value::Secret(name) => Some(Arc::clone(name)),
        Value::Text(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => None,
    });
    let declared: Vec<_> = declared.collect();
    if declared.is_empty() {
        return declared;
    }
    let mut used = BTreeMap::new();
    let mut todo = vec![&*order.plan.jobs[order.attempt.job.at()].payload];
    while let Some(value) = todo.pop() {
        match value {
            serde_json::Value::Object(fields) => {
                if let Some(serde_json::Value::String(name)) = fields.get("$secret") {
                    used.insert(name.as_str(), ());
                }
                todo.extend(fields.values());
            }
            serde_json::Value::Array(items) => todo.extend(items),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    let mut needed: Vec<_> =
        declared.into_iter().filter(|name| used.contains_key(&**name)).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Fetches the secrets of work that goes on already and may still say them: its executor masks
/// them. It is asked until the source answers; one that is gone is one that nobody can mask.
async fn fetch_again(source: &dyn SecretSource, names: &[Arc<str>]) -> Secrets {
    let mut contents = BTreeMap::new();
    for name in names {
        loop {
            match source.fetch(name).await {
                Ok(content) => {
                    contents.insert(name.to_string(), content);
                    break;
                }
                Err(error) if error.is_retryable() => tokio::time::sleep(FETCH_PAUSE).await,
                Err(_) => break,
            }
        }
    }
    Secrets::new(contents)
}

async fn fetch(source: Option<&dyn SecretSource>, names: &[Arc<str>]) -> Result<Secrets, Failure> {
    let Some(source) = source else {
        let message = format!("the engine has no source of secrets, and `{}` is needed", names[0]);
        return Err(Failure::permanent("secret", message));
    };
    let mut contents = BTreeMap::new();
    for name in names {
        let fetched = source.fetch(name).await;
        // Whatever the source: what cannot be masked reaches no executor.
        let fetched = fetched.and_then(|it| secret::check(name, &it).map(|()| it));
        let content = fetched.map_err(|error| match error.is_retryable() {
            true => Failure::retryable("secret", error.to_string()),
            false => Failure::permanent("secret", error.to_string()),
        })?;
        contents.insert(name.to_string(), content);
    }
    Ok(Secrets::new(contents))
}

fn own_limit(shared: &BTreeMap<ExecutorName, Option<u32>>, executor: &ExecutorName) -> u32 {
    shared.get(executor).copied().flatten().unwrap_or(u32::MAX)
}
