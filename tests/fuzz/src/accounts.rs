//! The users and aliases files of a domain. Every line is understood or is a problem; what is written is read back.

use mailcote::account::{aliases, users};

/// The same bytes as both.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (number, line) in text.lines().enumerate() {
        let _ = users::parse(number + 1, line, "demo.test");
        let _ = users::name(line, "demo.test");
        let _ = users::with_password(line, "{PLAIN}x");
    }
    let parsed = aliases::parse(data, "demo.test");
    for alias in &parsed.aliases {
        let _ = alias.lists_itself();
    }
    if let Some((name, members)) = text.split_once(':') {
        let members: Vec<&str> = members.split(',').collect();
        if let Ok(line) = aliases::format(name, &members, "demo.test") {
            let again = aliases::parse(line.as_bytes(), "demo.test");
            assert_eq!((again.aliases.len(), again.problems.len()), (1, 0), "{line:?} is one alias");
        }
    }
}
