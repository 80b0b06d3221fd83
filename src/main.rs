//! Parse arguments, call, exit code.

use std::process::ExitCode;

/// Smaller and faster than the C library's allocator under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mailcote::cli::run()
}
