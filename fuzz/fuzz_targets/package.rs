//! Packages from hostile bytes: reading ends with a bundle or a refusal, within its bounds; a
//! bundle is the same when it is read again, and holds what it names.

#![no_main]

use jobwright_package::{Limits, read_within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut limits = Limits::default();
    limits.entries = 50;
    limits.file_bytes = 1 << 20;
    limits.total_bytes = 4 << 20;
    limits.document_bytes = 1 << 20;
    limits.values = 50_000;
    let Ok(bundle) = read_within(bytes, &limits) else { return };
    for artifact in &bundle.package.artifacts {
        let content = bundle.contents.get(&artifact.digest).expect("each artifact has a content");
        assert_eq!(content.len() as u64, artifact.size);
        assert!(artifact.path.split('/').all(|part| !part.is_empty() && part != ".."));
    }
    let again = read_within(bytes, &limits).expect("what was read once is read again");
    assert_eq!(bundle.package.digest(), again.package.digest());
});
