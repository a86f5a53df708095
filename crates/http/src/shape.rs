//! Which members a response shows: `fields` and `embed`.

use serde_json::{Map, Value};

use crate::problem::Problem;

/// What to show along with something, as `embed` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Embed(Vec<Association>);

/// One association, and what to show along with that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Association {
    name: String,
    /// What stands behind the dot.
    nested: Vec<String>,
    limit: Option<usize>,
    fields: Option<String>,
    sort: Option<String>,
}

impl Embed {
    /// Reads `jobs.jobGroup,creator` or `jobs(limit=1,fields=id;status,sort=-id)`. What stands
    /// behind a dot must be an association of what stands before it.
    pub(crate) fn parse(
        text: Option<&str>,
        of: &str,
        known: &[(&str, &[&str])],
    ) -> Result<Self, Problem> {
        let mut found = Vec::new();
        for part in split(text.unwrap_or_default()) {
            let (path, options) = part.split_once('(').unwrap_or((part, ")"));
            let options = options.strip_suffix(')').unwrap_or(options);
            let mut names = path.split('.').map(str::trim);
            let name = names.next().unwrap_or_default();
            let valid = |it: &&(&str, &[&str])| it.0 == name;
            let Some((_, nested)) = known.iter().find(valid) else {
                return Err(unknown(name, of, known.iter().map(|it| it.0)));
            };
            let inner: Vec<&str> = names.collect();
            if let Some(wrong) = inner.iter().find(|it| !nested.contains(it)) {
                return Err(unknown(wrong, name, nested.iter().copied()));
            }
            let mut association = Association {
                name: name.to_owned(),
                nested: inner.into_iter().map(str::to_owned).collect(),
                limit: None,
                fields: None,
                sort: None,
            };
            for option in options.split(',').filter(|it| !it.trim().is_empty()) {
                association.set(option.trim())?;
            }
            found.push(association);
        }
        Ok(Self(found))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|it| it.name == name)
    }

    /// Whether `inner` is to be shown along with what is shown along.
    pub(crate) fn has_nested(&self, name: &str, inner: &str) -> bool {
        self.0.iter().any(|it| it.name == name && it.nested.iter().any(|it| it == inner))
    }

    /// Arranges the items of an embedded list as its options say.
    pub(crate) fn arrange(&self, name: &str, mut items: Vec<Value>) -> Vec<Value> {
        let Some(association) = self.0.iter().find(|it| it.name == name) else { return items };
        if let Some(sort) = &association.sort {
            let member = sort.trim_start_matches('-').to_owned();
            items.sort_by_key(|it| it.get(&member).and_then(Value::as_i64));
            if sort.starts_with('-') {
                items.reverse();
            }
        }
        items.truncate(association.limit.unwrap_or(usize::MAX));
        items.into_iter().map(|it| pick(it, association.fields.as_deref())).collect()
    }
}

impl Association {
    fn set(&mut self, option: &str) -> Result<(), Problem> {
        match option.split_once('=') {
            Some(("limit", number)) if number.parse::<u32>().is_ok() => {
                self.limit = number.parse().ok();
            }
            Some(("fields", fields)) => self.fields = Some(fields.to_owned()),
            Some(("sort", sort)) => self.sort = Some(sort.to_owned()),
            _ => {
                let detail = format!("`embed` knows limit, fields and sort, not `{option}`");
                return Err(Problem::validation(detail));
            }
        }
        Ok(())
    }
}

fn unknown<'n>(name: &str, of: &str, valid: impl Iterator<Item = &'n str>) -> Problem {
    let valid: Vec<_> = valid.collect();
    let valid = if valid.is_empty() { "none".to_owned() } else { valid.join(", ") };
    Problem::validation(format!("No association {name} in {of}! Valid associations are {valid}"))
}

/// Splits at commas that stand in no parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let parts = text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// Takes away what `fields` does not name; the id stays.
pub(crate) fn pick(value: Value, fields: Option<&str>) -> Value {
    let Some(fields) = fields.filter(|it| !it.is_empty()) else { return value };
    let wanted: Vec<&str> = fields.split([';', ',']).map(str::trim).collect();
    match value {
        Value::Object(members) => {
            let keep = |it: &(String, Value)| it.0 == "id" || wanted.contains(&it.0.as_str());
            Value::Object(members.into_iter().filter(keep).collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, &[&str]); 2] = [("jobs", &["jobGroup"]), ("creator", &[])];

    #[test]
    fn embeds_are_known_or_refused() {
        let check = |text: &str, expect: Result<&[&str], &str>| match (
            Embed::parse(Some(text), "jobGroups", &KNOWN),
            expect,
        ) {
            (Ok(embed), Ok(names)) => {
                assert_eq!(embed.0.iter().map(|it| &*it.name).collect::<Vec<_>>(), names);
            }
            (Err(problem), Err(expect)) => assert_eq!(problem.detail, expect),
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("", Ok(&[]));
        check("jobs,creator", Ok(&["jobs", "creator"]));
        check(
            "jobs.jobGroup(limit=1,fields=id;status,sort=-id), creator",
            Ok(&["jobs", "creator"]),
        );
        let valid = "Valid associations are jobs, creator";
        check("*", Err(&format!("No association * in jobGroups! {valid}")));
        check("jobs.x", Err("No association x in jobs! Valid associations are jobGroup"));
        check("creator.x", Err("No association x in creator! Valid associations are none"));
        check("jobs(limit=x)", Err("`embed` knows limit, fields and sort, not `limit=x`"));
    }

    #[test]
    fn embedded_lists_are_arranged() {
        let embed = Embed::parse(Some("jobs(limit=1,fields=id,sort=-id)"), "g", &KNOWN).unwrap();
        let items = [1, 2].map(|id| serde_json::json!({ "id": id, "status": "Created" }));
        assert_eq!(embed.arrange("jobs", items.into()), [serde_json::json!({ "id": 2 })]);
    }
}
