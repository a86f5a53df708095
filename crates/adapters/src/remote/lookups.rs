//! Looking attempts up by their keys: who asks while a request is under way is asked for with the
//! next one, so that a thousand questions after a restart are a few requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::cluster::{Cluster, Job, Sighting, Trouble};
use super::{Remote, within};

/// How long the first question waits for others.
const GATHER: Duration = Duration::from_millis(10);

type Answer = oneshot::Sender<Result<Option<Sighting>, Trouble>>;

/// Questions that nobody has answered yet.
#[derive(Default)]
pub(super) struct Lookups {
    asked: Mutex<Vec<(Job, Answer)>>,
    any: Notify,
}

impl<C: Cluster> Remote<C> {
    /// Looks an attempt up; waits as long as the cluster is away. Cancel safe.
    pub(super) async fn look_up(&self, job: &Job) -> Option<Sighting> {
        let mut tries = 0;
        loop {
            self.answering(job).await;
            let (answer, answered) = oneshot::channel();
            {
                let mut asked = self.lookups.asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.push((job.clone(), answer));
            }
            self.lookups.any.notify_one();
            if let Ok(Ok(found)) = answered.await {
                return found;
            }
            sleep(super::circuit::pause(tries)).await;
            tries += 1;
        }
    }

    /// Answers those who ask, for ever.
    pub(super) async fn answer(&self) {
        loop {
            self.lookups.any.notified().await;
            sleep(GATHER).await;
            let asked = std::mem::take(
                &mut *self.lookups.asked.lock().unwrap_or_else(PoisonError::into_inner),
            );
            let jobs: Vec<Job> = asked.iter().map(|(job, _)| job.clone()).collect();
            if jobs.is_empty() {
                continue;
            }
            let found = within(self.options.call_time, self.cluster.find(&jobs)).await;
            self.note(&found);
            let mut found = found.map(|sightings| {
                let keyed = sightings.into_iter().map(|it| (it.key.clone(), it));
                keyed.collect::<BTreeMap<_, _>>()
            });
            for (job, answer) in asked {
                let told = match &mut found {
                    Ok(sightings) => Ok(sightings.remove(job.key())),
                    Err(trouble) => Err(trouble.clone()),
                };
                // Who asked may have gone.
                let _ = answer.send(told);
            }
        }
    }
}
