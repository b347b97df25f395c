//! A whole book's margin as one number, equal in every build (`.ci/same-bits`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]

mod common;

use plimsoll_engine::PRESETS;

/// FNV-1a over the bytes of every report.
fn fnv(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn the_margin_of_a_book_is_the_same_to_the_last_digit_in_every_build() {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for (preset, _) in PRESETS {
        let desk = common::desk_on(preset, common::PLAIN, &common::BOOK);
        for entry in &desk.arrays.pnl {
            hash = fnv(&entry.to_le_bytes(), hash);
        }
        for (account, report) in desk.margin() {
            hash = fnv(account.as_str().as_bytes(), hash);
            match report {
                Ok(report) => {
                    for ticks in [report.im, report.mm, report.equity] {
                        hash = fnv(&ticks.0.to_le_bytes(), hash);
                    }
                }
                // A venue that does not margin the account refuses it in words.
                Err(failure) => hash = fnv(failure.reason.as_bytes(), hash),
            }
        }
    }
    assert_eq!(format!("{hash:016x}"), "aa9d052a66b439dc");
}
