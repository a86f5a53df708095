//! The two watches, of Jobs and of pods, with which all attempts are followed: bookmarks, and a
//! list anew when the server has forgotten where they were, are the library's.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jobwright_adapters::remote::{Prefix, Trouble};
use k8s_openapi::api::batch::v1::Job as Manifest;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher::{self, Config, Event, watcher};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::label;
use crate::trouble::{chain, trouble};

/// How often the ledger learns that time has passed.
const TICK: Duration = Duration::from_secs(1);

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// What the watches see.
pub(crate) struct Watches {
    jobs: Events<Manifest>,
    pods: Events<Pod>,
    ticks: Interval,
}

/// One thing that they saw.
#[expect(clippy::large_enum_variant, reason = "one at a time, and never kept")]
pub(crate) enum News {
    Job(Event<Manifest>),
    Pod(Event<Pod>),
    /// The server does not remember where a watch was: everything is listed anew.
    Forgotten,
    /// A second has passed.
    Tick,
}

impl Watches {
    /// Watches the attempts of an installation, from the first [`Watches::next`] on.
    pub(crate) fn new(jobs: Api<Manifest>, pods: Api<Pod>, prefix: &Prefix) -> Self {
        let config = Config::default().labels(&label::all(prefix));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            jobs: watcher(jobs, config.clone()).boxed(),
            pods: watcher(pods, config).boxed(),
            ticks,
        }
    }

    /// Waits for what comes next. Cancel safe.
    ///
    /// # Errors
    /// A watch broke; it goes on with the next call.
    pub(crate) async fn next(&mut self) -> Result<News, Trouble> {
        let error = tokio::select! {
            biased;
            Some(event) = self.jobs.next() => match event {
                Ok(event) => return Ok(News::Job(event)),
                Err(error) => error,
            },
            Some(event) = self.pods.next() => match event {
                Ok(event) => return Ok(News::Pod(event)),
                Err(error) => error,
            },
            _ = self.ticks.tick() => return Ok(News::Tick),
        };
        match error {
            watcher::Error::WatchError(status)
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
                if status.code == 410 =>
            {
                tracing::debug!(why = %status.message, "a watch begins anew");
                Ok(News::Forgotten)
            }
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Err(trouble(&error, None)),
            error @ (watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion) => {
                Err(Trouble::Unanswered(chain(&error)))
            }
        }
    }
}
