//! Events as JSON, as `POST /v1/events` takes them. What is read has a form in the journal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_app::wire::EventIn;
use plimsoll_engine::live::{Event, VERSION, decode, encode};
use plimsoll_engine::{PRESETS, ParamSet};
use plimsoll_types::{Timestamp, Units};
use std::sync::OnceLock;

fn units() -> &'static Units {
    static UNITS: OnceLock<Units> = OnceLock::new();
    UNITS.get_or_init(|| {
        let (_, text) = PRESETS.iter().find(|(name, _)| *name == "plimsoll").expect("it ships");
        ParamSet::from_toml(text, "plimsoll").expect("it is sound").units
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = serde_json::from_slice::<EventIn>(bytes) else { return };
    if let Ok((key, body)) = event.read(units()) {
        let event = Event { at: Timestamp::from_seconds(1_767_225_600), key, body };
        let written = encode(&event).expect("what the door lets in has a form");
        assert_eq!(encode(&decode(VERSION, &written).expect("it is read again")).expect("twice"), written);
    }
});
