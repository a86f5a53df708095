//! Archives that attack: each is refused with the entry's name, and costs little.

#![cfg(test)]

use std::io::{Cursor, Write};

use jobwright_package::{Limits, read, read_within};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const DOCUMENT: &str = "jobwright: 1\nname: p\nflows: { f: {} }\n";

/// A ZIP of a package and these entries; a name that ends in `/` is a directory.
fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
    pack_with(entries, SimpleFileOptions::default())
}

fn pack_with(entries: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let document = ("package.yaml", DOCUMENT.as_bytes());
    for (name, content) in std::iter::once(&document).chain(entries) {
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// Replaces text in the bytes of an archive by other text of the same length: how names come in
/// that the writer would not write.
fn forge(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(bundle) => panic!("accepted: {bundle:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_good_archive_is_read() {
    let mode = |mode| SimpleFileOptions::default().unix_permissions(mode);
    let files: &[(&str, &[u8])] = &[
        ("bin/", b""),
        ("bin/run.sh", b"exit 0"),
        ("__MACOSX/._package.yaml", b"junk"),
        ("bin/.DS_Store", b"junk"),
    ];
    let check = |options, expect: &[(&str, bool)]| {
        let bundle = read(&pack_with(files, options)).unwrap();
        let artifacts = bundle.package.artifacts.iter();
        let found: Vec<_> = artifacts.map(|it| (it.path.as_str(), it.executable)).collect();
        assert_eq!(found, expect);
        bundle
    };
    let bundle = check(mode(0o755), &[("bin/run.sh", true)]);
    check(mode(0o644), &[("bin/run.sh", false)]);
    let digest = bundle.package.artifacts[0].digest;
    assert_eq!(bundle.contents[&digest].as_ref(), b"exit 0");
    let again = read(&pack_with(files, mode(0o755))).unwrap();
    assert_eq!(again.package.digest(), bundle.package.digest());
}

#[test]
fn hostile_names_are_refused() {
    let check = |name: &str, expect: &str| {
        let stand_in = "n".repeat(name.len());
        let bytes = forge(pack(&[(&stand_in, b"x")]), &stand_in, name);
        assert_eq!(refusal(&bytes), format!("entry `{expect}"), "{name:?}");
    };
    check("../outside.txt", "../outside.txt` of the ZIP leads out of the package with `..`");
    check("a/../../outside", "a/../../outside` of the ZIP leads out of the package with `..`");
    check("/etc/passwd_", "/etc/passwd_` of the ZIP is absolute");
    check("C:/windows_x", "C:/windows_x` of the ZIP begins with a drive letter");
    check("..\\outside_x", "..\\\\outside_x` of the ZIP holds a backslash");
    check("name\0hidden_x", "name\\0hidden_x` of the ZIP holds a control character");
    check("a//bbbbbbbbbb", "a//bbbbbbbbbb` of the ZIP holds an empty component or `.`");
    let deep = "d/".repeat(40) + "x";
    check(&deep, &format!("{deep}` of the ZIP has 41 components, 32 are allowed"));
}

#[test]
fn names_that_clash_are_refused() {
    let bytes = forge(pack(&[("one.sql", b"1"), ("two.sql", b"2")]), "two.sql", "one.sql");
    assert_eq!(refusal(&bytes), "entry `one.sql` of the ZIP occurs twice");
    let bytes = pack(&[("One.sql", b"1"), ("one.SQL", b"2")]);
    let expect =
        "entry `one.SQL` of the ZIP differs from `One.sql` in case only: rename one of them";
    assert_eq!(refusal(&bytes), expect);
    let bytes = pack(&[("one", b"1"), ("one/two", b"2")]);
    assert_eq!(refusal(&bytes), "entry `one/two` of the ZIP lies below `one`, which is a file");
}

#[test]
fn only_files_and_directories_come_in() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let link = writer.finish().unwrap().into_inner();
    let check = |bytes: &[u8], expect: &str| {
        let only = "only files and directories are allowed";
        assert_eq!(refusal(bytes), format!("entry `link` of the ZIP is a {expect}, {only}"));
    };
    check(&link, "symbolic link");
    let mode = link.windows(4).rposition(|it| it[2..] == [0xff, 0xa1]).unwrap() + 3;
    for (kind, expect) in [(0x10, "pipe"), (0x20, "device"), (0x60, "device"), (0xc0, "socket")] {
        let mut bytes = link.clone();
        bytes[mode] = kind | 0x01;
        check(&bytes, expect);
    }
}

#[test]
fn encrypted_entries_are_refused() {
    let mut bytes = pack(&[("secret.sql", b"1")]);
    let central = bytes.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
    bytes[central + 8] |= 1;
    assert_eq!(refusal(&bytes), "entry `secret.sql` of the ZIP is encrypted");
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 3 << 20];
    let bytes = pack(&[("bomb.bin", &zeros)]);
    let expect = "entry `bomb.bin` of the ZIP unpacks to more than 200 times its size";
    assert_eq!(refusal(&bytes), expect);

    let mut small = Limits::default();
    small.file_bytes = 1000;
    small.total_bytes = 5000;
    small.entries = 4;
    let check = |bytes: &[u8], expect: &str| {
        assert_eq!(read_within(bytes, &small).unwrap_err().to_string(), expect);
    };
    let kib: &[u8] = &[7; 1001];
    check(&pack(&[("big", kib)]), "entry `big` of the ZIP has more than 1000 bytes");
    let each = &kib[..1000];
    let five = [("a", each), ("b", each), ("c", each), ("d", each), ("e", each)];
    check(&pack(&five[..4]), "the ZIP has 5 entries, 4 are allowed");
    small.entries = 6;
    small.total_bytes = 4500;
    let expect = "with entry `e` the files of the ZIP have more than 4500 bytes";
    assert_eq!(read_within(&pack(&five), &small).unwrap_err().to_string(), expect);
}

#[test]
fn sizes_that_lie_are_found_out() {
    let content = vec![b'x'; 100_000];
    let honest = pack(&[("lie.bin", &content)]);
    let size = 100_000u32.to_le_bytes();
    let mut lie = honest.clone();
    for at in 0..lie.len() - 4 {
        if lie[at..at + 4] == size {
            lie[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
        }
    }
    assert_eq!(refusal(&lie), "entry `lie.bin` of the ZIP cannot be read");
    let central = honest.windows(4).rposition(|it| it == b"PK\x01\x02").unwrap();
    let mut corrupt = honest;
    corrupt[central + 16] ^= 1;
    assert_eq!(refusal(&corrupt), "entry `lie.bin` of the ZIP cannot be read");
}

#[test]
fn every_cut_is_refused() {
    let noise: Vec<u8> =
        (0..20_000u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let bytes = pack(&[("noise.bin", &noise), ("more.bin", &noise)]);
    assert!(read(&bytes).is_ok());
    for part in 0..50 {
        let cut = bytes.len() * part / 50;
        let error = refusal(&bytes[..cut]);
        let damaged = error == "the ZIP is damaged or cut short";
        assert!(damaged || part == 0, "{part}/50: {error}");
    }
}

#[test]
fn an_archive_without_a_document_is_no_package() {
    let check = |names: &[&str], expect: &str| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(b"{}").unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        let error = refusal(&bytes);
        assert!(error.ends_with(expect), "{error}");
    };
    check(&[], "nor an exported flow (`.json`, `.json5`)");
    check(
        &["pos/package.yaml"],
        "(`.json`, `.json5`); `pos/package.yaml` lies too deep: pack what is beside it",
    );
    check(&["a.json", "b.JSON5"], "more than one document: `a.json`, `b.JSON5`");
    check(
        &["a.json"],
        "`a.json` is no package: it has neither `jobwright` nor the `metadata` and `data` of an exported flow",
    );
}
