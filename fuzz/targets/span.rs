//! Published SPAN files, `.pa2` and `.spn`. What is read has as many losses as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_engine::SpanFile;

fuzz_target!(|bytes: &[u8]| {
    for file in [SpanFile::read(bytes), SpanFile::read_pa2(bytes), SpanFile::read_spn(bytes)] {
        match file {
            Ok(file) => assert!(file.losses_of(usize::MAX).is_empty()),
            Err(error) => assert!(error.to_string().len() < 4_096, "{error}"),
        }
    }
});
