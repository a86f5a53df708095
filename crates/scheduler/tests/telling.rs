//! The engine's account of itself: which spans and lines there are, and what is not in them. A
//! program of its own, since whether anybody listens is asked once per process and place.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::{Bundle, Failure, Package};
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Hears every span and line of the product.
#[derive(Clone, Default)]
struct Ear {
    heard: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
}

/// Writes fields as `name=value`.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        use std::fmt::Write;
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Ear {
    fn hear(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields<'_>)) {
        let name = if metadata.is_span() { metadata.name() } else { "-" };
        let mut line = format!("{} {name}", metadata.level());
        record(&mut Fields(&mut line));
        self.heard.lock().unwrap().push(line);
    }

    /// The lines that begin so.
    fn lines(&self, begin: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|line| line.starts_with(begin)).cloned().collect()
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("jobwright")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.hear(span.metadata(), |fields| span.record(fields));
        Id::from_u64(1 + self.next.fetch_add(1, Ordering::Relaxed))
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut heard = self.heard.lock().unwrap();
        values.record(&mut Fields(heard.last_mut().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.hear(event.metadata(), |fields| event.record(fields));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Two steps, the first with a payload that is nobody's business.
fn two_steps() -> Bundle {
    let payload = json!({ "hidden": "the payload's words" });
    let one = json!({ "name": "one", "kind": "wrangle", "executor": "mock", "payload": payload });
    let two = json!({
        "name": "two", "kind": "wrangle", "executor": "mock", "needs": [{ "step": "one" }],
    });
    let flow = json!({
        "name": "main", "steps": [one, two], "outputs": [{ "name": "two", "steps": ["two"] }],
    });
    let package = json!({ "name": "sales", "primary": ["main"], "flows": [flow] });
    Bundle::from(serde_json::from_value::<Package>(package).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_group_is_told_in_spans_and_lines() {
    let ear = Ear::default();
    let _guard = tracing::subscriber::set_default(ear.clone());
    let failure = Failure::permanent("exit", "the program's words");
    let mock = MockExecutor::new().on("two", [Act::fails(failure)]);
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", mock);
    let engine = builder.start().await.unwrap();
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    engine.import(deployment, &two_steps(), Default::default()).await.unwrap();
    let run = engine.run(deployment).await.unwrap();
    let group = run.groups().next().unwrap();
    engine.wait(group).await.unwrap();
    // The turn that answered is told after its effects.
    engine.shutdown(Duration::ZERO).await.unwrap();

    let lines = ear.lines("INFO -");
    assert_eq!(
        lines.iter().map(|line| line.split(" took=").next().unwrap()).collect::<Vec<_>>(),
        [
            "INFO - message=job group is accepted jobs=2",
            "INFO - message=job group begins",
            "INFO - message=job group ended verdict=Failed",
        ]
    );
    let trace = jobwright_core::TraceParent::of_session(run.run().session);
    let spans = ear.lines("INFO run");
    let expect = format!(
        "INFO run otel.kind=\"internal\" deployment.id=1 release.id=1 run.id=1 job_group.id=1 \
         trigger=Manual cicd.pipeline.action.name=\"RUN\" cicd.pipeline.run.id=1 \
         cicd.pipeline.run.state=\"finalizing\" traceparent={} cicd.pipeline.name=\"main\" \
         cicd.pipeline.result=\"failure\" otel.status_code=\"ERROR\"",
        trace.of_group(group)
    );
    assert_eq!(spans.last(), Some(&expect));
    assert_eq!(spans.len(), 3);

    // Of each job: ready, handed over, the end of the attempt, the end of the job.
    assert_eq!(ear.lines("DEBUG job").len(), 8);
    let ended = ear.lines("DEBUG job").pop().unwrap();
    for field in
        ["job.id=2", "job.name=\"two\"", "executor=\"mock\"", "task.run.result=\"failure\""]
    {
        assert!(ended.contains(field), "{field}: {ended}");
    }
    assert_eq!(ear.lines("DEBUG dispatch").len(), 2);
    let appended = ear.lines("DEBUG store.append");
    assert!(appended.iter().any(|line| line.contains("store=\"memory\"")), "{appended:?}");
    assert!(!ear.lines("TRACE -").is_empty());
    assert_eq!(ear.lines("WARN"), Vec::<String>::new());
    let secretive = ear.lines("").into_iter().filter(|line| line.contains("'s words"));
    assert_eq!(secretive.collect::<Vec<_>>(), Vec::<String>::new());
}
