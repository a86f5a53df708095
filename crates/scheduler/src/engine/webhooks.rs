//! The webhooks of deployments, as they are kept. The outbox sends; here is who is to be told.

use jobwright_core::webhook::{Call, CallFault, Delivery, MAX_WEBHOOKS, Webhook};
use jobwright_core::{
    Change, Deployment, DeploymentId, Document, Kind, Query, Revision, StoreError, WebhookId,
};
use thiserror::Error;

use super::catalog::WriteError;
use super::{Engine, Page};

/// How often a change is tried again when others get in the way.
const TRIES: u32 = 8;

/// Why a webhook was not made, changed or deleted. Everything is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// There is no such deployment.
    #[error("deployment {0} does not exist")]
    NoDeployment(DeploymentId),
    /// There is no such webhook.
    #[error("webhook {0} does not exist")]
    NotFound(WebhookId),
    /// The call cannot be kept as it is.
    #[error("the webhook is wrong in {} places, the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Call(Vec<CallFault>),
    /// The deployment has as many as it may have.
    #[error("deployment {0} has {MAX_WEBHOOKS} webhooks, and may have no more")]
    TooMany(DeploymentId),
    /// Somebody else changes it all the time.
    #[error("it was changed by somebody else meanwhile: try again")]
    Changed,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Makes a webhook. It is told of the groups of all runs that are accepted from now on; of
    /// those accepted before, where the deployment had another webhook then.
    ///
    /// # Errors
    /// There is no such deployment, it has too many, the call is wrong, or the store fails.
    pub async fn create_webhook(
        &self,
        deployment: DeploymentId,
        call: Call,
    ) -> Result<Webhook, WebhookError> {
        sound(&call)?;
        let id = self.0.ids.take(Kind::Webhook, 1).await?;
        let id = super::submit::id(WebhookId::new(id))?;
        let _alone = self.0.gates.change().await;
        for _ in 0..TRIES {
            let found = self.find::<Deployment>(deployment).await?;
            let (mut owner, revision) = found.ok_or(WebhookError::NoDeployment(deployment))?;
            if owner.webhooks >= MAX_WEBHOOKS {
                return Err(WebhookError::TooMany(deployment));
            }
            owner.webhooks += 1;
            let now = self.0.clock.now();
            let webhook = Webhook {
                id,
                deployment,
                call: call.clone(),
                created_by: self.actor(),
                created_at: now,
                updated_at: now,
            };
            let changes = vec![
                Change::insert(Document::Webhook(webhook.clone())),
                Change::update(Document::Deployment(owner), revision),
            ];
            match self.write(changes, Vec::new()).await {
                Ok(()) => return Ok(webhook),
                Err(WriteError::Changed | WriteError::Taken(_)) => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
            }
        }
        Err(WebhookError::Changed)
    }

    /// Changes what a webhook sends, where and when. What waits is sent to the new address, with
    /// the body that it has.
    ///
    /// # Errors
    /// There is no such webhook, the call is wrong, or the store fails.
    pub async fn change_webhook(&self, id: WebhookId, call: Call) -> Result<Webhook, WebhookError> {
        sound(&call)?;
        let _alone = self.0.gates.change().await;
        let (mut webhook, revision) = self.kept_webhook(id).await?;
        webhook.call = call;
        webhook.updated_at = self.0.clock.now();
        let change = Change::update(Document::Webhook(webhook.clone()), revision);
        self.write(vec![change], Vec::new()).await?;
        Ok(webhook)
    }

    /// Deletes a webhook. What waits for it is not sent any more.
    ///
    /// # Errors
    /// There is no such webhook, or the store fails.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), WebhookError> {
        let _alone = self.0.gates.change().await;
        let (webhook, revision) = self.kept_webhook(id).await?;
        let mut changes = vec![Change::remove(id.into(), revision)];
        if let Some((mut owner, revision)) = self.find::<Deployment>(webhook.deployment).await? {
            owner.webhooks = owner.webhooks.saturating_sub(1);
            changes.push(Change::update(Document::Deployment(owner), revision));
        }
        Ok(self.write(changes, Vec::new()).await?)
    }

    /// Finds a webhook.
    ///
    /// # Errors
    /// The store failed.
    pub async fn find_webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        Ok(self.find::<Webhook>(id).await?.map(|(webhook, _)| webhook))
    }

    /// Lists a page of webhooks, of one deployment or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn webhooks_page(
        &self,
        of: Option<DeploymentId>,
        page: Page,
    ) -> Result<Vec<Webhook>, StoreError> {
        let parent = of.map(DeploymentId::get);
        self.list(Query { parent, ..page.of(Kind::Webhook) }).await
    }

    /// Lists a page of what is to be sent and what could not be, of one webhook or of all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn deliveries_page(
        &self,
        of: Option<WebhookId>,
        page: Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        let parent = of.map(WebhookId::get);
        self.list(Query { parent, ..page.of(Kind::Delivery) }).await
    }

    async fn kept_webhook(&self, id: WebhookId) -> Result<(Webhook, Revision), WebhookError> {
        self.find::<Webhook>(id).await?.ok_or(WebhookError::NotFound(id))
    }

    /// The changes that delete the webhooks of a deployment.
    pub(super) async fn without_webhooks(
        &self,
        deployment: DeploymentId,
    ) -> Result<Vec<Change>, StoreError> {
        let query = Query::all(Kind::Webhook).parent(deployment.get());
        let found = self.0.store.list(query).await?;
        Ok(found.into_iter().map(|it| Change::remove(it.document.key(), it.revision)).collect())
    }
}

impl From<WriteError> for WebhookError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Changed | WriteError::Taken(_) => Self::Changed,
            WriteError::Store(error) => error.into(),
        }
    }
}

fn sound(call: &Call) -> Result<(), WebhookError> {
    let faults = call.faults();
    if faults.is_empty() { Ok(()) } else { Err(WebhookError::Call(faults)) }
}
