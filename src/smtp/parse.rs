//! The grammar of SMTP command lines (RFC 5321 4.1.2), by hand.
//!
//! Owns: verb and argument, paths, parameters. Refuses control characters before anything else looks at a line.
//! Lenient where the field needs it: spaces at the end of a line and behind `FROM:`, and an address without angle
//! brackets, since scanners and old devices send them. Source routes are read and dropped (RFC 5321 appendix C).

use super::reply::{BAD_PARAMETER, REPEATED_PARAMETER, Reply};
use crate::mail::address::{Address, Invalid};

/// A line as text; `None` if it contains control characters or is not UTF-8.
pub(super) fn text(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Verb, and argument without the spaces around it.
pub(super) fn split(line: &str) -> (&str, &str) {
    let line = line.trim_end_matches(' ');
    match line.split_once(' ') {
        Some((verb, argument)) => (verb, argument.trim_start_matches(' ')),
        None => (line, ""),
    }
}

/// What stands behind `FROM:` or `TO:`; `None` if the argument does not begin so.
pub(super) fn behind<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// A path of MAIL or RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// `<>`
    Null,
    /// `<postmaster>`, in any case (RFC 5321 4.5.1).
    Postmaster,
    /// `<local@domain>`
    To(Address),
}

/// The path at the front of `text`, and the parameters behind it.
pub(super) fn path(text: &str) -> Result<(Path, &str), Invalid> {
    let Some(inner) = text.strip_prefix('<') else {
        let (path, rest) = mailbox(text)?;
        return Ok((path, parameters_behind(rest)?));
    };
    if let Some(rest) = inner.strip_prefix('>') {
        return Ok((Path::Null, parameters_behind(rest)?));
    }
    let (path, rest) = mailbox(without_route(inner)?)?;
    let rest = rest.strip_prefix('>').ok_or(Invalid::Syntax("bad character in the address, or no >"))?;
    Ok((path, parameters_behind(rest)?))
}

fn mailbox(text: &str) -> Result<(Path, &str), Invalid> {
    const POSTMASTER: &str = "postmaster";
    if let Some((head, rest)) = text.split_at_checked(POSTMASTER.len())
        && head.eq_ignore_ascii_case(POSTMASTER)
        && (rest.is_empty() || rest.starts_with(['>', ' ']))
    {
        return Ok((Path::Postmaster, rest));
    }
    Address::parse_front(text).map(|(address, rest)| (Path::To(address), rest))
}

/// Passes over `@one,@two:`, which must be accepted and should be ignored.
fn without_route(inner: &str) -> Result<&str, Invalid> {
    if !inner.starts_with('@') {
        return Ok(inner);
    }
    let (route, mailbox) = inner.split_once(':').ok_or(Invalid::Syntax("address has an empty local part"))?;
    for hop in route.split(',') {
        let domain = hop.strip_prefix('@').ok_or(Invalid::Syntax("bad source route"))?;
        crate::mail::address::check_domain(domain)?;
    }
    Ok(mailbox)
}

fn parameters_behind(rest: &str) -> Result<&str, Invalid> {
    if rest.is_empty() || rest.starts_with(' ') {
        Ok(rest.trim_start_matches(' '))
    } else {
        Err(Invalid::Syntax("bad character in the address"))
    }
}

/// Keyword (upper case) and value of each parameter.
pub(super) fn parameters(text: &str) -> Result<Vec<(String, Option<&str>)>, Reply> {
    let mut found: Vec<(String, Option<&str>)> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let first = keyword.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !first || !keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(BAD_PARAMETER);
        }
        if value.is_some_and(|value| value.is_empty() || value.contains('=')) {
            return Err(BAD_PARAMETER);
        }
        let keyword = keyword.to_ascii_uppercase();
        // RFC 5321 4.1.1.11 leaves it open; two values for one thing have no meaning.
        if found.iter().any(|(before, _)| *before == keyword) {
            return Err(REPEATED_PARAMETER);
        }
        found.push((keyword, value));
    }
    Ok(found)
}

/// A decimal number of at most `digits` digits, nothing else.
pub(super) fn number(text: &str, digits: usize) -> Option<u64> {
    if text.is_empty() || text.len() > digits || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Path {
        Path::To(Address::parse(text).unwrap())
    }

    #[test]
    fn lines() {
        assert_eq!(text(b"MAIL FROM:<\xc3\xa9@x>"), Some("MAIL FROM:<é@x>"));
        for bad in [&b"NO\0OP"[..], b"NOOP\x7f", b"NO\tOP", b"\xff", b"\xc2\x85"] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
        assert_eq!(split("mail  FROM:<a@x>  "), ("mail", "FROM:<a@x>"));
        assert_eq!(split("QUIT"), ("QUIT", ""));
        assert_eq!(behind("from: <a@x>", "FROM:"), Some("<a@x>"));
        assert_eq!(behind("FROM<a@x>", "FROM:"), None);
        assert_eq!(behind("é", "FROM:"), None);
    }

    #[test]
    fn paths() {
        let rows: &[(&str, Path, &str)] = &[
            ("<a@x>", to("a@x"), ""),
            ("<a@x> SIZE=5", to("a@x"), "SIZE=5"),
            ("<>", Path::Null, ""),
            ("<> BODY=8BITMIME", Path::Null, "BODY=8BITMIME"),
            ("<PostMaster>", Path::Postmaster, ""),
            ("postmaster", Path::Postmaster, ""),
            ("<postmaster@x>", to("postmaster@x"), ""),
            ("<postmasters@x>", to("postmasters@x"), ""),
            ("a@x SIZE=5", to("a@x"), "SIZE=5"),
            ("<@one.example,@two.example:a@x>", to("a@x"), ""),
            ("<\"a> b\"@x>", to("\"a> b\"@x"), ""),
            ("<a@[192.0.2.1]>", to("a@[192.0.2.1]"), ""),
        ];
        for (given, want, rest) in rows {
            assert_eq!(path(given), Ok((want.clone(), *rest)), "{given}");
        }
        for bad in
            ["", "<", "<a@x", "<a@x>>", "<a@x>SIZE=5", "<a>", "<@one:a@x", "<@one a@x>", "<@:a@x>", "<a @x>", "x:<a@x>"]
        {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameter_lists() {
        assert_eq!(
            parameters("size=5  BODY=8BITMIME SMTPUTF8").unwrap(),
            [("SIZE".into(), Some("5")), ("BODY".into(), Some("8BITMIME")), ("SMTPUTF8".into(), None)]
        );
        for bad in ["=5", "-a", "SIZE=", "SIZE=1=2", "A?=1", "SIZE=1 size=2", "é=1"] {
            assert!(parameters(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number("0012", 20), Some(12));
        for bad in ["", "-1", "+1", " 1", "1k", "123456789012345678901", "99999999999999999999"] {
            assert_eq!(number(bad, 20), None, "{bad}");
        }
    }
}
