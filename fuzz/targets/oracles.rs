//! Signed bytes of oracles: an update of Pyth, a report of Chainlink. Nothing that was not signed is ever taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_feeds::pyth::guardian_set_4;
use plimsoll_feeds::pyth::update::{Trust, Update};
use plimsoll_feeds::{Events, chainlink};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    match which % 3 {
        0 => {
            if let Ok(update) = Update::decode(rest) {
                let _ = update.statements();
                assert!(update.verify(&Trust::of([(4, guardian_set_4())].into())).is_err(), "forged");
            }
        }
        1 => {
            if let Ok(full) = chainlink::FullReport::decode(rest) {
                let _ = (full.hash(), chainlink::Report::decode(&full.report));
            }
            let _ = chainlink::Report::decode(rest);
        }
        _ => {
            // A stream of events says the same however it is cut.
            let of = |piece: usize| {
                let (mut events, mut seen) = (Events::new(1 << 16), Vec::new());
                let mut whole = Ok(());
                for part in rest.chunks(piece) {
                    whole = whole.and_then(|()| events.take(part, &mut |event| seen.push(event.to_vec())));
                }
                (whole.is_ok(), seen)
            };
            assert_eq!(of(1), of(rest.len().max(1)));
        }
    }
});
