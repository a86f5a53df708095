//! A cluster that does as a test says.

use std::collections::{BTreeMap, VecDeque};
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{Attempt, Failure, Handle, Reporter};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use super::super::{
    Cluster, End, Fence, Force, Job, Key, Options, Output, RemoteExecutor, Sighting, State,
    Submitted, Trouble,
};
use super::Over;
use crate::clock::instant;
use crate::log::ProcessEnd;

/// What the cluster does with a submission.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    TakesInSilence,
    TakesLate(Duration),
    HearsNothing,
    Busy(Option<Duration>),
}

/// A cluster and the folder of its executors.
pub(super) struct Rig {
    pub(super) fake: Arc<Fake>,
    pub(super) folder: TempDir,
}

impl Rig {
    pub(super) fn new() -> Self {
        let began = instant();
        let fake = Fake { began, inner: Mutex::default() };
        Self { fake: Arc::new(fake), folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn executor(&self) -> Over {
        self.executor_with(Options::default())
    }

    pub(super) fn executor_with(&self, options: Options) -> Over {
        RemoteExecutor::new(self.fake.clone(), self.folder.path(), options)
    }
}

pub(super) struct Fake {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    answers: VecDeque<Answer>,
    jobs: BTreeMap<Key, Running>,
    calls: BTreeMap<&'static str, usize>,
    stops: Vec<(u64, bool)>,
    fence: Option<Fence>,
    is_away: bool,
    is_deaf: bool,
    is_stubborn: bool,
    live: Option<DuplexStream>,
    last: u32,
}

struct Running {
    handle: Handle,
    mark: String,
    state: State,
    /// It ends by itself then, with this code.
    ends: Option<(Instant, i32)>,
}

impl Fake {
    pub(super) fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.lock().answers.extend(answers);
    }

    pub(super) fn count(&self, call: &str) -> usize {
        self.lock().calls.get(call).copied().unwrap_or(0)
    }

    pub(super) fn running(&self) -> usize {
        let running = |it: &&Running| !matches!(it.state, State::Ended(_)) && it.ends.is_none();
        self.lock().jobs.values().filter(running).count()
    }

    pub(super) fn go_away(&self, away: bool) {
        self.lock().is_away = away;
    }

    /// Takes no stops, so that a test sees whether one was sent later.
    pub(super) fn deaf(&self, deaf: bool) {
        self.lock().is_deaf = deaf;
    }

    pub(super) fn stubborn(&self) {
        self.lock().is_stubborn = true;
    }

    pub(super) fn fence(&self, fence: Fence) {
        self.lock().fence = Some(fence);
    }

    /// An engine handed this over and died before it heard that it was taken.
    pub(super) fn took(&self, attempt: Attempt) {
        let key = Key::new(&Options::default().prefix, attempt.id());
        self.take(&Job::new(attempt, key, Path::new("")));
    }

    /// What is written here is what the next attempt says while it runs.
    pub(super) fn speaks(&self) -> DuplexStream {
        let (here, there) = tokio::io::duplex(1024);
        self.lock().live = Some(there);
        here
    }

    pub(super) fn run_all(&self) {
        for job in self.lock().jobs.values_mut() {
            job.state = State::Running(String::new());
        }
    }

    pub(super) fn end_all(&self, code: i32) {
        for job in self.lock().jobs.values_mut() {
            job.state = State::Ended(End::Work(ProcessEnd::Exit(code)));
        }
    }

    pub(super) fn lose_all(&self) {
        self.lock().jobs.clear();
    }

    /// At which second it was stopped, and whether by force.
    pub(super) fn stops(&self) -> Vec<(u64, bool)> {
        self.lock().stops.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn called(&self, call: &'static str) -> Result<(), Trouble> {
        let mut inner = self.lock();
        *inner.calls.entry(call).or_default() += 1;
        match inner.is_away {
            true => Err(Trouble::Unsent("connection refused".to_owned())),
            false => Ok(()),
        }
    }

    fn take(&self, job: &Job) -> Handle {
        let env = |name: &str| {
            let value = job.attempt().payload()["env"][name].as_str();
            value.and_then(|value| value.parse::<i32>().ok())
        };
        let after = Duration::from_secs(u64::from(env("AFTER").unwrap_or(0).unsigned_abs()));
        let ends = env("ENDS").map(|code| (instant() + after, code));
        let mut inner = self.lock();
        inner.last += 1;
        let handle = Handle::new(&format!("fake {}", inner.last));
        let state = State::Waiting("a place is free soon".to_owned());
        let running = Running { handle: handle.clone(), mark: job.mark(), state, ends };
        assert!(inner.jobs.insert(job.key().clone(), running).is_none(), "{} ran twice", job.key());
        handle
    }
}

#[async_trait]
impl Cluster for Arc<Fake> {
    type Order = ();

    fn name(&self) -> &'static str {
        "Fake"
    }

    async fn prepare(&self, _: &Job) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, job: &Job, (): &()) -> Result<Submitted, Trouble> {
        self.called("submit")?;
        let answer = self.lock().answers.pop_front();
        match answer {
            None => Ok(Submitted::Accepted(self.take(job))),
            Some(Answer::TakesInSilence) => {
                self.take(job);
                std::future::pending().await
            }
            Some(Answer::TakesLate(after)) => {
                let (fake, job) = (self.clone(), job.clone());
                #[expect(
                    clippy::disallowed_methods,
                    reason = "it goes on when the call is dropped"
                )]
                let late = tokio::spawn(async move {
                    sleep(after).await;
                    fake.take(&job)
                });
                Ok(Submitted::Accepted(late.await.unwrap()))
            }
            Some(Answer::HearsNothing) => std::future::pending().await,
            Some(Answer::Busy(after)) => {
                Err(Trouble::Busy { why: "too many jobs".to_owned(), after })
            }
        }
    }

    async fn find(&self, jobs: &[Job]) -> Result<Vec<Sighting>, Trouble> {
        self.called("find")?;
        let mut inner = self.lock();
        let now = instant();
        let mut found = Vec::new();
        for job in jobs {
            let Some(running) = inner.jobs.get_mut(job.key()) else { continue };
            if running.mark != job.mark() {
                continue;
            }
            if let Some((at, code)) = running.ends
                && at <= now
            {
                running.state = State::Ended(End::Work(ProcessEnd::Exit(code)));
            }
            let (key, handle) = (job.key().clone(), running.handle.clone());
            found.push(Sighting { key, handle, state: running.state.clone() });
        }
        Ok(found)
    }

    async fn stop(&self, job: &Job, _: &Handle, how: Force) -> Result<(), Trouble> {
        self.called("stop")?;
        let second = (instant() - self.began).as_secs();
        let mut inner = self.lock();
        if inner.is_deaf {
            return Err(Trouble::Unanswered("it is deaf".to_owned()));
        }
        inner.stops.push((second, how == Force::Kill));
        let heeds = how == Force::Kill || !inner.is_stubborn;
        if let Some(running) = inner.jobs.get_mut(job.key())
            && heeds
            && !matches!(running.state, State::Ended(_))
        {
            running.state = State::Ended(End::Stopped);
        }
        Ok(())
    }

    async fn fence(&self, _: &Job) -> Result<Fence, Trouble> {
        self.called("fence")?;
        Ok(self.lock().fence.unwrap_or(Fence::Open))
    }

    async fn stream(&self, _: &Job, _: &Handle) -> Result<Option<Output>, Trouble> {
        Ok(self.lock().live.take().map(|live| Output::default().out(live)))
    }

    async fn output(&self, _: &Job, _: &Handle) -> Result<Output, Trouble> {
        self.called("output")?;
        let out = Cursor::new(b"the key is hunter2-long\nmore".to_vec());
        let output = Output::default().out(out).err(Cursor::new(b"careful\n".to_vec()));
        Ok(output.result(b"3".to_vec()))
    }

    async fn ping(&self) -> Result<(), Trouble> {
        self.called("ping")
    }
}

/// Keeps what it hears.
#[derive(Default)]
pub(super) struct Ear(Mutex<(Vec<Handle>, Vec<String>)>);

impl Ear {
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.0.lock().unwrap().0.clone()
    }

    pub(super) fn words(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

#[async_trait]
impl Reporter for Ear {
    async fn started(&self, _: &Attempt, handle: Handle) {
        self.0.lock().unwrap().0.push(handle);
    }
    fn heartbeat(&self, _: &Attempt) {}
    fn progress(&self, _: &Attempt, _: u8, words: &str) {
        self.0.lock().unwrap().1.push(words.to_owned());
    }
    fn log(&self, _: &Attempt, _: &str) {}
}
