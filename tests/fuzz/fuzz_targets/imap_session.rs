#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mailcote_fuzz::imap_session::run(data));
