//! Payloads: how to walk their JSON and to name a place in it. No walk goes deeper than
//! [`MAX_WALK`]; text that was read by `serde_json` never is.

use std::fmt;

use serde_json::Value as Json;

/// How many lists and objects inside each other a walk enters.
pub(crate) const MAX_WALK: usize = 128;

/// The way from the root of a payload to a place in it; shown as a JSON pointer (RFC 6901).
#[derive(Debug, Default)]
pub(crate) struct Path<'p>(Vec<Segment<'p>>);

/// One step of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'p> {
    /// Into an object.
    Key(&'p str),
    /// Into a list.
    Index(usize),
}

impl<'p> Path<'p> {
    pub(crate) fn enter(&mut self, segment: Segment<'p>) {
        self.0.push(segment);
    }

    pub(crate) fn leave(&mut self) {
        self.0.pop();
    }

    /// Tells whether a walk may go no deeper.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MAX_WALK
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1"))?,
                Segment::Index(index) => write!(f, "/{index}")?,
            }
        }
        Ok(())
    }
}

/// Shows every text value, in order, with its place; keys are no values. Returns the first place
/// that lies too deep, at which the walk ends.
pub(crate) fn texts<'p>(
    payload: &'p Json,
    visit: &mut impl FnMut(&Path<'p>, &'p str),
) -> Result<(), String> {
    inner_texts(payload, &mut Path::default(), visit)
}

fn inner_texts<'p>(
    value: &'p Json,
    path: &mut Path<'p>,
    visit: &mut impl FnMut(&Path<'p>, &'p str),
) -> Result<(), String> {
    match value {
        Json::String(text) => visit(path, text),
        Json::Array(_) | Json::Object(_) if path.is_full() => return Err(path.to_string()),
        Json::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                path.enter(Segment::Index(index));
                inner_texts(value, path, visit)?;
                path.leave();
            }
        }
        Json::Object(object) => {
            for (key, value) in object {
                path.enter(Segment::Key(key));
                inner_texts(value, path, visit)?;
                path.leave();
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
    Ok(())
}

/// Shows every value that stands under a key, with its place and the key, before what is inside
/// it; what `skip` names is passed over whole. Ends silently where a walk may go no deeper.
pub(crate) fn keyed_mut<'p>(
    payload: &'p mut Json,
    skip: &impl Fn(&str) -> bool,
    visit: &mut impl FnMut(&Path<'p>, &str, &mut Json),
) {
    inner_keyed_mut(payload, &mut Path::default(), skip, visit);
}

fn inner_keyed_mut<'p>(
    value: &'p mut Json,
    path: &mut Path<'p>,
    skip: &impl Fn(&str) -> bool,
    visit: &mut impl FnMut(&Path<'p>, &str, &mut Json),
) {
    if path.is_full() {
        return;
    }
    match value {
        Json::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                path.enter(Segment::Index(index));
                inner_keyed_mut(value, path, skip, visit);
                path.leave();
            }
        }
        Json::Object(object) => {
            for (key, value) in object.iter_mut().filter(|(key, _)| !skip(key)) {
                path.enter(Segment::Key(key));
                visit(path, key, value);
                inner_keyed_mut(value, path, skip, visit);
                path.leave();
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
