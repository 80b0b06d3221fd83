//! `maildirsize` (Maildir++ quota), as Courier and Dovecot read and write it.
//!
//! The first line has the limits, `<n>S,<n>C`; each further line is a change, `<bytes> <messages>`, and their sum is what there is. Changes are
//! appended with one write each. A file of [`MAX_LEN`] bytes, one that cannot be understood, with a NUL (a hole that a crash left) or with
//! a sum below zero says nothing: the messages must be counted.

use super::{Limits, Usage};

/// From this length on the file is made anew (the specification's number).
pub const MAX_LEN: u64 = 5120;

/// What a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Of the first line.
    pub limits: Limits,
    /// The sum.
    pub usage: Usage,
    /// Lines of changes.
    pub lines: usize,
}

/// Read a file; `None` if it says nothing.
pub fn parse(bytes: &[u8]) -> Option<Content> {
    if bytes.len() as u64 >= MAX_LEN {
        return None;
    }
    // Only a whole last line counts.
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let mut lines = text.split('\n');
    let limits = parse_limits(lines.next()?)?;
    let (mut storage, mut messages, mut count) = (0i64, 0i64, 0);
    for line in lines {
        let (bytes, files) = line.trim().split_once(char::is_whitespace)?;
        storage = storage.checked_add(bytes.parse().ok()?)?;
        messages = messages.checked_add(files.trim().parse().ok()?)?;
        count += 1;
    }
    let usage = Usage { storage: u64::try_from(storage).ok()?, messages: u64::try_from(messages).ok()? };
    Some(Content { limits, usage, lines: count })
}

fn parse_limits(line: &str) -> Option<Limits> {
    let mut limits = Limits::default();
    for part in line.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let number: u64 = part.get(..part.len() - 1)?.parse().ok()?;
        let number = Some(number).filter(|number| *number > 0);
        match part.as_bytes().last()? {
            b'S' => limits.storage = number,
            b'C' => limits.messages = number,
            // Of a later version of the specification.
            _ => {}
        }
    }
    Some(limits)
}

/// A new file with one line of what there is.
pub fn render(limits: Limits, usage: Usage) -> String {
    let limit = |number: Option<u64>, letter| number.map(|number| format!("{number}{letter}"));
    let limits: Vec<String> = [limit(limits.storage, 'S'), limit(limits.messages, 'C')].into_iter().flatten().collect();
    // Courier takes an empty line for a damaged file.
    let limits = if limits.is_empty() { "0S".to_owned() } else { limits.join(",") };
    format!("{limits}\n{} {}\n", usage.storage, usage.messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others() {
        let limits = Limits { storage: Some(5_242_880), messages: Some(100) };
        type Case = (&'static str, Option<(Limits, u64, u64)>);
        let table: &[Case] = &[
            ("5242880S,100C\n0 0\n5 1\n", Some((limits, 5, 1))),
            ("5242880S,100C\n", Some((limits, 0, 0))),
            ("5242880S,100C\n        1000            2\n        -400           -1\n", Some((limits, 600, 1))),
            ("100C,5242880S,7X\n1 1\n", Some((limits, 1, 1))),
            ("0S\n1 1\n", Some((Limits::default(), 1, 1))),
            ("5242880S\n1 1\n2 1", None),
            ("5242880S\n1 1\n-2 -1\n", None),
            ("5242880S\n1 1\n\0\0\0 1\n", None),
            ("5242880S\nx 1\n", None),
            ("", None),
        ];
        for (text, expected) in table {
            let found = parse(text.as_bytes()).map(|c| (c.limits, c.usage.storage, c.usage.messages));
            assert_eq!(found, *expected, "{text:?}");
        }
        assert_eq!(parse(&[b'1'; 5120]), None);
    }

    #[test]
    fn what_is_written_is_read() {
        for limits in [
            Limits::default(),
            Limits { storage: Some(7), messages: None },
            Limits { storage: None, messages: Some(3) },
        ] {
            let usage = Usage { storage: 12, messages: 3 };
            let content = parse(render(limits, usage).as_bytes()).unwrap();
            assert_eq!((content.limits, content.usage, content.lines), (limits, usage, 1));
        }
    }
}
