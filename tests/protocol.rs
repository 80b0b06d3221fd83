//! Plays every dialogue of `tests/transcripts/`: straight into a session, over a real socket, and straight in again
//! but cut at every byte. The first shows what a protocol does, the second that `net` adds nothing, the third
//! that a session does not care how its input was grouped. `tests/README.md` has the language.
//!
//! One transcript: `cargo test --test protocol -- NAME` does not exist, since a folder is one test; set
//! `TRANSCRIPT=part-of-its-name` instead.

#[path = "transcript/beside.rs"]
mod beside;
#[path = "transcript/drive.rs"]
mod drive;
#[path = "transcript/faults.rs"]
mod faults;
#[path = "transcript/outside.rs"]
mod outside;
#[path = "transcript/run.rs"]
mod run;
#[path = "transcript/script.rs"]
mod script;
mod support {
    #[expect(dead_code, reason = "other tests use the rest of it")]
    pub mod dovecot;
}
#[path = "transcript/world.rs"]
mod world;

use std::path::{Path, PathBuf};

use script::Script;
use world::{Fixture, Mode};

fn transcripts(folder: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(folder);
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "t"))
        .filter(|path| path.to_string_lossy().contains(&only))
        .collect();
    files.sort();
    assert!(!files.is_empty() || !only.is_empty(), "{} has transcripts", dir.display());
    files
}

fn play(path: &Path, folder: &str, mode: Mode) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let script = Script::parse(&text)?;
    let mut fixture = Fixture::new(folder, &script.given, mode)?;
    let result = run::play(&script, &mut fixture);
    fixture.end();
    match (script.pending, result) {
        (true, Ok(())) => Err("is marked `pending` but passes: take the mark away".into()),
        (true, Err(_)) => Ok(()),
        (false, result) => result,
    }
}

fn play_all(folder: &str) {
    let mut wrong = Vec::new();
    let files = transcripts(folder);
    for path in &files {
        for mode in [Mode::Direct, Mode::Socket, Mode::Cut] {
            if let Err(why) = play(path, folder, mode) {
                wrong.push(format!("{} ({mode:?}): {why}", path.display()));
                break;
            }
        }
    }
    println!("{folder}: {} transcripts, {} failed", files.len(), wrong.len());
    assert!(wrong.is_empty(), "\n\n{}\n", wrong.join("\n\n"));
}

#[test]
fn smtp() {
    play_all("smtp");
}

#[test]
fn imap() {
    play_all("imap");
}

/// The IMAP dialogues once more, with an installed Dovecot: see `transcript/beside.rs`.
#[test]
fn imap_beside_dovecot() {
    if !support::dovecot::Dovecot::installed() {
        let strict = std::env::var_os("MAILCOTE_TESTS").is_some_and(|mode| mode == "strict");
        assert!(!strict, "dovecot 2.3 is not installed (MAILCOTE_TESTS=strict)");
        eprintln!("skipped: needs dovecot");
        return;
    }
    let mut site = beside::Site::start().expect("Dovecot starts");
    let mut wrong = Vec::new();
    for path in transcripts("imap") {
        let text = std::fs::read_to_string(&path).expect("readable");
        let result = Script::parse(&text).and_then(|script| site.play(&script));
        wrong.extend(result.err().map(|why| format!("{}: {why}", path.display())));
    }
    assert!(wrong.is_empty(), "\n\n{}\n\n{} files", wrong.join("\n\n"), wrong.len());
}

#[test]
fn pop3() {
    play_all("pop3");
}

#[test]
fn the_language_binds_and_refuses() {
    let mut bound = script::Bound::new();
    assert!(script::matches("a OK [APPENDUID $v $u] …", b"a OK [APPENDUID 77 5] done", &mut bound));
    assert_eq!(bound["v"], "77");
    assert!(!script::matches("* $u EXISTS", b"* 6 EXISTS", &mut bound));
    assert!(script::matches("* …\\Seen… x", b"* 1 (\\Seen) x", &mut bound));
    assert!(Script::parse("1?> x").is_err());
    assert!(Script::parse("sleep 1").is_err());
}
