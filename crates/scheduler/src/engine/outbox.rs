//! What webhooks are still to be told, for whoever sends it. Everything stands in the catalog: an
//! announcement from the commit of a group's end on, a delivery per webhook from the commit that
//! removes the announcement on, until it is taken.
//!
//! Several senders may work on one store: whoever claims a delivery first sends it.

use jobwright_core::webhook::{Announcement, Answer, Delivery, Webhook};
use jobwright_core::{
    Change, DeliveryId, Document, Key, Kind, Query, StoreError, Timestamp, WebhookId,
};

use super::catalog::WriteError;
use super::{Engine, Page};

/// How many deliveries that failed for good are kept per webhook, at least.
const KEPT: usize = 100;

/// How many webhooks or announcements are read at a time.
const PAGE: u32 = 1_000;

/// A message that is to be kept until it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// To whom.
    pub webhook: WebhookId,
    /// The body; absent where the method has none.
    pub body: Option<String>,
    /// It cannot be sent, and why: it is kept as failed from the beginning.
    pub refused: Option<String>,
}

/// What becomes of a delivery after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It was taken, or nobody wants it any more: it is removed.
    Done,
    /// It is tried again.
    Again {
        /// Not before.
        at: Timestamp,
        /// How the try ended.
        answer: Answer,
    },
    /// It is given up, and kept to be seen.
    Failed {
        /// How the last try ended.
        answer: Answer,
    },
}

impl Engine {
    /// Waits until something has been announced that [`Engine::announcements`] may not have
    /// returned yet. One waits at a time; other engines on the store are not heard. Cancel safe.
    pub async fn announced(&self) {
        self.0.announced.notified().await;
    }

    /// Lists what was announced and not yet turned into deliveries, the oldest first, at most
    /// 1,000.
    ///
    /// # Errors
    /// The store failed.
    pub async fn announcements(&self) -> Result<Vec<Announcement>, StoreError> {
        self.list(Page::oldest(PAGE).of(Kind::Announcement)).await
    }

    /// Lists the webhooks that an announcement means.
    ///
    /// # Errors
    /// The store failed.
    pub async fn webhooks_meant(&self, it: &Announcement) -> Result<Vec<Webhook>, StoreError> {
        let all = self.webhooks_page(Some(it.deployment), Page::oldest(PAGE)).await?;
        Ok(all.into_iter().filter(|webhook| webhook.means(it)).collect())
    }

    /// Turns an announcement into deliveries, in one commit, and returns them; nothing where
    /// somebody else has done so.
    ///
    /// # Errors
    /// The store failed; nothing was done.
    pub async fn fan_out(
        &self,
        it: &Announcement,
        messages: Vec<NewDelivery>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let key = Key { kind: Kind::Announcement, id: it.group.get() };
        let Some(stored) = self.0.store.find(key).await? else { return Ok(Vec::new()) };
        let mut changes = vec![Change::remove(key, stored.revision)];
        let mut made = Vec::with_capacity(messages.len());
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let first = if count == 0 { 0 } else { self.0.ids.take(Kind::Delivery, count).await? };
        for (message, id) in messages.into_iter().zip(first..) {
            let delivery = Delivery {
                id: super::submit::id(DeliveryId::new(id))?,
                webhook: message.webhook,
                group: it.group,
                key: format!("{}.{}.{}", it.session, it.group, message.webhook),
                body: message.body,
                failed: message.refused.is_some(),
                tries: 0,
                next_at: it.at,
                last: message.refused.map(|error| Answer { status: None, error: Some(error) }),
                created_at: it.at,
            };
            if delivery.failed {
                changes.extend(self.oldest_failed(delivery.webhook).await?);
            }
            changes.push(Change::insert(Document::Delivery(delivery.clone())));
            made.push(delivery);
        }
        Ok(if self.done(changes).await? { made } else { Vec::new() })
    }

    /// Lists the deliveries that are to be sent, from after one of them on, at most 1,000.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pending_deliveries(
        &self,
        after: Option<DeliveryId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let after = after.map(DeliveryId::get);
        let query = Query { after, live: true, ..Query::all(Kind::Delivery) };
        self.list(query).await
    }

    /// Takes a delivery to send it now: it is counted as one more try, and nobody else takes it
    /// before `until`. None where it is not due, or somebody else was faster.
    ///
    /// # Errors
    /// The store failed.
    pub async fn claim_delivery(
        &self,
        id: DeliveryId,
        until: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let Some((mut delivery, revision)) = self.find::<Delivery>(id).await? else {
            return Ok(None);
        };
        if delivery.failed || delivery.next_at > self.0.clock.now() {
            return Ok(None);
        }
        delivery.tries += 1;
        delivery.next_at = until;
        let change = Change::update(Document::Delivery(delivery.clone()), revision);
        Ok(self.done(vec![change]).await?.then_some(delivery))
    }

    /// Says what becomes of a delivery that was claimed. Does nothing where it was claimed anew
    /// meanwhile: then that try says.
    ///
    /// # Errors
    /// The store failed: the delivery is tried again when its claim is over.
    pub async fn settle_delivery(
        &self,
        claimed: &Delivery,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        let Some((mut delivery, revision)) = self.find::<Delivery>(claimed.id).await? else {
            return Ok(());
        };
        if delivery.tries != claimed.tries {
            return Ok(());
        }
        let mut changes = Vec::new();
        match settlement {
            Settlement::Done => changes.push(Change::remove(claimed.id.into(), revision)),
            Settlement::Again { at, answer } => {
                delivery.next_at = at;
                delivery.last = Some(answer);
                changes.push(Change::update(Document::Delivery(delivery), revision));
            }
            Settlement::Failed { answer } => {
                delivery.failed = true;
                delivery.last = Some(answer);
                changes.extend(self.oldest_failed(delivery.webhook).await?);
                changes.push(Change::update(Document::Delivery(delivery), revision));
            }
        }
        self.done(changes).await.map(drop)
    }

    /// The change that removes the oldest failed delivery of a webhook, where many are kept.
    async fn oldest_failed(&self, webhook: WebhookId) -> Result<Option<Change>, StoreError> {
        let query = Query::all(Kind::Delivery).parent(webhook.get());
        let mut failed = self.0.store.list(query).await?;
        failed.retain(|it| !it.document.is_live());
        let oldest = failed.first().filter(|_| failed.len() >= KEPT);
        Ok(oldest.map(|it| {
            tracing::warn!(webhook.id = webhook.get(), "the oldest failed delivery is forgotten");
            Change::remove(it.document.key(), it.revision)
        }))
    }

    /// Makes changes that nobody asked for; false where somebody else was faster.
    async fn done(&self, changes: Vec<Change>) -> Result<bool, StoreError> {
        match self.commit(changes, Vec::new()).await {
            Ok(()) => Ok(true),
            Err(WriteError::Changed | WriteError::Taken(_)) => Ok(false),
            Err(WriteError::Store(error)) => Err(error),
        }
    }
}
