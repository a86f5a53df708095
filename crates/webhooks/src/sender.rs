//! The port of core, for those who check addresses and send tests.

use async_trait::async_trait;
use jobwright_core::webhook::{Announcement, Answer, Call, UrlRefused, WebhookSender};
use jobwright_core::{DeploymentId, GroupId, ReleaseId, RunId, Status};

use crate::send::{Message, Sender};
use crate::words::Words;

/// What a test is known by: receivers see that there is no group behind it.
const TEST: &str = "test";

#[async_trait]
impl WebhookSender for Sender {
    fn check(&self, url: &str) -> Result<(), UrlRefused> {
        self.options.guard.url(url).map(drop)
    }

    async fn test(&self, deployment: DeploymentId, call: &Call) -> Answer {
        let first = "one is an id";
        let it = Announcement {
            group: GroupId::new(1).expect(first),
            run: RunId::new(1).expect(first),
            session: Default::default(),
            deployment,
            release: ReleaseId::new(1).expect(first),
            outputs: call.outputs.clone(),
            status: Status::Complete,
            at: self.engine.now(),
        };
        let words = Words { it: &it, deployment_name: TEST, delivery: TEST };
        let body = words.body(call);
        let message = Message { call, key: TEST, body: body.as_deref(), number: 1 };
        self.send(&message).await.answer
    }
}
