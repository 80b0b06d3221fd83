//! What the fuzz targets do with their bytes: one module a target, each with `run(data)`, which panics where something is wrong.
//!
//! Used twice: by `fuzz_targets/`, which libFuzzer drives, and by `tests/fuzz_corpus.rs`, which plays the kept corpus on every `make test`.
//! Nothing is printed, and nothing outlives a run.

pub mod accounts;
pub mod imap_command;
pub mod imap_frame;
pub mod imap_session;
pub mod message;
pub mod pop3_session;
pub mod smtp_session;
pub mod store_files;
mod talk;
mod world;
