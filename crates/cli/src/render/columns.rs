//! One table of columns per noun: what a list shows, and what is shown of one.

use serde_json::Value;

use super::time::{Zone, between, span};

/// Something that the API lists.
pub(crate) struct Noun {
    /// One of them, in words.
    pub(crate) one: &'static str,
    /// Several of them.
    pub(crate) many: &'static str,
    /// Where the API has them.
    pub(crate) path: &'static str,
    /// The member that names one of them.
    id: &'static str,
    pub(crate) columns: &'static [Column],
}

impl Noun {
    /// The id of one of them, as text.
    pub(crate) fn id_of(&self, item: &Value) -> String {
        text(item.pointer(self.id).unwrap_or(&Value::Null))
    }
}

/// A column of a table.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// A JSON pointer to what is shown.
    member: &'static str,
    show: Show,
}

enum Show {
    Text,
    Status,
    Truth,
    Time,
    /// How many there are in a list.
    Count,
    /// A list, with commas between.
    List,
    /// The first characters of a digest.
    Digest,
    /// From one member to another one, if it is over.
    Duration(&'static str),
    With(fn(&Value) -> String),
}

impl Column {
    pub(crate) fn is_status(&self) -> bool {
        matches!(self.show, Show::Status)
    }

    /// What the column shows of an item.
    pub(crate) fn text(&self, item: &Value, zone: &Zone) -> String {
        let value = item.pointer(self.member).unwrap_or(&Value::Null);
        match &self.show {
            Show::Text | Show::Status => text(value),
            Show::Truth => if value == true { "yes" } else { "no" }.to_owned(),
            Show::Time => value.as_str().map_or_else(|| "-".to_owned(), |it| zone.show(it)),
            Show::Count => value.as_array().map_or(0, Vec::len).to_string(),
            Show::List => list(value),
            Show::Digest => text(value).chars().take(12).collect(),
            Show::Duration(end) => {
                let over = item["terminal"] == true;
                let end = item.pointer(end).and_then(Value::as_str).filter(|_| over);
                let duration = value.as_str().zip(end).and_then(|(from, to)| between(from, to));
                duration.map_or_else(|| "-".to_owned(), span)
            }
            Show::With(show) => show(item),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list(value: &Value) -> String {
    let items: Vec<_> = value.as_array().into_iter().flatten().map(text).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

/// Attempts say when a job began and ended.
fn job_duration(job: &Value) -> String {
    let attempts = job["attempts"].as_array();
    let first = attempts.and_then(|it| it.first()).and_then(|it| it["requestedAt"].as_str());
    let last = attempts.and_then(|it| it.last()).and_then(|it| it["endedAt"].as_str());
    let duration = first.zip(last).and_then(|(from, to)| between(from, to));
    duration.map_or_else(|| "-".to_owned(), span)
}

fn shown_value(parameter: &Value) -> String {
    if parameter["value"]["secret"] == true {
        "secret".to_owned()
    } else {
        text(&parameter["value"])
    }
}

/// What became of a schedule's last firing.
fn last_firing(schedule: &Value) -> String {
    let last = &schedule["lastFiring"];
    match (last["outcome"].as_str(), last["run"]["id"].as_i64()) {
        (None, _) => "-".to_owned(),
        (Some("run"), Some(run)) => format!("run {run}"),
        (Some(outcome), Some(run)) => format!("{outcome}: run {run}"),
        (Some(outcome), None) => match last["reason"].as_str() {
            Some(reason) => format!("{outcome}: {reason}"),
            None => outcome.to_owned(),
        },
    }
}

fn shadowed(parameter: &Value) -> String {
    let layers = parameter["shadowed"].as_array().into_iter().flatten();
    let layers: Vec<_> =
        layers.map(|it| format!("{} ({})", text(&it["layer"]), shown_value(it))).collect();
    if layers.is_empty() { "-".to_owned() } else { layers.join(", ") }
}

const fn column(title: &'static str, member: &'static str, show: Show) -> Column {
    Column { title, member, show }
}

pub(crate) const DEPLOYMENTS: Noun = Noun {
    one: "deployment",
    many: "deployments",
    path: "/deployments",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("NAME", "/name", Show::Text),
        column("RELEASE", "/activeRelease/id", Show::Text),
        column("PAUSED", "/paused", Show::Truth),
        column("RUN POLICY", "/runPolicy", Show::Text),
        column("UPDATED", "/updatedAt", Show::Time),
    ],
};

pub(crate) const SCHEDULES: Noun = Noun {
    one: "schedule",
    many: "schedules",
    path: "/schedules",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("DEPLOYMENT", "/deployment/id", Show::Text),
        column("NAME", "/name", Show::Text),
        column("CRON", "/cron", Show::Text),
        column("ZONE", "/zone", Show::Text),
        column("PAUSED", "/paused", Show::Truth),
        column("NEXT", "/nextFiring", Show::Time),
        column("LAST", "", Show::With(last_firing)),
    ],
};

pub(crate) const FIRINGS: Noun = Noun {
    one: "firing",
    many: "firings",
    path: "",
    id: "/nominal",
    columns: &[column("LOCAL", "/local", Show::Text), column("AT", "/at", Show::Time)],
};

pub(crate) const BACKFILLS: Noun = Noun {
    one: "backfill",
    many: "backfills",
    path: "/backfills",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("SCHEDULE", "/schedule/id", Show::Text),
        column("STATE", "/state", Show::Text),
        column("FROM", "/from", Show::Time),
        column("TO", "/to", Show::Time),
        column("FIRINGS", "/total", Show::Text),
        column("DECIDED", "/decided", Show::Text),
    ],
};

pub(crate) const BACKFILL_RUNS: Noun = Noun {
    one: "run",
    many: "runs",
    path: "/flowRuns",
    id: "/run/id",
    columns: &[
        column("NOMINAL", "/nominal", Show::Time),
        column("RUN", "/run/id", Show::Text),
        column("STATUS", "/status", Show::Status),
        column("REASON", "/reason", Show::Text),
    ],
};

pub(crate) const RELEASES: Noun = Noun {
    one: "release",
    many: "releases",
    path: "/releases",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("DEPLOYMENT", "/deployment/id", Show::Text),
        column("ACTIVE", "/active", Show::Truth),
        column("PACKAGE", "/name", Show::Text),
        column("DIGEST", "/packageDigest", Show::Digest),
        column("FLOWS", "/primaryFlows", Show::List),
        column("CREATED", "/createdAt", Show::Time),
    ],
};

pub(crate) const RUNS: Noun = Noun {
    one: "run",
    many: "runs",
    path: "/flowRuns",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("DEPLOYMENT", "/deployment/id", Show::Text),
        column("RELEASE", "/release/id", Show::Text),
        column("STATUS", "/status", Show::Status),
        column("GROUPS", "/jobGroups/data", Show::Count),
        column("CREATED", "/createdAt", Show::Time),
        column("DURATION", "/createdAt", Show::Duration("/updatedAt")),
    ],
};

pub(crate) const GROUPS: Noun = Noun {
    one: "job group",
    many: "job groups",
    path: "/jobGroups",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("RUN", "/flowrun/id", Show::Text),
        column("DEPLOYMENT", "/deployment/id", Show::Text),
        column("STATUS", "/status", Show::Status),
        column("OUTPUTS", "/outputs", Show::List),
        column("CREATED", "/createdAt", Show::Time),
        column("DURATION", "/createdAt", Show::Duration("/updatedAt")),
    ],
};

pub(crate) const JOBS: Noun = Noun {
    one: "job",
    many: "jobs",
    path: "/jobs",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("GROUP", "/jobGroup/id", Show::Text),
        column("NAME", "/name", Show::Text),
        column("TYPE", "/jobType", Show::Text),
        column("STATUS", "/status", Show::Status),
        column("EXECUTOR", "/executionLanguage", Show::Text),
        column("ATTEMPTS", "/attempts", Show::Count),
        column("DURATION", "", Show::With(job_duration)),
        column("ERROR", "/errorMessage", Show::Text),
    ],
};

pub(crate) const TOKENS: Noun = Noun {
    one: "access token",
    many: "access tokens",
    path: "/apiAccessTokens",
    id: "/tokenId",
    columns: &[
        column("ID", "/tokenId", Show::Text),
        column("DESCRIPTION", "/description", Show::Text),
        column("ROLE", "/role", Show::Text),
        column("CREATED", "/createdTime", Show::Time),
        column("EXPIRES", "/expiredTime", Show::Time),
    ],
};

pub(crate) const ENVIRONMENT: Noun = Noun {
    one: "environment parameter",
    many: "environment parameters",
    path: "/environmentParameters",
    id: "/id",
    columns: &[
        column("ID", "/id", Show::Text),
        column("NAME", "/overrideKey", Show::Text),
        column("VALUE", "/value", Show::Text),
    ],
};

pub(crate) const OBJECT_RULES: &[Column] = &[
    column("TABLE", "/tableName", Show::Text),
    column("ON", "/onCondition", Show::Text),
    column("WITH", "/withCondition", Show::Text),
];

pub(crate) const VALUE_RULES: &[Column] = &[
    column("TYPE", "/type", Show::Text),
    column("ON", "/on", Show::Text),
    column("WITH", "/with", Show::Text),
];

pub(crate) const PARAMETERS: &[Column] = &[
    column("PARAMETER", "/name", Show::Text),
    column("FLOW", "/flow", Show::Text),
    column("VALUE", "", Show::With(shown_value)),
    column("FROM", "/layer", Show::Text),
    column("INSTEAD OF", "", Show::With(shadowed)),
];

pub(crate) const PREVIEW: &[Column] = &[
    column("OUTPUTS", "/outputs", Show::List),
    column("JOB", "/name", Show::Text),
    column("FLOW", "/flowName", Show::Text),
    column("TYPE", "/jobType", Show::Text),
    column("EXECUTOR", "/executionLanguage", Show::Text),
    column("NEEDS", "/needNames", Show::List),
];
