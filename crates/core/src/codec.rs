//! Events and documents as bytes, the same in every store that keeps bytes: JSON, in the words of
//! their types. Bytes from a disk are the world: they are refused with their place, however odd
//! they are.

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::catalog::{Document, Key};
use crate::event::{Event, Events};
use crate::id::{GroupId, Seq};

/// The most bytes of one row; databases end at 10^9.
/// A group of the most jobs fits.
const MAX_BYTES: usize = 900 << 20;

/// How deep values may nest. What a person may send nests at most 128 deep, to which events add
/// some levels of their own; a stack holds many times this.
const MAX_DEPTH: usize = 256;

/// Bytes that are not what was written, or a value that could not be read back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {fault}")]
pub struct CodecError {
    place: String,
    fault: String,
}

/// Appends the bytes of a row's events to the buffer.
///
/// # Errors
/// Refuses what could not be read back: more than 900 MiB, or values that nest more than 256 deep.
pub fn encode_events(events: &[Event], to: &mut Vec<u8>) -> Result<(), CodecError> {
    let begin = to.len();
    let place = |fault| CodecError { place: "events cannot be kept".to_owned(), fault };
    serde_json::to_writer(&mut *to, events).map_err(|error| place(error.to_string()))?;
    bounded(&to[begin..]).map_err(place)
}

/// Reads the events of the row at `first`, of which `count` were written.
///
/// # Errors
/// Tells what the bytes are instead.
pub fn decode_events(
    group: GroupId,
    first: Seq,
    count: i64,
    bytes: &[u8],
) -> Result<Events, CodecError> {
    let place = |fault| CodecError {
        place: format!("the events of job group {group} from {} on", first.0),
        fault,
    };
    let events: Vec<Event> = decode(bytes).map_err(place)?;
    if i64::try_from(events.len()) != Ok(count) || events.is_empty() {
        return Err(place(format!("{} events are there, {count} were written", events.len())));
    }
    Ok(events.into())
}

/// Returns the bytes of a document.
///
/// # Errors
/// As of [`encode_events`].
pub fn encode_document(document: &Document) -> Result<Vec<u8>, CodecError> {
    let Key { kind, id } = document.key();
    let refuse =
        |fault| CodecError { place: format!("{} {id} cannot be kept", kind.as_str()), fault };
    let bytes = serde_json::to_vec(document).map_err(|error| refuse(error.to_string()))?;
    bounded(&bytes).map_err(refuse)?;
    Ok(bytes)
}

/// Reads the document that is kept under a key.
///
/// # Errors
/// Tells what the bytes are instead.
pub fn decode_document(key: Key, bytes: &[u8]) -> Result<Document, CodecError> {
    let Key { kind, id } = key;
    let place = |fault| CodecError { place: format!("{} {id}", kind.as_str()), fault };
    let document: Document = decode(bytes).map_err(place)?;
    if document.key() != key {
        return Err(place("another document is in its place".to_owned()));
    }
    Ok(document)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    bounded(bytes)?;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    reader.disable_recursion_limit();
    let value = T::deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Refuses what is too long or nests too deep, before anything follows it down.
fn bounded(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("{} bytes, {MAX_BYTES} are allowed", bytes.len()));
    }
    // A level takes two bytes at least, so that short rows need no look.
    if bytes.len() > 2 * MAX_DEPTH && depth(bytes) > MAX_DEPTH {
        return Err(format!("values nest more than {MAX_DEPTH} deep"));
    }
    Ok(())
}

fn depth(json: &[u8]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    most
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{JobIndex, Kind, Next, Outcome, Success, Timestamp};

    fn event(result: Value) -> Event {
        let outcome = Outcome::Succeeded(Success::with(result));
        let next = Next::Retry { at: Timestamp::NEVER };
        Event::AttemptEnded { job: JobIndex(1), attempt: 1, outcome, next }
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::from("[{\\\""), |inner, _| Value::Array(vec![inner]))
    }

    fn there_and_back(events: &[Event]) -> Result<Events, CodecError> {
        let mut bytes = Vec::new();
        encode_events(events, &mut bytes)?;
        let count = i64::try_from(events.len()).unwrap();
        decode_events(GroupId::new(7).unwrap(), Seq(3), count, &bytes)
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        let check = |levels: usize, fits: bool| {
            let events = [event(nested(levels))];
            match there_and_back(&events) {
                Ok(found) => assert!(fits && *found == events, "{levels}"),
                Err(fault) => assert!(!fits && fault.to_string().contains("deep"), "{fault}"),
            }
        };
        check(128, true);
        check(250, true);
        check(260, false);
        check(2_000, false);
    }

    #[test]
    fn bad_bytes_are_refused_with_their_place() {
        let group = GroupId::new(7).unwrap();
        let check = |bytes: &[u8], count: i64, expect: &str| {
            let fault = decode_events(group, Seq(3), count, bytes).unwrap_err();
            let text = fault.to_string();
            assert!(text.starts_with("the events of job group 7 from 3 on: "), "{text}");
            assert!(text.contains(expect), "{text}");
        };
        let good = br#"[{"group_ended":{"verdict":"failed"}}]"#;
        assert!(decode_events(group, Seq(3), 1, good).is_ok());
        check(b"", 0, "EOF");
        check(b"[]", 0, "0 events are there");
        check(good, 2, "1 events are there, 2 were written");
        check(&good[..20], 1, "EOF");
        check(&[good.as_slice(), b"]"].concat(), 1, "trailing");
        check(br#"[{"group_began":{}}]"#, 1, "unknown variant `group_began`");
        check(b"\xff\xfe\x00", 1, "expected value");
        check(&vec![b'['; 1_000_000], 1, "more than 256 deep");
    }

    proptest! {
        #[test]
        fn numbers_and_texts_come_back_as_they_were(number: f64, whole: i64, text: String) {
            prop_assume!(number.is_finite());
            let events = [event(serde_json::json!([number, whole, { &text: text }]))];
            prop_assert_eq!(&*there_and_back(&events).unwrap(), &events[..]);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let key = Key { kind: Kind::Run, id: 1 };
            prop_assert!(decode_events(GroupId::new(7).unwrap(), Seq(3), 1, &bytes).is_err());
            prop_assert!(decode_document(key, &bytes).is_err());
        }
    }
}
