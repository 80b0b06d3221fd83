#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mailcote_fuzz::message::run(data));
