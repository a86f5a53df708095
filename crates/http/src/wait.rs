//! `?wait=`: an answer that comes when something has changed, or after a while.

use std::time::Duration;

use jobwright_core::{GroupId, GroupSummary, Status, parse_duration};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Caller;
use crate::lease::{Lease, Over};
use crate::problem::Problem;

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// Answer when the status is another one than now, or after this long: `30s`, or seconds. Does
    /// not wait for what is over.
    #[param(pattern = "^[0-9]{1,6}(ms|s|m|h)?$")]
    wait: Option<String>,
}

impl Wait {
    /// Says whether it makes sense, also where there is nothing to wait for.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.duration(Duration::MAX).map(drop)
    }

    /// For how long, at most as long as the embedder allows.
    fn duration(&self, most: Duration) -> Result<Option<Duration>, Problem> {
        let Some(text) = &self.wait else { return Ok(None) };
        if let Ok(seconds) = text.parse::<u64>() {
            return Ok(Some(Duration::from_secs(seconds).min(most)));
        }
        match parse_duration(text) {
            Ok(duration) => Ok(Some(duration.min(most))),
            Err(error) => Err(Problem::validation(format!("`wait`: {error}"))),
        }
    }
}

/// Reads how far a group is in a word, after waiting for it to go on.
pub(crate) async fn status(
    app: &App,
    caller: &Caller,
    group: GroupId,
    wait: &Wait,
) -> Result<Status, Problem> {
    match wait.wait {
        None => Ok(caller.view().status(group).await?),
        Some(_) => Ok(summary(app, caller, group, wait).await?.status),
    }
}

/// Reads how far a group is, after waiting for it to go on.
pub(crate) async fn summary(
    app: &App,
    caller: &Caller,
    group: GroupId,
    wait: &Wait,
) -> Result<GroupSummary, Problem> {
    let view = caller.view();
    let Some(wait) = wait.duration(app.options().wait_time)? else {
        return Ok(view.summary(group).await?);
    };
    let _seat = app.0.quotas.wait(caller.token(), app.options().waits)?;
    let mut lease = Lease::of_wait(app, caller);
    // First listen, then look: what happens between the two is heard.
    let mut heard = view.subscribe(Some(group));
    let first = view.summary(group).await?;
    let changed = async {
        while !first.status.is_terminal() && heard.next().await.is_some() {
            let now = view.summary(group).await?;
            if now.status != first.status {
                return Ok(now);
            }
        }
        Ok(first.clone())
    };
    tokio::select! {
        summary = changed => summary,
        () = tokio::time::sleep(wait) => Ok(view.summary(group).await?),
        over = lease.over() => match over {
            Over::Draining | Over::Age => Ok(view.summary(group).await?),
            Over::Revoked => Err(Problem::unauthenticated("the access token was revoked")),
            Over::Expired => Err(Problem::unauthenticated("the access token has expired")),
        },
    }
}

/// What several groups add up to, in the words of one: failed if one failed, cancelled if one was
/// and none failed, complete when all are.
pub(crate) fn merged(groups: &[GroupSummary]) -> Status {
    added_up(groups.iter().map(|group| group.status))
}

#[expect(clippy::needless_pass_by_value, reason = "an iterator is used up")]
fn added_up(statuses: impl Iterator<Item = Status> + Clone) -> Status {
    let any = |status| statuses.clone().any(|it| it == status);
    let begun = statuses.clone().any(|it| it != Status::Created);
    if statuses.clone().all(Status::is_terminal) {
        if any(Status::Failed) {
            Status::Failed
        } else if any(Status::Canceled) {
            Status::Canceled
        } else {
            Status::Complete
        }
    } else if begun {
        Status::InProgress
    } else {
        Status::Created
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_add_up() {
        use Status::{Canceled, Complete, Created, Failed, InProgress};
        let check = |given: &[Status], expect: Status| {
            assert_eq!(added_up(given.iter().copied()), expect, "{given:?}");
        };
        check(&[Created, Created], Created);
        check(&[Created, InProgress], InProgress);
        check(&[Created, Complete], InProgress);
        check(&[InProgress, Failed], InProgress);
        check(&[Complete, Complete], Complete);
        check(&[Complete, Canceled], Canceled);
        check(&[Canceled, Failed], Failed);
    }
}
