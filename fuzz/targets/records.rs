//! Records of the journal: the first byte is the version. What is read is written as it was, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_app::host::Content;
use plimsoll_engine::live::{VERSION, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let Some((version, payload)) = bytes.split_first() else { return };
    if let Ok(content) = Content::read(*version, payload) {
        let _ = serde_json::to_string(&content);
        let (Content::Event(event) | Content::Signed { event, .. }) = &content else { return };
        let written = encode(event).expect("what was read can be written");
        let again = decode(VERSION, &written).expect("and read again");
        // A number that is none is equal to nothing: by its bytes it is the same.
        assert_eq!(encode(&again).expect("twice"), written);
    }
});
