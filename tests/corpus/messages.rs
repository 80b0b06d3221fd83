//! The messages of `tests/data/corpus`, each with its name.

use std::path::Path;

/// Every message: the files, then those of `list.mbox`.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus");
    let mut messages: Vec<(String, Vec<u8>)> = std::fs::read_dir(&dir)
        .expect("tests/data/corpus")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a message"))
        })
        .collect();
    messages.sort();
    let mbox = std::fs::read(dir.join("list.mbox")).expect("list.mbox");
    messages.extend(split(&mbox).into_iter().enumerate().map(|(n, text)| (format!("list.mbox {n}"), text)));
    assert_eq!(messages.len(), 48 + 29, "no message is lost");
    messages
}

/// The messages of an mbox: what is behind each line that begins with `From `.
fn split(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in mbox.split_inclusive(|b| *b == b'\n') {
        match messages.last_mut() {
            _ if line.starts_with(b"From ") => messages.push(Vec::new()),
            Some(message) => message.extend_from_slice(line),
            None => panic!("an mbox begins with From"),
        }
    }
    messages
}

/// With CRLF at the end of every line.
pub fn wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len());
    let mut before = 0;
    for byte in message {
        if *byte == b'\n' && before != b'\r' {
            wire.push(b'\r');
        }
        wire.push(*byte);
        before = *byte;
    }
    wire
}
