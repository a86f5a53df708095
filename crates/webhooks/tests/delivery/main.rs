//! Webhooks from the end of a group to a receiver that listens on the loopback interface.
#![expect(clippy::unwrap_used, reason = "what the tests share is part of the tests")]

mod receiver;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jobwright_adapters::mock::Act;
use jobwright_core::webhook::{Call, Moment};
use jobwright_core::{Failure, Status};
use jobwright_store::MemoryStore;
use jobwright_webhooks::Options;
use serde_json::{Value, json};
use sha2::Sha256;

use receiver::{Receiver, Say, status};
use stage::{KEY, Stage, call, quick};

/// What `docs/webhooks.md` tells receivers to do.
fn is_signed(header: &str, delivery: &str, body: &str, key: &str) -> bool {
    let Some((time, digits)) = header.split_once(",v1=") else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{}.{delivery}.{body}", &time[2..]).as_bytes());
    let digits: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    mac.verify_slice(&digits).is_ok()
}

#[tokio::test]
async fn the_end_of_a_group_is_told_and_signed() {
    let receiver = Receiver::start([]).await;
    let stage = Stage::start(&Arc::new(MemoryStore::new()), quick()).await;
    let body = r#"{"job_id":"$jobId","of":"${deploymentName}","how":"$jobStatus $event"}"#;
    let mut call = call(&format!("{}/hook?a=b", receiver.base));
    call.body = Some(body.to_owned());
    call.headers.insert("X-Team".to_owned(), "blue".to_owned());
    call.headers.insert("Authorization".to_owned(), "secret:hook-token".to_owned());
    let webhook = stage.engine.create_webhook(stage.deployment, call).await.unwrap();
    let run = stage.run().await;
    let got = receiver.has(1).await.remove(0);
    assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/hook?a=b"));
    let group = run.groups().next().unwrap();
    assert_eq!(
        got.body,
        format!(r#"{{"job_id":"{group}","of":"sales","how":"Complete onJobDone"}}"#)
    );
    let delivery = format!("{}.{group}.{}", run.run().session, webhook.id);
    assert_eq!(got.header("x-jobwright-delivery"), delivery);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!((got.header("x-team"), got.header("authorization")), ("blue", "Bearer 1"));
    let signature = got.header("x-jobwright-signature");
    assert!(is_signed(signature, &delivery, &got.body, KEY), "{signature}");
    assert!(!is_signed(signature, &delivery, &got.body, "other"), "another key");
    assert!(!is_signed(signature, &delivery, "{}", KEY), "another body");
    stage.is_idle().await;
    assert_eq!(receiver.got().len(), 1);
    // What is kept knows names of secrets, and no secret.
    let kept =
        serde_json::to_string(&stage.engine.find_webhook(webhook.id).await.unwrap()).unwrap();
    assert!(!kept.contains(KEY) && !kept.contains("Bearer"), "{kept}");
    stage.end().await;
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_with_the_same_name() {
    let receiver = Receiver::start([status(500), Say::Nothing, status(429)]).await;
    let pause = Duration::from_millis(5);
    let options = quick().try_time(Duration::from_millis(300)).retry(4, pause, pause);
    let stage = Stage::start(&Arc::new(MemoryStore::new()), options).await;
    let call = Call { body: None, ..call(&receiver.base) };
    stage.engine.create_webhook(stage.deployment, call).await.unwrap();
    stage.run().await;
    let got = receiver.has(4).await;
    let names: Vec<_> = got.iter().map(|it| it.header("x-jobwright-delivery")).collect();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    let numbers: Vec<_> = got.iter().map(|it| it.header("x-jobwright-try")).collect();
    assert_eq!(numbers, ["1", "2", "3", "4"]);
    assert!(got.iter().all(|it| it.body == got[0].body));
    let body: Value = serde_json::from_str(&got[0].body).unwrap();
    assert_eq!((&body["jobStatus"], &body["outputs"]), (&json!("Complete"), &json!(["a"])));
    stage.is_idle().await;
    stage.end().await;
}

#[tokio::test]
async fn what_is_given_up_is_kept_and_redirects_are_not_followed() {
    let other = Receiver::start([]).await;
    let away = || Say::Status(302, vec![("location", format!("{}/stolen", other.base))]);
    let receiver = Receiver::start([away(), away(), away()]).await;
    let stage = Stage::start(&Arc::new(MemoryStore::new()), quick()).await;
    let webhook =
        stage.engine.create_webhook(stage.deployment, call(&receiver.base)).await.unwrap();
    stage.run().await;
    receiver.has(3).await;
    stage.is_idle().await;
    let failed = stage.deliveries().await;
    assert_eq!(failed.len(), 1);
    let last = failed[0].last.clone().unwrap();
    assert_eq!((failed[0].failed, failed[0].tries, last.status), (true, 3, Some(302)));
    assert!(other.got().is_empty(), "{:?}", other.got());

    // To an address that is not allowed nothing is sent, whatever the webhook says.
    let mut call = call("http://localhost:1/");
    call.retry = false;
    stage.engine.change_webhook(webhook.id, call).await.unwrap();
    stage.run().await;
    stage.is_idle().await;
    let failed = stage.deliveries().await;
    let error = failed[1].last.clone().unwrap().error.unwrap();
    // The address of `localhost` is allowed here by the number, and nothing listens there; one
    // that is not is refused by name.
    assert!(error.to_lowercase().contains("refused"), "{error}");
    stage.end().await;
}

#[tokio::test]
async fn a_host_that_resolves_to_this_machine_is_refused() {
    let receiver = Receiver::start([]).await;
    let options = Options::default().retry(1, Duration::ZERO, Duration::ZERO);
    let stage = Stage::start(&Arc::new(MemoryStore::new()), options).await;
    let port = receiver.base.rsplit_once(':').unwrap().1.to_owned();
    for url in [receiver.base.clone(), format!("http://localhost:{port}/")] {
        let call = Call { secret: None, ..call(&url) };
        let answer = stage.webhooks.sender().test(stage.deployment, &call).await;
        assert!(answer.error.clone().unwrap().contains("a loopback address"), "{answer:?}");
    }
    assert!(receiver.got().is_empty());
    stage.end().await;
}

#[tokio::test]
async fn what_a_crash_left_is_sent_by_the_next() {
    let receiver = Receiver::start([]).await;
    let store = Arc::new(MemoryStore::new());
    let stage = Stage::start(&store, quick()).await;
    stage.engine.create_webhook(stage.deployment, call(&receiver.base)).await.unwrap();
    // Nobody sends when the group ends; then the engine dies as well.
    let stage = stage.without_webhooks();
    let run = stage.engine.run(stage.deployment).await.unwrap();
    run.wait().await.unwrap();
    let group = run.groups().next().unwrap();
    assert_eq!(stage.engine.announcements().await.unwrap().len(), 1);
    drop((run, stage));
    assert!(receiver.got().is_empty());

    let next = Stage::again(&store, quick()).await;
    let got = receiver.has(1).await;
    let body: Value = serde_json::from_str(&got[0].body).unwrap();
    assert_eq!(body["jobId"], json!(group));
    next.is_idle().await;
    assert_eq!(receiver.got().len(), 1);
    next.end().await;
}

#[tokio::test]
async fn a_dead_receiver_delays_no_other_and_its_queue_is_bounded() {
    let dead = Receiver::start(std::iter::repeat_n(Say::Nothing, 50)).await;
    let alive = Receiver::start([]).await;
    let options = quick().waiting(3);
    let stage = Stage::start(&Arc::new(MemoryStore::new()), options).await;
    let hanging = stage.engine.create_webhook(stage.deployment, call(&dead.base)).await.unwrap();
    stage.engine.create_webhook(stage.deployment, call(&alive.base)).await.unwrap();
    for count in 1..=6 {
        stage.run().await;
        alive.has(count).await;
    }
    // Two hang, one waits, and the others were never silently lost.
    assert_eq!(dead.has(2).await.len(), 2);
    let kept = stage.deliveries().await;
    let (failed, waiting): (Vec<_>, Vec<_>) =
        kept.iter().filter(|it| it.webhook == hanging.id).partition(|it| it.failed);
    assert_eq!((failed.len(), waiting.len()), (3, 3));
    let words = failed[0].last.clone().unwrap().error.unwrap();
    assert_eq!(words, "3 messages wait already; it is not sent");
    // Nobody wants what waits once the webhook is gone.
    stage.engine.delete_webhook(hanging.id).await.unwrap();
    drop(stage);
}

#[tokio::test]
async fn only_the_ends_that_are_meant_are_told() {
    let receiver = Receiver::start([]).await;
    let stage = Stage::start(&Arc::new(MemoryStore::new()), quick()).await;
    let on = |trigger, outputs: &[&str]| {
        let outputs = outputs.iter().map(|name| name.parse().unwrap()).collect();
        Call { trigger, outputs, ..call(&receiver.base) }
    };
    let engine = &stage.engine;
    for call in [on(Moment::Failure, &[]), on(Moment::Success, &["other"])] {
        engine.create_webhook(stage.deployment, call).await.unwrap();
    }
    stage.run().await;
    stage.is_idle().await;
    assert!(receiver.got().is_empty());
    assert!(engine.announcements().await.unwrap().is_empty());
    let fails = Act::fails(Failure::permanent("no", "no"));
    let other = Stage::with(&Arc::new(MemoryStore::new()), quick(), fails).await;
    other.engine.create_webhook(other.deployment, on(Moment::Failure, &["a"])).await.unwrap();
    let run = other.run().await;
    let got = receiver.has(1).await;
    assert_eq!(got[0].header("x-jobwright-event"), "onJobFailure");
    let summary = other.engine.summary(run.groups().next().unwrap()).await.unwrap();
    assert_eq!(summary.status, Status::Failed);
    other.end().await;
    stage.end().await;
}
