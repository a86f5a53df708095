//! Deployments, the environment, and how a run's parameters come about.

use jobwright_adapters::MockExecutor;
use jobwright_core::parameter::{Resolution, Values};
use jobwright_core::{Bundle, DeploymentName, ParameterName};
use jobwright_scheduler::{DeploymentChange, EnvironmentError};
use serde_json::{Value, json};

use crate::stage::{bundle, chain, engine, first, import, single, step};

fn values(given: Value) -> Values {
    let Value::Object(given) = given else { panic!("an object of values") };
    given.into_iter().map(|(name, value)| (ParameterName::new(&name).unwrap(), value)).collect()
}

/// Two outputs: `a` of `main`, and `far`, which needs a step of `lib` with a parameter of its own.
fn layered() -> Bundle {
    let with = |name: &str, payload: Value| {
        let mut step = step(name, &[], Value::Null);
        step["payload"] = payload;
        step
    };
    let mut far = step("far", &[], Value::Null);
    far["needs"] = json!([{ "flow": "lib", "step": "read" }]);
    let text =
        |name: &str, default: &str| json!({ "name": name, "type": "string", "default": default });
    let mut locked = text("site", "hq");
    locked["locked"] = json!(true);
    bundle(&json!([
        { "name": "main",
          "parameters": [text("region", "all"), text("kept", "as it is"), locked],
          "steps": [with("a", json!(["$region", "$kept", "$site", "${env.host}"])), far],
          "outputs": [{ "name": "a", "steps": ["a"] }, { "name": "far", "steps": ["far"] }] },
        { "name": "lib", "parameters": [text("table", "t")],
          "steps": [with("read", json!("$table"))] },
    ]))
}

/// Each parameter with its layer, and what it shadows.
fn provenance(resolution: &Resolution) -> Vec<String> {
    let words = resolution.parameters.iter().map(|it| {
        let shadowed = it.shadowed.iter();
        let shadowed: String =
            shadowed.map(|it| format!(" over {} {}", it.layer, shown(&it.value))).collect();
        format!("{} = {} by {}{shadowed}", it.name, shown(&it.value), it.layer)
    });
    words.collect()
}

fn shown(value: &jobwright_core::parameter::Value) -> String {
    match value {
        jobwright_core::parameter::Value::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_and_can_be_changed() {
    let (engine, deployment) = engine(&MockExecutor::new(), &single(Value::Null)).await;
    let taken = engine.create_deployment("sales").await.unwrap_err();
    assert_eq!(taken.to_string(), "deployment 1 is already named `sales`");
    let other = engine.create_deployment("stock").await.unwrap().id;
    let named = |name: &str| DeploymentChange {
        name: Some(DeploymentName::new(name).unwrap()),
        ..Default::default()
    };
    let taken = engine.change_deployment(other, named("sales")).await.unwrap_err();
    assert_eq!(taken.to_string(), "deployment 1 is already named `sales`");
    engine.change_deployment(deployment, named("retail")).await.unwrap();
    engine.change_deployment(other, named("sales")).await.unwrap();
    assert_eq!(engine.deployment_named("sales").await.unwrap().unwrap().id, other);
    assert_eq!(engine.deployment_named("stock").await.unwrap(), None);

    let full = engine.delete_deployment(deployment).await.unwrap_err();
    assert_eq!(full.to_string(), "deployment 1 has 1 releases: delete them first");
    engine.delete_deployment(other).await.unwrap();
    let gone = engine.change_deployment(other, named("new")).await.unwrap_err();
    assert_eq!(gone.to_string(), format!("deployment {other} does not exist"));
}

#[tokio::test(start_paused = true)]
async fn parameters_come_in_layers_and_a_run_gets_what_was_explained() {
    let (engine, deployment) = engine(&MockExecutor::new(), &single(Value::Null)).await;
    engine.set_environment("env.host", "db0").await.unwrap();
    engine.set_environment("env.host", "db1").await.unwrap();
    let release = values(json!({ "region": "west", "kept": "frozen" }));
    engine.import(deployment, &layered(), release).await.unwrap();
    let given = values(json!({ "region": "north", "table": "orders" }));
    let change = DeploymentChange { values: Some(given), ..Default::default() };
    engine.change_deployment(deployment, change).await.unwrap();

    let ask = || {
        let now = jobwright_core::Timestamp::from_millis(1_700_000_000_000);
        engine.run(deployment).parameter("region", "south").reference_date(now)
    };
    let explained = ask().explain().await.unwrap();
    // `table` is the deployment's word for a flow that is reached.
    let expect = [
        "env.host = db1 by environment",
        "table = orders by deployment over flow default t",
        "kept = frozen by release over flow default as it is",
        "region = south by run over deployment north over release west over flow default all",
        "site = hq by flow default",
    ];
    assert_eq!(provenance(&explained.parameters), expect);
    let run = ask().await.unwrap();
    let view = engine.group(first(&run)).await.unwrap();
    assert_eq!(view.plan.run.parameters, explained.parameters);
    assert_eq!(run.run().parameters, explained.parameters.digest);
    let mut groups = Vec::new();
    for group in run.groups() {
        groups.push(engine.group(group).await.unwrap().plan.jobs.clone());
    }
    let previews: Vec<_> = explained.groups.iter().map(|group| group.jobs.clone()).collect();
    assert_eq!(groups, previews);
    assert_eq!(*groups[0][0].payload, json!(["south", "frozen", "hq", "db1"]));

    // Where its flow is not reached, the same word is no fault, and means nothing.
    let a = jobwright_core::OutputName::new("a").unwrap();
    let alone = ask().outputs([a.clone()]).explain().await.unwrap();
    assert_eq!(provenance(&alone.parameters).iter().filter(|it| it.contains("table")).count(), 0);
    let alone = ask().outputs([a]).parameter("table", "mine").explain().await;
    assert!(alone.is_ok());
    // Every fault is told at once; a lock holds against all but the environment.
    let ask = ask().parameter("site", "here").parameter("tabel", "x");
    let error = ask.explain().await.unwrap_err();
    let text = chain(&error);
    assert!(text.contains("parameter `site` of flow `main` is locked: the run may not"), "{text}");
    assert!(text.contains("unknown parameter `tabel` in the values of the run"), "{text}");
    assert!(text.contains("did you mean `table`?"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_environment_is_one_set_of_names() {
    let (engine, deployment) = engine(&MockExecutor::new(), &layered()).await;
    let missing = engine.run(deployment).await.err().unwrap();
    let text = chain(&missing);
    assert!(text.contains("no parameter is named `env.host`"), "{text}");
    let check = async |name: &str, value: Value, expect: &str| {
        let error = engine.set_environment(name, value).await.unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    let prefix = "the name of an environment parameter begins with `env.`, `host` does not";
    check("host", json!("x"), prefix).await;
    let shape = "environment parameter `env.host` takes text, a number, or true or false";
    check("env.host", json!(["x"]), shape).await;

    let many = (0..20).map(|at| engine.set_environment("env.host", at));
    let set = futures_util::future::join_all(many).await;
    let ids: std::collections::BTreeSet<_> = set.iter().map(|it| it.as_ref().unwrap().id).collect();
    assert_eq!((ids.len(), engine.environment().await.unwrap().len()), (1, 1));
    engine.run(deployment).await.unwrap();
    engine.remove_environment("env.host").await.unwrap();
    let gone = engine.remove_environment("env.host").await.unwrap_err();
    assert!(matches!(gone, EnvironmentError::NotFound(_)), "{gone}");
    // Values are a deployment's own: another one with the same release sees none of them.
    let other = engine.create_deployment("other").await.unwrap().id;
    import(&engine, other, &layered()).await;
    assert_eq!(engine.deployment(other).await.unwrap().values, Values::new());
}
