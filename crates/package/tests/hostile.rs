//! Whatever the bytes, reading ends with a bundle or a refusal; and a bundle is the same each time.

#![cfg(test)]

use std::io::{Cursor, Write};

use jobwright_package::{Limits, read_within};
use proptest::prelude::*;

const YAML: &str = include_str!("fixtures/native/pos_report/package.yaml");
const NESTED: &str = include_str!("fixtures/exported/nested.json");
const FLAT: &str = include_str!("fixtures/exported/flat.json");

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.total_bytes = 4 << 20;
    limits.document_bytes = 1 << 20;
    limits.values = 50_000;
    limits
}

fn try_to_read(bytes: &[u8]) {
    if let Ok(bundle) = read_within(bytes, &limits()) {
        let again = read_within(bytes, &limits()).unwrap();
        assert_eq!(bundle.package.digest(), again.package.digest());
    }
}

fn pack(name: &str, text: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [(name, text), ("artifact_900.data", b"{}".as_slice())] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Something to do to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
    Insert(usize, &'static str),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    const WORDS: [&str; 16] = [
        "null",
        "[",
        "{",
        "}",
        "]",
        "\"",
        "'",
        ":",
        "-1",
        "9223372036854775807",
        "1e9",
        "\u{1F600}",
        "$",
        "${",
        "\n",
        "&a *a",
    ];
    let change = prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<usize>(), 1..40usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<usize>(), 1..40usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<usize>(), 0..WORDS.len()).prop_map(|(at, word)| Change::Insert(at, WORDS[word])),
    ];
    proptest::collection::vec(change, 1..6)
}

fn apply(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        let length = bytes.len().max(1);
        match *change {
            Change::Set(at, byte) => {
                if let Some(place) = bytes.get_mut(at % length) {
                    *place = byte;
                }
            }
            Change::Cut(at, count) => {
                let at = at % length;
                bytes.drain(at.min(bytes.len())..(at + count).min(bytes.len()));
            }
            Change::Repeat(at, count) => {
                let at = (at % length).min(bytes.len());
                let part = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Change::Insert(at, word) => {
                let at = (at % length).min(bytes.len());
                bytes.splice(at..at, word.bytes());
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        try_to_read(&bytes);
        try_to_read(&[b"PK\x03\x04".as_slice(), &bytes].concat());
        try_to_read(&[b"jobwright: 1\n".as_slice(), &bytes].concat());
        try_to_read(&[b"{metadata:".as_slice(), &bytes].concat());
    }

    #[test]
    fn changed_documents_never_panic(changes in changes()) {
        try_to_read(&apply(YAML.as_bytes(), &changes));
        try_to_read(&apply(FLAT.as_bytes(), &changes));
        let nested = apply(NESTED.as_bytes(), &changes);
        try_to_read(&pack("flow.json5", &nested));
    }

    #[test]
    fn changed_archives_never_panic(changes in changes()) {
        try_to_read(&apply(&pack("package.yaml", YAML.as_bytes()), &changes));
    }
}
