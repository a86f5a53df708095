//! Lists: `limit`, `offset`, `sort`, filters, and a cursor for those who go through all of it.
//!
//! In the order of ids, pages come straight from the store. Sorted or filtered by anything else,
//! up to [`MOST_SCANNED`] documents are looked at.

use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use jobwright_core::{DeploymentId, StoreError};
use jobwright_scheduler::Page;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::problem::Problem;
use crate::shape;

/// How many are listed where nothing is said, and at most.
const DEFAULT_LIMIT: usize = 25;
const MOST: usize = 200;

/// How many documents a list looks at where it cannot go by ids; the most that `noLimit` lists.
pub(crate) const MOST_SCANNED: usize = 10_000;

/// How many documents are read from the store at a time.
const PAGE: u32 = 500;

/// Which part of a list, in which order.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListQuery {
    /// At most so many; 25 where nothing is said, 200 at most.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 2147483647)]
    limit: Option<String>,
    /// Leave so many out first.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 10000)]
    offset: Option<String>,
    /// A member to sort by; `-` before it for the greatest first. The newest id first where
    /// nothing is said.
    #[param(pattern = r"^[-+]?[A-Za-z0-9]+$")]
    sort: Option<String>,
    /// Only what has this text in one of `filterFields`.
    filter: Option<String>,
    /// Members that `filter` looks at, with commas between; `name` where nothing is said.
    pub(crate) filter_fields: Option<String>,
    /// How `filter` looks: `fuzzy`, `contains`, `exact`, `exactIgnoreCase`.
    #[param(pattern = "^(fuzzy|contains|exact|exactIgnoreCase)$")]
    filter_type: Option<String>,
    /// Members to show, with semicolons between.
    pub(crate) fields: Option<String>,
    /// What to show along with it, with commas between.
    pub(crate) embed: Option<String>,
    /// Also say how many there are in all: `true`.
    #[param(value_type = Option<bool>)]
    include_count: Option<String>,
    /// Up to 10,000 at once: `true`.
    #[param(value_type = Option<bool>)]
    no_limit: Option<String>,
    /// Where the page before ended, as its `Link` says. Knows its order: `sort` does not matter.
    #[param(pattern = "^-?[1-9][0-9]{0,14}$")]
    cursor: Option<String>,
}

/// Whose items are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfDeployment {
    /// Only those of this deployment.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991_i64)]
    deployment_id: Option<String>,
}

impl OfDeployment {
    pub(crate) fn parse(&self) -> Result<Option<DeploymentId>, Problem> {
        let id = self.deployment_id.as_deref().map(str::parse::<DeploymentId>).transpose();
        id.map_err(|error| Problem::validation(error.to_string()))
    }
}

/// A list query that makes sense.
#[derive(Debug, Clone)]
pub(crate) struct List {
    limit: usize,
    offset: usize,
    sort: Sort,
    filter: Option<Filter>,
    count: bool,
    after: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sort {
    member: String,
    descending: bool,
}

#[derive(Debug, Clone)]
struct Filter {
    text: String,
    members: Vec<String>,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Fuzzy,
    Contains,
    Exact,
    ExactIgnoreCase,
}

impl ListQuery {
    pub(crate) fn parse(&self) -> Result<List, Problem> {
        let no_limit = truth("noLimit", self.no_limit.as_deref())?;
        let most = if no_limit { MOST_SCANNED } else { MOST };
        let default = if no_limit { MOST_SCANNED } else { DEFAULT_LIMIT };
        let limit = number("limit", self.limit.as_deref())?.unwrap_or(default);
        if limit == 0 {
            return Err(Problem::validation("`limit` is at least 1"));
        }
        let offset = number("offset", self.offset.as_deref())?.unwrap_or(0);
        if offset > MOST_SCANNED {
            let detail = format!("`offset` is at most {MOST_SCANNED}: follow the cursors instead");
            return Err(Problem::validation(detail));
        }
        let sort = sort(self.sort.as_deref().unwrap_or("-id"))?;
        let (sort, after) = match &self.cursor {
            Some(cursor) => opened(cursor).map(|(sort, after)| (sort, Some(after)))?,
            None => (sort, None),
        };
        Ok(List {
            limit: limit.min(most),
            offset,
            filter: self.filter()?,
            count: truth("includeCount", self.include_count.as_deref())?,
            sort,
            after,
        })
    }

    fn filter(&self) -> Result<Option<Filter>, Problem> {
        let how = match self.filter_type.as_deref() {
            None | Some("contains") => How::Contains,
            Some("fuzzy") => How::Fuzzy,
            Some("exact") => How::Exact,
            Some("exactIgnoreCase") => How::ExactIgnoreCase,
            Some(other) => {
                let words = "fuzzy, contains, exact, exactIgnoreCase";
                let detail = format!("`filterType` is one of {words}, not `{other}`");
                return Err(Problem::validation(detail));
            }
        };
        let members = self.filter_fields.as_deref().unwrap_or("name");
        let members = members.split([',', ';']).map(|it| it.trim().to_owned()).collect();
        let text = self.filter.clone().filter(|text| !text.is_empty());
        Ok(text.map(|text| Filter { text, members, how }))
    }
}

fn number(name: &str, text: Option<&str>) -> Result<Option<usize>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse::<i32>().ok().and_then(|it| usize::try_from(it).ok());
    let wrong = || Problem::validation(format!("`{name}` is a whole number, not `{text}`"));
    number.map(Some).ok_or_else(wrong)
}

pub(crate) fn truth(name: &str, text: Option<&str>) -> Result<bool, Problem> {
    match text {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(text) => {
            Err(Problem::validation(format!("`{name}` is `true` or `false`, not `{text}`")))
        }
    }
}

fn sort(text: &str) -> Result<Sort, Problem> {
    let (descending, member) = match text.strip_prefix('-') {
        Some(member) => (true, member),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if member.is_empty() || !member.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Problem::validation(format!("`sort` names a member, `{text}` is none")));
    }
    Ok(Sort { member: member.to_owned(), descending })
}

/// A cursor is the id that a page ended with, `-` before it where the greatest come first.
fn opened(cursor: &str) -> Result<(Sort, i64), Problem> {
    let (descending, digits) = match cursor.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, cursor),
    };
    let is_plain = (1..=15).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    let id = digits.parse().ok().filter(|id| *id > 0 && is_plain);
    let wrong = || Problem::validation(format!("`{cursor}` is no cursor that a `Link` gave"));
    Ok((Sort { member: "id".to_owned(), descending }, id.ok_or_else(wrong)?))
}

fn sealed(id: i64, descending: bool) -> String {
    format!("{}{id}", if descending { "-" } else { "" })
}

/// Something that lists can hold.
pub(crate) trait Listed: Sized {
    fn id(&self) -> i64;
}

/// A page of a list: what it holds, and how to go on.
pub(crate) struct Slice<T> {
    pub(crate) items: Vec<T>,
    count: Option<usize>,
    next: Option<String>,
}

impl List {
    /// Finds the slice that was asked for. `fetch` reads a page of the store, `keep` says what
    /// belongs to the list, `show` gives the members that sorting and filters look at.
    pub(crate) async fn slice<T, F>(
        &self,
        fetch: impl Fn(Page) -> F,
        keep: impl Fn(&T) -> bool,
        show: impl Fn(&T) -> Value,
    ) -> Result<Slice<T>, Problem>
    where
        T: Listed,
        F: Future<Output = Result<Vec<T>, StoreError>>,
    {
        let by_id = self.sort.member == "id";
        let keep =
            |it: &T| keep(it) && self.filter.as_ref().is_none_or(|filter| filter.takes(&show(it)));
        let whole = self.count || !by_id;
        let wanted = if whole { MOST_SCANNED } else { self.offset + self.limit + 1 };
        let mut items = self.scan(wanted, by_id, fetch, keep).await?;
        if whole && items.len() > MOST_SCANNED {
            let detail = format!("more than {MOST_SCANNED} match: narrow the list, or sort by id");
            return Err(Problem::validation(detail));
        }
        let count = self.count.then_some(items.len());
        if !by_id {
            items.sort_by_cached_key(|it| Order::of(show(it).get(&self.sort.member)));
            if self.sort.descending {
                items.reverse();
            }
        }
        let more = items.len() > self.offset + self.limit;
        let items: Vec<T> = items.into_iter().skip(self.offset).take(self.limit).collect();
        let last = items.last().filter(|_| more && by_id);
        let next = last.map(|it| sealed(it.id(), self.sort.descending));
        Ok(Slice { items, count, next })
    }

    /// Reads until one more than wanted is there, or there is nothing more.
    async fn scan<T, F>(
        &self,
        wanted: usize,
        by_id: bool,
        fetch: impl Fn(Page) -> F,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, Problem>
    where
        T: Listed,
        F: Future<Output = Result<Vec<T>, StoreError>>,
    {
        let size = u32::try_from(wanted.min(PAGE as usize)).unwrap_or(PAGE);
        let descending = by_id && self.sort.descending;
        let mut page = if descending { Page::newest(size) } else { Page::oldest(size) };
        if let Some(after) = self.after {
            page = page.after(after);
        }
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while found.len() <= wanted && looked_at <= 10 * MOST_SCANNED {
            let items = fetch(page).await?;
            looked_at += items.len();
            let is_last = items.len() < size as usize;
            if let Some(last) = items.last() {
                page = page.after(last.id());
            }
            found.extend(items.into_iter().filter(&keep));
            if is_last {
                break;
            }
        }
        Ok(found)
    }
}

impl<T> Slice<T> {
    /// The response: `{"data": […]}`, with the way to the next page.
    pub(crate) fn respond(self, items: Vec<Value>, uri: &Uri, query: &ListQuery) -> Response {
        let items = items.into_iter().map(|it| shape::pick(it, query.fields.as_deref()));
        let mut body = json!({ "data": items.collect::<Vec<_>>() });
        if let Some(count) = self.count {
            body["count"] = count.into();
        }
        let mut response = axum::Json(body).into_response();
        if let Some(cursor) = self.next {
            let (path, rest) = (uri.path(), without_place(uri));
            let link = format!("<{path}?{rest}cursor={cursor}>; rel=\"next\"");
            if let Ok(link) = HeaderValue::from_str(&link) {
                response.headers_mut().insert(LINK, link);
            }
        }
        response
    }
}

impl ListQuery {
    /// Whether items are sorted or filtered by more than their ids.
    pub(crate) fn looks_inside(&self) -> bool {
        self.filter.is_some() || self.sort.is_some()
    }

    /// Answers with the slice that was asked for, where an item is shown by itself.
    pub(crate) async fn answer<T, F>(
        &self,
        uri: &Uri,
        fetch: impl Fn(Page) -> F,
        show: impl Fn(&T) -> Value,
    ) -> Result<Response, Problem>
    where
        T: Listed,
        F: Future<Output = Result<Vec<T>, StoreError>>,
    {
        let slice = self.parse()?.slice(fetch, |_| true, &show).await?;
        let items = slice.items.iter().map(show).collect();
        Ok(slice.respond(items, uri, self))
    }
}

/// The query as it was, but for the place in the list.
fn without_place(uri: &Uri) -> String {
    let members = uri.query().unwrap_or_default().split('&');
    let is_place =
        |it: &&str| it.is_empty() || it.starts_with("cursor=") || it.starts_with("offset=");
    members.filter(|it| !is_place(it)).map(|it| format!("{it}&")).collect()
}

impl Filter {
    fn takes(&self, item: &Value) -> bool {
        self.members.iter().filter_map(|member| item.get(member)).any(|value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match self.how {
                How::Exact => text == self.text,
                How::ExactIgnoreCase => text.to_lowercase() == self.text.to_lowercase(),
                How::Contains => text.to_lowercase().contains(&self.text.to_lowercase()),
                How::Fuzzy => is_spread(&self.text.to_lowercase(), &text.to_lowercase()),
            }
        })
    }
}

/// Tells whether the characters stand in the text in this order, with others between.
fn is_spread(characters: &str, text: &str) -> bool {
    let mut text = text.chars();
    characters.chars().all(|wanted| text.any(|found| found == wanted))
}

/// How members are sorted: what is absent first, then truth, numbers, texts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Absent,
    Truth(bool),
    Number(i64),
    Text(String),
}

impl Order {
    fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::Bool(truth)) => Self::Truth(*truth),
            Some(Value::Number(number)) => Self::Number(number.as_i64().unwrap_or(i64::MAX)),
            Some(Value::String(text)) => Self::Text(text.clone()),
            Some(other) => Self::Text(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_make_sense_or_are_refused() {
        let check = |query: Value, expect: Result<(usize, usize), &str>| {
            let text = query.to_string();
            let query: ListQuery = serde_json::from_value(query).unwrap();
            match (query.parse(), expect) {
                (Ok(list), Ok(expect)) => assert_eq!((list.limit, list.offset), expect, "{text}"),
                (Err(problem), Err(expect)) => assert_eq!(problem.detail, expect, "{text}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        };
        check(json!({}), Ok((25, 0)));
        check(json!({ "limit": "7", "offset": "2" }), Ok((7, 2)));
        check(json!({ "limit": "100000" }), Ok((200, 0)));
        check(json!({ "noLimit": "true" }), Ok((10_000, 0)));
        check(json!({ "limit": "0" }), Err("`limit` is at least 1"));
        check(json!({ "limit": "-1" }), Err("`limit` is a whole number, not `-1`"));
        check(json!({ "offset": "x" }), Err("`offset` is a whole number, not `x`"));
        check(json!({ "sort": "a b" }), Err("`sort` names a member, `a b` is none"));
        check(
            json!({ "filterType": "regex" }),
            Err("`filterType` is one of fuzzy, contains, exact, exactIgnoreCase, not `regex`"),
        );
        check(json!({ "cursor": "-3" }), Ok((25, 0)));
        check(json!({ "cursor": "3", "sort": "-name" }), Ok((25, 0)));
        check(json!({ "cursor": "+3" }), Err("`+3` is no cursor that a `Link` gave"));
        check(json!({ "cursor": "0" }), Err("`0` is no cursor that a `Link` gave"));
    }

    #[test]
    fn filters_take_what_they_say() {
        let check = |how: &str, text: &str, expect: bool| {
            let query: ListQuery =
                serde_json::from_value(json!({ "filter": text, "filterType": how })).unwrap();
            let filter = query.filter().unwrap().unwrap();
            assert_eq!(filter.takes(&json!({ "name": "Sales EU" })), expect, "{how} {text}");
        };
        check("contains", "les e", true);
        check("contains", "us", false);
        check("exact", "Sales EU", true);
        check("exact", "sales eu", false);
        check("exactIgnoreCase", "sales eu", true);
        check("fuzzy", "seu", true);
        check("fuzzy", "ues", false);
    }
}
