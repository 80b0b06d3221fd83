//! A mail address as SMTP means it: local part and domain.
//!
//! Owns the `Mailbox` grammar of RFC 5321 4.1.2 with the UTF-8 of RFC 6531 3.3, its lengths, and how an address is written
//! back. Refuses what the grammar forbids, with these exceptions that mail in the field needs: dots may
//! come anywhere in an unquoted local part (`a..b.@docomo.example` are people), and a domain's labels may contain and
//! begin with `_`. Fails with an [`Invalid`] that says what is wrong in words for the sender. The header grammar with
//! comments and names is elsewhere: this is the envelope.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets in a local part (RFC 5321 4.5.3.1.1).
pub const MAX_LOCAL: usize = 64;
/// Octets in a domain (RFC 5321 4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;
/// Octets in an address: a path has 256 with its angle brackets (RFC 5321 4.5.3.1.3).
pub const MAX_ADDRESS: usize = 254;
/// Octets in one label of a domain (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// `local@domain`. The local part is kept as it was meant (quotes removed); the domain in lower case,
/// an address literal with its brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Local part, unquoted.
    pub local: String,
    /// Domain, lower case; empty only for the bare `postmaster` of RCPT TO.
    pub domain: String,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It breaks the grammar; the text says how.
    #[error("{0}")]
    Syntax(&'static str),
    /// A part is longer than it may be; the text says which.
    #[error("{0}")]
    TooLong(&'static str),
    /// It is well formed but contains UTF-8, and the sender did not say SMTPUTF8.
    #[error("address is not ASCII and SMTPUTF8 was not given")]
    NotAscii,
}

use Invalid::{NotAscii, Syntax, TooLong};

impl Address {
    /// Parse a Mailbox, for example `alice@example.org`. UTF-8 is allowed everywhere but in literals.
    pub fn parse(text: &str) -> Result<Address, Invalid> {
        let (address, rest) = Self::parse_front(text)?;
        if rest.is_empty() { Ok(address) } else { Err(Syntax("something follows the address")) }
    }

    /// Parse the Mailbox at the front of `text`, and return what follows it (`>` and parameters in SMTP).
    pub fn parse_front(text: &str) -> Result<(Address, &str), Invalid> {
        let (local, rest) = local_part(text)?;
        let rest = rest.strip_prefix('@').ok_or(Syntax("address has no @domain"))?;
        let (domain, rest) = if rest.starts_with('[') { literal(rest)? } else { domain(rest)? };
        let address = Address { local, domain };
        if address.local.len() + 1 + address.domain.len() > MAX_ADDRESS {
            return Err(TooLong("address is longer than 254 octets"));
        }
        Ok((address, rest))
    }

    /// The address `postmaster` without a domain (RFC 5321 4.5.1).
    pub fn postmaster() -> Address {
        Address { local: "postmaster".into(), domain: String::new() }
    }

    /// Is all of it ASCII? If not, it travels with SMTPUTF8 only.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// [`Invalid::NotAscii`] unless the address is ASCII.
    pub fn require_ascii(self) -> Result<Address, Invalid> {
        if self.is_ascii() { Ok(self) } else { Err(NotAscii) }
    }

    /// Is the domain an address literal, `[192.0.2.1]`?
    pub fn is_literal(&self) -> bool {
        self.domain.starts_with('[')
    }

    /// The local part without and the text behind the first `separator`. No detail if there is nothing before or behind it.
    pub fn split_detail(&self, separator: char) -> (&str, Option<&str>) {
        match self.local.split_once(separator) {
            Some((user, detail)) if !user.is_empty() && !detail.is_empty() => (user, Some(detail)),
            Some((user, "")) if !user.is_empty() => (user, None),
            _ => (&self.local, None),
        }
    }
}

impl fmt::Display for Address {
    /// As it is written in an envelope or a trace header: quoted only where needed (RFC 5321 4.1.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        if self.domain.is_empty() { Ok(()) } else { write!(f, "@{}", self.domain) }
    }
}

/// RFC 5322 3.2.3 atext, with the UTF-8 of RFC 6532 3.2.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

/// Non-ASCII that may stand in an address: no control characters (U+0080 to U+009F), which terminals obey.
fn is_utf8_text(c: char) -> bool {
    !c.is_ascii() && !c.is_control()
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// The unquoted local part at the front of `text`, and the rest.
fn local_part(text: &str) -> Result<(String, &str), Invalid> {
    let (local, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => {
            let end = text.find(|c| !is_atext(c) && c != '.').unwrap_or(text.len());
            (text[..end].to_owned(), &text[end..])
        }
    };
    match local.len() {
        0 => Err(Syntax("address has an empty local part")),
        1..=MAX_LOCAL => Ok((local, rest)),
        _ => Err(TooLong("local part is longer than 64 octets")),
    }
}

/// What stands before the closing quote, unescaped, and what is behind it.
fn quoted_string(text: &str) -> Result<(String, &str), Invalid> {
    let mut local = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ' '..='~')) => local.push(c),
                _ => return Err(Syntax("bad \\ in the quoted local part")),
            },
            ' '..='~' => local.push(c),
            c if is_utf8_text(c) => local.push(c),
            _ => return Err(Syntax("control character in the address")),
        }
    }
    Err(Syntax("local part has no closing quote"))
}

/// The domain at the front of `text` in lower case, and the rest.
fn domain(text: &str) -> Result<(String, &str), Invalid> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || is_utf8_text(c);
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    let (domain, rest) = text.split_at(end);
    // Checked as it will be kept: a lower-case letter may have more octets.
    let domain = domain.to_lowercase();
    check_domain(&domain)?;
    Ok((domain, rest))
}

/// Is `domain` a domain name as mail uses it?
pub fn check_domain(domain: &str) -> Result<(), Invalid> {
    if domain.is_empty() {
        return Err(Syntax("address has an empty domain"));
    }
    if domain.len() > MAX_DOMAIN {
        return Err(TooLong("domain is longer than 255 octets"));
    }
    for label in domain.split('.') {
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            return Err(Syntax("bad dot or hyphen in the domain"));
        }
        if label.len() > MAX_LABEL {
            return Err(TooLong("a label of the domain is longer than 63 octets"));
        }
        if label.chars().any(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || is_utf8_text(c))) {
            return Err(Syntax("bad character in the domain"));
        }
    }
    Ok(())
}

/// The address literal at the front of `text` (RFC 5321 4.1.3) in one canonical spelling, and the rest.
fn literal(text: &str) -> Result<(String, &str), Invalid> {
    let inner = &text[1..];
    let end = inner.find(']').ok_or(Syntax("address literal has no ]"))?;
    let (inner, rest) = (&inner[..end], &inner[end + 1..]);
    let tagged = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let literal = match tagged {
        Some(_) => inner[5..].parse::<Ipv6Addr>().ok().map(|ip| format!("[IPv6:{ip}]")),
        None => inner.parse::<Ipv4Addr>().ok().map(|ip| format!("[{ip}]")),
    };
    Ok((literal.ok_or(Syntax("bad address literal"))?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good() {
        let long_local = format!("{}@b.c", "x".repeat(64));
        let rows: &[(&str, &str, &str, &str)] = &[
            // given, local part, domain, written back
            ("alice@example.org", "alice", "example.org", "alice@example.org"),
            ("Alice@EXAMPLE.Org", "Alice", "example.org", "Alice@example.org"),
            ("a.b+c=d@x", "a.b+c=d", "x", "a.b+c=d@x"),
            ("a..b.@docomo.example", "a..b.", "docomo.example", "\"a..b.\"@docomo.example"),
            ("\"a b\"@x", "a b", "x", "\"a b\"@x"),
            ("\"alice\"@x", "alice", "x", "alice@x"),
            (r#""a\"\\\,"@x"#, r#"a"\,"#, "x", r#""a\"\\,"@x"#),
            ("\"a@b\"@x", "a@b", "x", "\"a@b\"@x"),
            ("a@[192.0.2.1]", "a", "[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[ipv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
            ("a@_spf.my_host.x", "a", "_spf.my_host.x", "a@_spf.my_host.x"),
            ("é@BÜCHER.example", "é", "bücher.example", "é@bücher.example"),
            ("甲@乙.example", "甲", "乙.example", "甲@乙.example"),
            (&long_local, &long_local[..64], "b.c", &long_local),
        ];
        for (text, local, domain, written) in rows {
            let address = Address::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((address.local.as_str(), address.domain.as_str()), (*local, *domain), "{text}");
            assert_eq!(address.to_string(), *written, "{text}");
            assert_eq!(Address::parse(written), Ok(address), "{text} comes back");
        }
    }

    #[test]
    fn bad() {
        let long_label = format!("a@{}.x", "x".repeat(64));
        let long_local = format!("{}@x", "x".repeat(65));
        let long_domain = format!("a@{}", ["x"; 130].join("."));
        let long_total = format!("{}@{}", "x".repeat(60), ["x"; 98].join("."));
        let rows: &[&str] = &[
            "",
            "alice",
            "@x",
            "alice@",
            "alice@x@y",
            "a b@x",
            "\"\"@x",
            "\"a@x",
            "\"a\"b@x",
            "\"a\u{7}\"@x",
            "\"a\\\u{e9}\"@x",
            "a\r@x",
            "a\0@x",
            "a\u{85}@x",
            "a@x..y",
            "a@.x",
            "a@x.",
            "a@-x",
            "a@x-",
            "a@x y",
            "a@x>",
            "a@[1.2.3]",
            "a@[1.2.3.4",
            "a@[IPv6:1.2.3.4]",
            "a@[2001:db8::1]",
            "a@[x:y]",
            "a@[\u{e9}\u{e9}\u{e9}]",
            "<a@x>",
            &long_label,
            &long_local,
            &long_domain,
            &long_total,
        ];
        for text in rows {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_rest_is_given_back() {
        let (address, rest) = Address::parse_front("a@x> SIZE=5").unwrap();
        assert_eq!((address.to_string().as_str(), rest), ("a@x", "> SIZE=5"));
    }

    #[test]
    fn ascii() {
        assert_eq!(Address::parse("é@x").unwrap().require_ascii(), Err(NotAscii));
        assert!(Address::parse("e@x").unwrap().require_ascii().is_ok());
        assert_eq!(Address::postmaster().to_string(), "postmaster");
    }

    #[test]
    fn detail() {
        let split = |text: &str| {
            let address = Address::parse(text).unwrap();
            let (user, detail) = address.split_detail('+');
            (user.to_owned(), detail.map(str::to_owned))
        };
        assert_eq!(split("alice+work@x"), ("alice".into(), Some("work".into())));
        assert_eq!(split("alice+a+b@x"), ("alice".into(), Some("a+b".into())));
        assert_eq!(split("alice+@x"), ("alice".into(), None));
        assert_eq!(split("+work@x"), ("+work".into(), None));
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics_and_rendering_comes_back(text in "\\PC{0,40}|[a-z\"\\\\.+@\\[\\]:0-9 ]{0,40}") {
            if let Ok(address) = Address::parse(&text) {
                assert_eq!(Address::parse(&address.to_string()), Ok(address));
            }
        }
    }
}
