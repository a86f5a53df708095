//! What listeners hear.

use jobwright_adapters::FnExecutor;
use jobwright_core::{Attempt, Event, GroupId, Success, Verdict};
use jobwright_scheduler::{Engine, Notice, Subscription};
use jobwright_store::MemoryStore;
use serde_json::Value;

use crate::stage::{secs, single, start};

/// Says so many lines, and that it is half done.
fn chatty(lines: usize) -> FnExecutor<impl Fn(Attempt) -> std::future::Ready<Talk>> {
    FnExecutor::new(move |attempt: Attempt| {
        attempt.progress(50, "half");
        (0..lines).for_each(|line| attempt.log(&format!("line {line}")));
        std::future::ready(Ok(Success::empty()))
    })
}

type Talk = Result<Success, jobwright_core::Failure>;

/// Everything that a listener still hears, in words, and of which groups.
async fn rest(mut listener: Subscription) -> (Vec<String>, Vec<GroupId>) {
    let (mut words, mut groups) = (Vec::new(), Vec::new());
    while let Some(notice) = listener.next().await {
        words.push(match notice {
            Notice::Event { group, event, .. } => {
                groups.push(group);
                match event {
                    Event::GroupEnded { verdict } => format!("{verdict:?}"),
                    _ => continue,
                }
            }
            Notice::Progress { percent, words, .. } => format!("{percent} % {words}"),
            Notice::Log { line, .. } => line.to_string(),
            Notice::Gap { missed } => format!("missed {missed}"),
            _ => panic!("another notice"),
        });
    }
    (words, groups)
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_learns_that_it_missed_something_and_slows_nothing() {
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", chatty(3000));
    let (engine, deployment) = start(builder, &single(Value::Null)).await;
    let slow = engine.subscribe(None);
    for _ in 0..3 {
        let outcome = engine.run(deployment).await.unwrap().wait().await.unwrap();
        assert_eq!(outcome.verdict, Verdict::Succeeded);
    }
    engine.shutdown(secs(0)).await.unwrap();
    let (words, _) = rest(slow).await;
    assert!(words[0].starts_with("missed "), "{}", words[0]);
    assert!(words.len() < 2000, "a listener keeps no more than it may: {}", words.len());
    // What it does hear is the latest, without another gap, to the end.
    assert_eq!(words.iter().filter(|it| it.starts_with("missed")).count(), 1);
    assert_eq!(words[words.len() - 2..], ["line 2999", "Succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_its_group_alone_until_the_engine_ends() {
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", chatty(2));
    let (engine, deployment) = start(builder, &single(Value::Null)).await;
    let before = engine.run(deployment).await.unwrap();
    before.wait().await.unwrap();
    let last = GroupId::new(before.groups().next().unwrap().get() + 2).unwrap();
    let (one, all) = (engine.subscribe(Some(last)), engine.subscribe(None));
    for _ in 0..3 {
        engine.run(deployment).await.unwrap().wait().await.unwrap();
    }
    engine.shutdown(secs(0)).await.unwrap();
    let heard = ["50 % half", "line 0", "line 1", "Succeeded"];
    let (words, groups) = rest(one).await;
    assert_eq!(words, heard);
    assert!(groups.iter().all(|group| *group == last), "{groups:?}");
    assert_eq!(rest(all).await.0, heard.repeat(3));
    // Whoever comes too late is not left waiting.
    assert_eq!(rest(engine.subscribe(None)).await.0, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_the_end_of_an_engine_that_is_dropped() {
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", chatty(0));
    let (engine, _) = start(builder, &single(Value::Null)).await;
    let listener = engine.subscribe(None);
    drop(engine);
    assert_eq!(rest(listener).await.0, Vec::<String>::new());
}
