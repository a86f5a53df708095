//! What a message says of a group that ended.

use jobwright_core::webhook::{Announcement, Body, Call};
use serde_json::json;

/// What is known of a group that ended, for one webhook.
pub(crate) struct Words<'w> {
    pub(crate) it: &'w Announcement,
    pub(crate) deployment_name: &'w str,
    pub(crate) delivery: &'w str,
}

impl Words<'_> {
    /// The body of a message; none where the method has none.
    pub(crate) fn body(&self, call: &Call) -> Option<String> {
        if !call.method.has_body() {
            return None;
        }
        match call.body.as_deref().map(Body::parse) {
            Some(Ok(body)) => Some(body.fill(|name| self.value(call, name))),
            // One that cannot be filled is refused when it is made, and is sent as everything.
            Some(Err(_)) | None => Some(self.everything(call)),
        }
    }

    fn value(&self, call: &Call, name: &str) -> String {
        let it = self.it;
        match name {
            "deliveryId" => self.delivery.to_owned(),
            "deploymentId" => it.deployment.to_string(),
            "deploymentName" => self.deployment_name.to_owned(),
            "endedAt" => it.at.to_string(),
            "event" => call.trigger.as_str().to_owned(),
            "flowRunId" => it.run.to_string(),
            "jobGroupId" | "jobId" => it.group.to_string(),
            "jobStatus" => it.status.to_string(),
            "outputs" => self.outputs().join(", "),
            "releaseId" => it.release.to_string(),
            "sessionId" => it.session.to_string(),
            // `Body` knows no other names.
            _ => String::new(),
        }
    }

    fn everything(&self, call: &Call) -> String {
        let it = self.it;
        let body = json!({
            "deliveryId": self.delivery,
            "deployment": { "id": it.deployment, "name": self.deployment_name },
            "endedAt": it.at.to_string(),
            "event": call.trigger.as_str(),
            "flowRun": { "id": it.run },
            "jobGroup": { "id": it.group, "status": it.status.as_str() },
            "jobId": it.group,
            "jobStatus": it.status.as_str(),
            "outputs": self.outputs(),
            "release": { "id": it.release },
            "sessionId": it.session.to_string(),
        });
        body.to_string()
    }

    fn outputs(&self) -> Vec<String> {
        self.it.outputs.iter().map(ToString::to_string).collect()
    }
}
