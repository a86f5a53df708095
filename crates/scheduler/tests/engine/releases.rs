//! Releases: imported, activated, rolled back, deleted.

use std::sync::Arc;

use futures_util::future::join_all;
use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_core::rule::{ObjectRule, ValueRule};
use jobwright_core::{Artifact, Bundle, Digest, Verdict};
use jobwright_scheduler::{
    DeploymentChange, DeploymentError, Engine, ImportError, PrepareError, ReleaseError, RunError,
};
use jobwright_store::MemoryStore;
use serde_json::{Value, json};

use crate::moody::Moody;
use crate::stage::{bundle, chain, engine, first, import, over, secs, single, start, step};

/// A package whose one step has this payload.
fn with_payload(payload: &Value) -> Bundle {
    let mut a = step("a", &[], Value::Null);
    a["payload"] = payload.clone();
    bundle(&json!([{ "name": "main", "steps": [a], "outputs": [{ "name": "a", "steps": ["a"] }] }]))
}

async fn runs_release(engine: &Engine, deployment: jobwright_core::DeploymentId) -> i64 {
    engine.run(deployment).explain().await.unwrap().release.get()
}

#[tokio::test(start_paused = true)]
async fn one_release_is_active_or_none() {
    let slow = MockExecutor::new().otherwise(Act::succeeds().after(secs(60)));
    let (engine, deployment) = engine(&slow, &with_payload(&json!(1))).await;
    let old = engine.releases(deployment).await.unwrap()[0].id;
    let going = engine.run(deployment).await.unwrap();

    let new = import(&engine, deployment, &with_payload(&json!(2))).await;
    assert_eq!(runs_release(&engine, deployment).await, new.id.get());
    let back = engine.activate(old).await.unwrap();
    assert_eq!((back.active, back.id), (Some(old), deployment));
    assert_eq!(runs_release(&engine, deployment).await, old.get());
    // Only the active one can be deactivated, and twice is once.
    assert_eq!(engine.deactivate(new.id).await.unwrap().active, Some(old));
    engine.deactivate(old).await.unwrap();
    assert_eq!(engine.deactivate(old).await.unwrap().active, None);
    let refused = engine.run(deployment).await.err().unwrap();
    let text = "deployment `sales` has no active release: import one, or activate one of its \
                releases";
    assert_eq!(refused.to_string(), text);

    // What goes on is not affected.
    engine.activate(new.id).await.unwrap();
    assert_eq!(going.wait().await.unwrap().verdict, Verdict::Succeeded);
    let view = engine.group(first(&going)).await.unwrap();
    assert_eq!((view.plan.run.release, &*view.plan.jobs[0].payload), (old, &json!(1)));
    // An activation is a change of the release too, an import is not one of the others.
    let stamps = engine.releases(deployment).await.unwrap();
    assert!(stamps.iter().all(|it| it.created_at <= it.updated_at), "{stamps:?}");
    assert!(engine.deployment(deployment).await.unwrap().updated_at >= stamps[1].updated_at);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_runs_is_not_deleted() {
    let slow = MockExecutor::new().otherwise(Act::succeeds().after(secs(60)));
    let (engine, deployment) = engine(&slow, &single(Value::Null)).await;
    let id = engine.releases(deployment).await.unwrap()[0].id;
    let run = engine.run(deployment).await.unwrap();
    let refused = engine.delete_release(id).await.unwrap_err();
    let text = "release 1 is used by run 1, which has not ended: wait for it or cancel it";
    assert_eq!(refused.to_string(), text);
    let prepared = engine.run(deployment).prepare().await.unwrap();

    run.wait().await.unwrap();
    engine.delete_release(id).await.unwrap();
    assert_eq!(engine.deployment(deployment).await.unwrap().active, None);
    assert!(matches!(engine.delete_release(id).await, Err(ReleaseError::NotFound(_))));
    assert!(matches!(engine.activate(id).await, Err(ReleaseError::NotFound(_))));
    // What was prepared from it does not start, what ran stays readable.
    assert!(matches!(prepared.start().await, Err(RunError::Changed)));
    assert_eq!(engine.group(first(&run)).await.unwrap().plan.run.release, id);
    engine.delete_deployment(deployment).await.unwrap();
    let gone = engine.run(deployment).await.err().unwrap();
    assert!(matches!(gone, RunError::Prepare(PrepareError::NoDeployment(_))), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn no_run_slips_in_while_its_release_is_deleted() {
    let hangs = MockExecutor::new().otherwise(Act::hangs());
    // With a store that yields at every call, the two are woven in some way; in none is a release
    // deleted that runs.
    for lead in 0..12 {
        let (engine, deployment) = start(over(&Moody::new(), &hangs), &single(Value::Null)).await;
        let id = engine.releases(deployment).await.unwrap()[0].id;
        let delete = async {
            for _ in 0..lead {
                tokio::task::yield_now().await;
            }
            engine.delete_release(id).await
        };
        let (run, deleted) = tokio::join!(engine.run(deployment).into_future(), delete);
        match (run, deleted) {
            (Ok(_), Err(ReleaseError::InUse { .. })) => {}
            (Err(RunError::Prepare(PrepareError::NoRelease(_))), Ok(())) => {}
            (run, deleted) => panic!("after {lead}: {:?}, {deleted:?}", run.map(|it| it.id())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_applies_the_rules_and_a_dry_run_only_says_so() {
    let connected = with_payload(&json!({
        "connection": { "id": "7", "name": "dev" }, "path": "/dev/in/a.csv", "keep": "/dev/in",
    }));
    let (engine, deployment) = engine(&MockExecutor::new(), &connected).await;
    let object = json!({ "tableName": "connections", "onCondition": { "id": "7" },
                         "withCondition": { "id": "70", "name": "prod" } });
    let value = json!({ "type": "fileLocation", "on": "/dev", "with": "/prod" });
    let rules = DeploymentChange {
        object_rules: Some(vec![serde_json::from_value::<ObjectRule>(object).unwrap()]),
        value_rules: Some(vec![serde_json::from_value::<ValueRule>(value).unwrap()]),
        ..Default::default()
    };
    engine.change_deployment(deployment, rules).await.unwrap();
    // Rules are for imports: what was imported before is as it was.
    let payload =
        |found: &jobwright_scheduler::Explanation| Value::clone(&found.groups[0].jobs[0].payload);
    let before = engine.run(deployment).explain().await.unwrap();
    assert_eq!(payload(&before)["path"], "/dev/in/a.csv");

    let listed = (engine.releases(deployment).await.unwrap(), engine.deployments().await.unwrap());
    let preview = engine.dry_run_import(deployment, &connected).await.unwrap();
    let change = &preview.changes.value[0];
    assert_eq!((change.rule, &change.before), (0, &json!("/dev/in/a.csv")));
    assert_eq!(change.after, json!("/prod/in/a.csv"));
    assert_eq!(preview.changes.object.len(), 1);
    let now = (engine.releases(deployment).await.unwrap(), engine.deployments().await.unwrap());
    assert_eq!(listed, now);

    let release = import(&engine, deployment, &connected).await;
    // The dry run took no id.
    assert_eq!(release.id.get(), listed.0[0].id.get() + 1);
    assert_eq!((&release.changes, release.package), (&preview.changes, preview.package.digest()));
    let expect = json!({
        "connection": { "id": "70", "name": "prod" }, "path": "/prod/in/a.csv", "keep": "/dev/in",
    });
    assert_eq!(payload(&engine.run(deployment).explain().await.unwrap()), expect);
    assert_eq!(engine.package(release.id).await.unwrap(), preview.package);
}

#[tokio::test(start_paused = true)]
async fn many_at_once_leave_one_active() {
    let (engine, deployment) =
        start(over(&Moody::new(), &MockExecutor::new()), &single(Value::Null)).await;
    let bundles: Vec<_> = (0..20).map(|at| with_payload(&json!(at))).collect();
    let imports = bundles.iter().map(|it| engine.import(deployment, it, Default::default()));
    let imported: Vec<_> = join_all(imports).await.into_iter().map(Result::unwrap).collect();
    let activations = imported.iter().map(|release| engine.activate(release.id));
    join_all(activations).await.into_iter().for_each(|it| drop(it.unwrap()));
    assert_eq!(engine.releases(deployment).await.unwrap().len(), 21);
    let active = engine.deployment(deployment).await.unwrap().active.unwrap();
    assert!(imported.iter().any(|release| release.id == active));
    // Deleting and activating at once never leaves one active that is not there.
    for release in &imported {
        let (id, other) = (release.id, imported[0].id);
        let (_, deleted) = tokio::join!(engine.activate(id), async {
            if id == other { Ok(()) } else { engine.delete_release(id).await }
        });
        deleted.unwrap();
        let active = engine.deployment(deployment).await.unwrap().active;
        if let Some(active) = active {
            engine.release(active).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn artifacts_come_with_their_contents_or_not_at_all() {
    let (engine, deployment) = engine(&MockExecutor::new(), &single(Value::Null)).await;
    let content: Arc<[u8]> = Arc::from(&b"select 1"[..]);
    let mut whole = single(Value::Null);
    whole.package.artifacts.push(Artifact {
        path: "sql/one.sql".to_owned(),
        digest: Digest::of(&content),
        size: 8,
        executable: false,
    });
    whole.contents.insert(Digest::of(&content), content);

    let mut missing = whole.clone();
    missing.contents.clear();
    let mut other = whole.clone();
    other.contents.values_mut().for_each(|it| *it = Arc::from(&b"select 2"[..]));
    let mut short = whole.clone();
    short.package.artifacts[0].size = 7;
    let check = async |bundle: &Bundle, expect: &str| {
        let error = engine.import(deployment, bundle, Default::default()).await.unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    check(&missing, "artifact `sql/one.sql` has no content in the bundle").await;
    let wrong =
        "the content of artifact `sql/one.sql` in the bundle does not have its digest and size";
    check(&other, wrong).await;
    check(&short, wrong).await;
    assert_eq!(engine.releases(deployment).await.unwrap().len(), 1);
    import(&engine, deployment, &whole).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_imported_leaves_everything_as_it_was() {
    let engine = Engine::builder().store(MemoryStore::new()).start().await.unwrap();
    let deployment = engine.create_deployment("sales").await.unwrap().id;
    let cycle = bundle(&json!([{ "name": "main", "outputs": [{ "name": "a", "steps": ["a"] }],
        "steps": [step("a", &["b"], Value::Null), step("b", &["a"], Value::Null)] }]));
    let error = engine.import(deployment, &cycle, Default::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::Package(_)), "{error}");
    assert!(chain(&error).contains("main/a -> main/b -> main/a"), "{}", chain(&error));
    assert_eq!(engine.deployment(deployment).await.unwrap().active, None);
    let nowhere = jobwright_core::DeploymentId::new(99).unwrap();
    let error = engine.import(nowhere, &cycle, Default::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "deployment 99 does not exist");
    let error = engine.deployment(nowhere).await.unwrap_err();
    assert!(matches!(error, DeploymentError::NotFound(_)));
    // A package that names an executor which the engine lacks is imported, and does not run.
    import(&engine, deployment, &single(Value::Null)).await;
    let error = engine.run(deployment).await.err().unwrap().to_string();
    let text = "step `a` of flow `main` runs on `mock`, which this engine does not have; it has \
                none";
    assert_eq!(error, text);
}
