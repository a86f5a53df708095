//! The courier: the one loop that turns announcements into deliveries and sends them. What it
//! knows stands in the store; its memory is an index of it.
//!
//! ```text
//! announced ─► fan out ─► waiting, by webhook ─► claim ─► send ─► settle
//!                              ▲                                    │
//!                              └───────────── again, later ─────────┘
//! ```
//!
//! Each webhook has its own places, so that one that does not answer delays no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobwright_core::webhook::{Announcement, Delivery, Webhook};
use jobwright_core::{DeliveryId, StoreError, Timestamp, WebhookId};
use jobwright_scheduler::{NewDelivery, Settlement};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::pauses::pause;
use crate::send::{Message, Sender};
use crate::words::Words;

/// How long a claim outlives the try, so that its end can be written.
const MARGIN: Duration = Duration::from_secs(10);

/// How long a store that failed is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// How many announcements the engine lists at a time.
const PAGE: usize = 1_000;

/// What a try leads to: the delivery, and when it is due again; never where it is over.
type Ended = (WebhookId, DeliveryId, Option<Timestamp>);

pub(crate) struct Courier {
    sender: Sender,
    webhooks: BTreeMap<WebhookId, Queue>,
    trying: JoinSet<Ended>,
    drain: CancellationToken,
}

/// What one webhook waits for.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<(Timestamp, DeliveryId)>,
    sending: BTreeSet<DeliveryId>,
}

impl Courier {
    pub(crate) fn new(sender: Sender, drain: CancellationToken) -> Self {
        Self { sender, webhooks: BTreeMap::new(), trying: JoinSet::new(), drain }
    }

    /// Sends until it is told to end; then what is being sent is waited for.
    pub(crate) async fn run(mut self) {
        let mut look_at = self.now();
        while !self.drain.is_cancelled() {
            if self.now() >= look_at {
                look_at = self.now() + self.look().await;
            }
            self.begin();
            let wake = self.next_due().unwrap_or(look_at).min(look_at);
            let pause = Duration::from_millis(wake.as_millis().abs_diff(self.now().as_millis()));
            let pause = if wake <= self.now() { Duration::ZERO } else { pause };
            let drain = self.drain.clone();
            tokio::select! {
                () = drain.cancelled() => {}
                Some(ended) = self.trying.join_next() => self.ended(ended),
                () = self.sender.engine.announced() => {
                    if let Err(error) = self.fan_out_all().await {
                        tracing::error!(%error, "webhooks wait for the store");
                        look_at = self.now() + STORE_PAUSE;
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = self.trying.join_next().await {
            self.ended(ended);
        }
    }

    fn now(&self) -> Timestamp {
        self.sender.engine.now()
    }

    /// Looks at the store, and says when to look again.
    async fn look(&mut self) -> Duration {
        match self.read().await {
            Ok(()) => self.sender.options.look,
            Err(error) => {
                tracing::error!(%error, "webhooks wait for the store");
                STORE_PAUSE
            }
        }
    }

    /// Takes everything in that is to be sent: first what is there already, so that a full queue
    /// is known to be full.
    async fn read(&mut self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.sender.engine.pending_deliveries(after).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            page.iter().for_each(|it| self.wait(it));
        }
        self.fan_out_all().await
    }

    async fn fan_out_all(&mut self) -> Result<(), StoreError> {
        loop {
            let announcements = self.sender.engine.announcements().await?;
            for it in &announcements {
                self.fan_out(it).await?;
            }
            if announcements.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn fan_out(&mut self, it: &Announcement) -> Result<(), StoreError> {
        let engine = &self.sender.engine;
        let meant = engine.webhooks_meant(it).await?;
        let owner = engine.find_deployment(it.deployment).await?;
        let name = owner.map(|(owner, _)| owner.name.to_string()).unwrap_or_default();
        let messages = meant.iter().map(|webhook| self.message(webhook, it, &name)).collect();
        let made = engine.fan_out(it, messages).await?;
        made.iter().filter(|it| !it.failed).for_each(|it| self.wait(it));
        Ok(())
    }

    fn message(&self, webhook: &Webhook, it: &Announcement, deployment_name: &str) -> NewDelivery {
        let delivery = format!("{}.{}.{}", it.session, it.group, webhook.id);
        let words = Words { it, deployment_name, delivery: &delivery };
        let queue = self.webhooks.get(&webhook.id);
        let waiting = queue.map_or(0, |queue| queue.waiting.len() + queue.sending.len());
        let is_full = waiting >= self.sender.options.waiting;
        if is_full {
            let (webhook, group) = (webhook.id.get(), it.group.get());
            tracing::warn!(webhook.id = webhook, job_group.id = group, "its queue is full");
        }
        NewDelivery {
            webhook: webhook.id,
            body: words.body(&webhook.call),
            refused: is_full.then(|| format!("{waiting} messages wait already; it is not sent")),
        }
    }

    fn wait(&mut self, it: &Delivery) {
        let queue = self.webhooks.entry(it.webhook).or_default();
        let is_known = queue.waiting.iter().any(|(_, id)| *id == it.id);
        if !is_known && !queue.sending.contains(&it.id) {
            queue.waiting.insert((it.next_at, it.id));
        }
    }

    /// Begins every try that is due and has a place.
    fn begin(&mut self) {
        let now = self.now();
        let options = &self.sender.options;
        for (webhook, queue) in &mut self.webhooks {
            while queue.sending.len() < options.at_a_time as usize
                && self.trying.len() < options.at_a_time_in_all
                && let Some((at, id)) = queue.waiting.first().copied()
                && at <= now
            {
                queue.waiting.pop_first();
                queue.sending.insert(id);
                let (sender, webhook) = (self.sender.clone(), *webhook);
                self.trying.spawn(async move { (webhook, id, attempt(&sender, id).await) });
            }
        }
        self.webhooks.retain(|_, it| !it.waiting.is_empty() || !it.sending.is_empty());
    }

    /// When the next try is due that has a place.
    fn next_due(&self) -> Option<Timestamp> {
        if self.trying.len() >= self.sender.options.at_a_time_in_all {
            return None;
        }
        let most = self.sender.options.at_a_time as usize;
        let open = self.webhooks.values().filter(|queue| queue.sending.len() < most);
        open.filter_map(|queue| Some(queue.waiting.first()?.0)).min()
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let (webhook, id, next) = match ended {
            Ok(ended) => ended,
            // Its claim ends by itself; the next look finds it again.
            Err(error) => {
                tracing::error!(%error, "a try to send a webhook was broken off");
                self.webhooks.values_mut().for_each(|queue| queue.sending.clear());
                return;
            }
        };
        let Some(queue) = self.webhooks.get_mut(&webhook) else { return };
        queue.sending.remove(&id);
        if let Some(at) = next {
            queue.waiting.insert((at, id));
        }
    }
}

/// Tries a delivery once; when it is due again, if it is not over.
async fn attempt(sender: &Sender, id: DeliveryId) -> Option<Timestamp> {
    let (engine, options) = (&sender.engine, &sender.options);
    let until = engine.now() + options.try_time + options.try_time + MARGIN;
    let claimed = match engine.claim_delivery(id, until).await {
        Ok(claimed) => claimed?,
        Err(error) => {
            tracing::error!(%error, "a webhook waits for the store");
            return Some(engine.now() + STORE_PAUSE);
        }
    };
    let (settlement, next) = match engine.find_webhook(claimed.webhook).await {
        Ok(Some(webhook)) => settled(sender, &webhook, &claimed).await,
        Ok(None) => (Settlement::Done, None),
        Err(error) => {
            tracing::error!(%error, "a webhook waits for the store");
            return Some(until);
        }
    };
    match engine.settle_delivery(&claimed, settlement).await {
        Ok(()) => next,
        Err(error) => {
            tracing::error!(%error, "it is not known that a webhook was sent: it is sent again");
            Some(until)
        }
    }
}

async fn settled(
    sender: &Sender,
    webhook: &Webhook,
    claimed: &Delivery,
) -> (Settlement, Option<Timestamp>) {
    let (call, number) = (&webhook.call, claimed.tries);
    let body = claimed.body.as_deref();
    let tried = sender.send(&Message { call, key: &claimed.key, body, number }).await;
    if tried.was_taken() {
        return (Settlement::Done, None);
    }
    let options = &sender.options;
    let (answer, webhook) = (tried.answer, webhook.id.get());
    let (status, error) = (answer.status, answer.error.as_deref());
    if !call.retry || number >= options.tries {
        tracing::warn!(webhook.id = webhook, number, status, error, "a webhook is given up");
        return (Settlement::Failed { answer }, None);
    }
    tracing::info!(webhook.id = webhook, number, status, error, "a webhook was not taken");
    let (first, longest) = (options.first_pause, options.longest_pause);
    let at = sender.engine.now() + pause(number, &claimed.key, first, longest, tried.after);
    (Settlement::Again { at, answer }, Some(at))
}
