//! Secrets: named by values, fetched at dispatch, seen by executors alone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobwright_adapters::{FnExecutor, StaticSecrets};
use jobwright_core::secret::{ExposeSecret, SecretError, SecretSource, SecretString};
use jobwright_core::{
    Attempt, Bundle, Executor, Failure, Outcome, Reattached, Seq, Success, Verdict,
};
use jobwright_scheduler::{Engine, EngineBuilder, Notice};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::stage::{bundle, first, secs, settle, start, step, told};

const CONTENT: &str = "hunter2-is-the-content";

/// One step that is given secret `login`, and a text that only looks like one.
fn with_secret() -> Bundle {
    let mut a = step("a", &[], json!({ "retry": { "max_attempts": 2 } }));
    a["payload"] = json!({ "login": "$login", "literal": { "$secret": "other" } });
    bundle(&json!([{ "name": "main", "steps": [a],
        "parameters": [{ "name": "login", "type": "secret", "default": "db-login" }],
        "outputs": [{ "name": "a", "steps": ["a"] }] }]))
}

type Seen = Arc<Mutex<Vec<Option<String>>>>;

/// An engine whose executor notes the secrets that it sees.
fn seeing(seen: &Seen) -> EngineBuilder {
    let seen = Arc::clone(seen);
    let executor = FnExecutor::new(move |attempt: Attempt| {
        let content = |name| {
            let content = attempt.secrets().content(name);
            content.map(|it| it.expose_secret().to_owned())
        };
        seen.lock().unwrap().extend([content("db-login"), content("other")]);
        let shown = format!("{attempt:?} {:?} {:?}", attempt.secrets(), attempt.payload());
        attempt.log(&shown);
        async move { Ok(Success::with(Value::Null)) }
    });
    Engine::builder().store(MemoryStore::new()).executor("mock", executor.inline())
}

#[tokio::test(start_paused = true)]
async fn contents_reach_the_executor_and_nothing_else() {
    let seen = Seen::default();
    let secrets = StaticSecrets::new().with("db-login", CONTENT).with("other", "not asked for");
    let (engine, deployment) = start(seeing(&seen).secrets(secrets), &with_secret()).await;
    let mut listener = engine.subscribe(None);
    let run = engine.run(deployment).await.unwrap();
    assert_eq!(run.wait().await.unwrap().verdict, Verdict::Succeeded);
    // A text in a payload is not a reference: only values name secrets.
    assert_eq!(*seen.lock().unwrap(), [Some(CONTENT.to_owned()), None]);

    let history = engine.history(first(&run), Seq(1)).await.unwrap();
    let events: Vec<_> = history.iter().map(|entry| entry.event.clone()).collect();
    let mut shown = format!("{history:?} {}", serde_json::to_string(&events).unwrap());
    shown += &format!("{:?} {:?}", engine.group(first(&run)).await.unwrap(), run.run());
    shown += &format!("{:?} {engine:?}", engine.run(deployment).explain().await.unwrap());
    engine.shutdown(secs(0)).await.unwrap();
    let mut lines = 0;
    while let Some(notice) = listener.next().await {
        lines += u32::from(matches!(notice, Notice::Log { .. }));
        shown += &format!("{notice:?}");
    }
    assert_eq!(lines, 1);
    assert!(shown.contains("db-login"), "the name is no secret");
    assert!(!shown.contains("hunter2"), "the content is");
}

/// Does not answer at first.
#[derive(Default)]
struct Sleepy(AtomicU32);

#[async_trait]
impl SecretSource for Sleepy {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err(SecretError::Unavailable { name: name.into(), reason: "away".into() }),
            _ => Ok(CONTENT.to_owned().into()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_there_fails_the_attempt_before_it_begins() {
    let check = async |configure: fn(EngineBuilder) -> EngineBuilder, expect: &[&str], words| {
        let seen = Seen::default();
        let (engine, deployment) = start(configure(seeing(&seen)), &with_secret()).await;
        let run = engine.run(deployment).await.unwrap();
        run.wait().await.unwrap();
        assert_eq!(told(&engine, first(&run)).await[3..], *expect);
        let view = engine.group(first(&run)).await.unwrap();
        let outcome = format!("{:?}", view.jobs[0].attempts[0].outcome);
        assert!(outcome.contains(words), "{outcome}");
        // Handed over only where it was there.
        let handed = expect.iter().filter(|it| it.contains("succeeded")).count();
        assert_eq!(seen.lock().unwrap().len(), 2 * handed);
    };
    let fails = ["a permanent secret, Failed", "Failed"];
    check(|it| it, &fails, "the engine has no source of secrets, and `db-login` is needed").await;
    check(|it| it.secrets(StaticSecrets::new()), &fails, "no secret is named `db-login`").await;
    let retried = [
        "a retryable secret, again",
        "a ready",
        "a requested 2",
        "a succeeded, Succeeded",
        "Succeeded",
    ];
    let words = "secret `db-login` cannot be fetched now: away";
    check(|it| it.secrets(Sleepy::default()), &retried, words).await;
}

/// Stalls when it is handed over; notes the secret when it is taken up again.
struct Takes(Seen);

#[async_trait]
impl Executor for Takes {
    async fn execute(&self, _: Attempt) -> Result<Success, Failure> {
        std::future::pending().await
    }

    async fn reattach(&self, attempt: Attempt) -> Reattached {
        let content = attempt.secrets().content("db-login");
        self.0.lock().unwrap().push(content.map(|it| it.expose_secret().to_owned()));
        Reattached::Ended(Outcome::Succeeded(Success::empty()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_up_again_can_still_be_masked() {
    let (seen, store) = (Seen::default(), Arc::new(MemoryStore::new()));
    let builder = || {
        let builder = Engine::builder().shared_store(store.clone());
        builder.executor("mock", Takes(seen.clone()))
    };
    let secrets = StaticSecrets::new().with("db-login", CONTENT);
    let (engine, deployment) = start(builder().secrets(secrets), &with_secret()).await;
    let group = first(&engine.run(deployment).await.unwrap());
    settle().await;
    drop(engine);
    settle().await;
    let engine = builder().secrets(Sleepy::default()).start().await.unwrap();
    assert_eq!(engine.wait(group).await.unwrap(), Verdict::Succeeded);
    assert_eq!(*seen.lock().unwrap(), [Some(CONTENT.to_owned())]);
}
