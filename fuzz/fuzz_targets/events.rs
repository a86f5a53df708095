//! Rows of journals: bytes from a disk never panic, and what decodes is written as it was read.
#![no_main]

use jobwright_core::Event;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(events) = serde_json::from_slice::<Vec<Event>>(bytes) else { return };
    for event in &events {
        if let Event::Accepted { plan } = event {
            let _ = plan.check();
        }
    }
    let written = serde_json::to_vec(&events).expect("what was read can be written");
    let read: Vec<Event> = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(read, events);
});
