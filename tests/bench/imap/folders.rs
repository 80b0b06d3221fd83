//! Folders to measure: as many messages as wanted, of the variety of real mail.
//!
//! The messages of `tests/data` (bounces, digests, signed and 8-bit mail), repeated, each time with a Message-ID, Subject, sender and
//! date of its own, and every third one an answer to the one before, so that nothing can be known from the last copy.
//! Files lie in `cur/` under names with sizes, as both servers write them, and are some months old.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::servers::Mailbox;

/// Bytes of a message that are taken: one of 900 KB among fifty would make it the only one that is measured.
const MAX_MESSAGE: usize = 60_000;

/// The messages, LF at line ends.
pub fn corpus() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"), &mut files);
    files.sort();
    let read = |path: &PathBuf| fs::read(path).ok().filter(|text| text.len() <= MAX_MESSAGE);
    let unix = |text: Vec<u8>| text.into_iter().filter(|b| !matches!(b, b'\r' | 0)).collect();
    files.iter().filter_map(read).map(unix).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("tests/data").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            files.push(path);
        }
    }
}

/// Message number `n`: its own header fields before those of the corpus, whose fields of these names go.
pub fn message(corpus: &[Vec<u8>], n: usize) -> Vec<u8> {
    const OWN: [&str; 6] = ["subject", "from", "date", "message-id", "references", "in-reply-to"];
    let text = &corpus[n % corpus.len()];
    let end = memchr::memmem::find(text, b"\n\n").map_or(text.len(), |at| at + 1);
    let thread = n / 3;
    let reply = if n.is_multiple_of(3) { "" } else { "Re: " };
    let mut out = format!(
        "From: \"Person {}\" <person{}@example.org>\nSubject: {reply}The matter number {thread} of all\nDate: {}\n\
         Message-ID: <{n}@bench.example.org>\n",
        n % 500,
        n % 500,
        date(n)
    );
    if !n.is_multiple_of(3) {
        out += &format!("In-Reply-To: <{0}@bench.example.org>\nReferences: <{0}@bench.example.org>\n", n - 1);
    }
    let mut out = out.into_bytes();
    let mut keep = true;
    for line in text[..end].split_inclusive(|b| *b == b'\n') {
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            let name = line.split(|b| *b == b':').next().unwrap_or_default().to_ascii_lowercase();
            keep = !OWN.iter().any(|own| own.as_bytes() == name) && !line.starts_with(b"From ");
        }
        if keep {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&text[end..]);
    out
}

fn date(n: usize) -> String {
    format!("Tue, {} Mar 2024 {:02}:{:02}:{:02} +0200", 1 + n % 28, n / 3600 % 24, n / 60 % 60, n % 60)
}

/// Put `count` messages into the folder `dir` of `mailbox`.
pub fn fill(mailbox: &Mailbox, dir: &Path, count: usize) {
    let corpus = corpus();
    for path in [mailbox.maildir.parent().expect("a home"), &mailbox.maildir, dir] {
        make(mailbox, path);
    }
    for sub in ["tmp", "new", "cur"] {
        make(mailbox, &dir.join(sub));
    }
    let base = SystemTime::now() - Duration::from_secs(200 * 86_400);
    for n in 0..count {
        let text = message(&corpus, n);
        let wire = text.len() + memchr::memchr_iter(b'\n', &text).count();
        let name = format!("{}.M{:06}P1.bench,S={},W={wire}:2,", 1_700_000_000 + n / 50, n % 1_000_000, text.len());
        let path = dir.join("cur").join(name);
        fs::write(&path, &text).expect("a message");
        let file = fs::File::options().write(true).open(&path).expect("it");
        file.set_modified(base + Duration::from_secs(n as u64)).expect("a time");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        mailbox.own(&path);
    }
}

fn make(mailbox: &Mailbox, path: &Path) {
    fs::create_dir_all(path).expect("a directory");
    mailbox.own(path);
}

/// Delete what both servers have noted about the folder `dir`: the next one to open it knows nothing.
pub fn forget(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_index = name.starts_with("dovecot") || name.starts_with("mailcote.");
        if is_index && entry.path().is_file() {
            fs::remove_file(entry.path()).expect("remove");
        }
    }
}

/// Drop the page cache. `false` if we may not.
pub fn drop_caches() -> bool {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
