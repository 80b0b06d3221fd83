//! The corpus that fuzzing found, played through the same functions: `tests/fuzz` has the targets, `make fuzz` looks for more.
//!
//! Fails with the target and the file; `tests/fuzz/run.sh` says how to go on from there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "fuzz/src/lib.rs"]
mod fuzz;

fn play(target: &str, run: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    assert!(files.len() > 5, "{} has a corpus", dir.display());
    for file in files {
        let data = std::fs::read(&file).expect("readable");
        assert!(catch_unwind(AssertUnwindSafe(|| run(&data))).is_ok(), "{} (see above)", file.display());
    }
}

macro_rules! targets {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            play(stringify!($name), fuzz::$name::run);
        }
    )* };
}

targets! { accounts imap_command imap_frame imap_session message pop3_session smtp_session store_files }
