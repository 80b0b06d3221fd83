//! The addresses of a header field: From, To and the like (RFC 5322 section 3.4, obsolete forms of 4.4 too).
//!
//! Gives what ENVELOPE wants (RFC 3501 section 7.4.2): display name, route, mailbox, host, as written and not
//! decoded, with markers where a group begins and ends. Nothing is refused. What is missing or broken is filled with
//! the words that Dovecot uses, since clients and filters know them: [`MISSING_MAILBOX`], [`MISSING_DOMAIN`],
//! [`SYNTAX_ERROR`], [`INVALID_ROUTE`]. The list ends where something follows an address that is not a comma.

use super::lex::{Lexer, is_atext};

/// Stands for a mailbox that is not there.
pub const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";
/// Stands for a host that is not there.
pub const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";
/// Stands for the host of an address in angle brackets that cannot be read.
pub const SYNTAX_ERROR: &[u8] = b"SYNTAX_ERROR";
/// Stands for a source route that cannot be read.
pub const INVALID_ROUTE: &[u8] = b"INVALID_ROUTE";

/// Addresses taken from one field. A list of 100,000 is beyond any real mail and would be a megabyte of ENVELOPE.
pub const MAX_ADDRESSES: usize = 10_000;

/// One entry, with the four fields of an ENVELOPE address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name, or the comment that stands for it.
    pub name: Option<Vec<u8>>,
    /// Source route (RFC 5322 section 4.4).
    pub route: Option<Vec<u8>>,
    /// Local part; the group's name where a group begins; `None` where it ends.
    pub mailbox: Option<Vec<u8>>,
    /// Domain; `None` where a group begins or ends.
    pub host: Option<Vec<u8>>,
}

/// Read a field's value.
pub fn parse(value: &[u8]) -> Vec<Mailbox> {
    let mut reader = Reader { lexer: Lexer::new(value), list: Vec::new() };
    reader.lexer.cfws();
    while !reader.lexer.is_at_end() && reader.list.len() < MAX_ADDRESSES {
        reader.address();
        if !reader.lexer.eat(b',') {
            break;
        }
        reader.lexer.cfws();
    }
    reader.list
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    list: Vec<Mailbox>,
}

impl Reader<'_> {
    fn address(&mut self) {
        let start = self.lexer.mark();
        let name = self.phrase();
        if self.lexer.eat(b':') {
            return self.group(name);
        }
        self.lexer.back_to(start);
        self.mailbox();
    }

    /// After `name:`, to the semicolon and what white space follows.
    fn group(&mut self, name: Vec<u8>) {
        self.list.push(Mailbox { mailbox: Some(name), ..Mailbox::default() });
        self.lexer.cfws();
        while !matches!(self.lexer.peek(), None | Some(b';')) && self.list.len() < MAX_ADDRESSES {
            self.mailbox();
            if !self.lexer.eat(b',') {
                break;
            }
            self.lexer.cfws();
        }
        if self.lexer.eat(b';') {
            self.lexer.cfws();
        }
        self.list.push(Mailbox::default());
    }

    fn mailbox(&mut self) {
        let start = self.lexer.mark();
        let name = self.phrase();
        let mut found = if self.lexer.eat(b'<') {
            let mut found = self.angle();
            found.name = (!name.is_empty()).then_some(name);
            found
        } else {
            self.lexer.back_to(start);
            self.bare()
        };
        found.mailbox.get_or_insert_with(|| MISSING_MAILBOX.to_vec());
        if found.host.as_ref().is_none_or(Vec::is_empty) {
            found.host = Some(MISSING_DOMAIN.to_vec());
        }
        self.list.push(found);
    }

    /// `local@domain (Name)`, or what people write instead.
    fn bare(&mut self) -> Mailbox {
        let mut found = Mailbox::default();
        self.lexer.take_comment();
        let is_quoted = self.lexer.peek() == Some(b'"');
        let local = self.local_part();
        let has_host = self.lexer.eat(b'@') && {
            found.host = self.domain();
            found.host.is_some()
        };
        found.name = self.lexer.take_comment().filter(|comment| !comment.is_empty());
        if let (false, None, Some(first)) = (has_host, &found.name, &local) {
            // One word is a mailbox that lacks its domain; several, or a quoted one, are a name that lacks its address.
            let more = self.phrase();
            if !more.is_empty() {
                found.name = Some([&first[..], b" ", &more].concat());
                return found;
            }
            if is_quoted {
                found.name = local;
                return found;
            }
        }
        found.mailbox = local;
        found
    }

    /// After `<`, to `>` and what white space follows.
    fn angle(&mut self) -> Mailbox {
        let mut found = Mailbox::default();
        self.lexer.cfws();
        if self.lexer.peek() == Some(b'@') {
            found.route = Some(self.route().unwrap_or(INVALID_ROUTE.to_vec()));
            self.lexer.cfws();
        }
        let mut whole = true;
        if self.lexer.peek() != Some(b'>') {
            found.mailbox = self.local_part();
            whole = found.mailbox.is_some();
            if whole && self.lexer.eat(b'@') {
                found.host = self.domain();
                whole = found.host.is_some();
            }
        }
        if whole && self.lexer.eat(b'>') {
            self.lexer.cfws();
        } else {
            found.host = Some(SYNTAX_ERROR.to_vec());
        }
        found
    }

    /// `@a,@b:`; `None` if there is no colon.
    fn route(&mut self) -> Option<Vec<u8>> {
        let mut route = Vec::new();
        while self.lexer.eat(b'@') {
            if !route.is_empty() {
                route.push(b',');
            }
            route.push(b'@');
            route.extend(self.domain()?);
            while self.lexer.eat(b',') {
                self.lexer.cfws();
            }
        }
        self.lexer.eat(b':').then_some(route)
    }

    /// A quoted string, or atoms with dots in any place (real mail has `a..b@` and `.a@`), but not dots alone.
    fn local_part(&mut self) -> Option<Vec<u8>> {
        if self.lexer.peek() == Some(b'"') {
            return self.lexer.quoted_string();
        }
        let mut local = Vec::new();
        loop {
            let run = self.lexer.run(|b| is_atext(b) || b == b'.');
            local.extend_from_slice(run);
            self.lexer.cfws();
            let goes_on = self.lexer.peek() == Some(b'.');
            if run.is_empty() || !goes_on {
                return local.iter().any(|b| *b != b'.').then_some(local);
            }
        }
    }

    /// After `@`: dot-separated atoms, or a literal in brackets. `None` if it cannot be read.
    fn domain(&mut self) -> Option<Vec<u8>> {
        self.lexer.cfws();
        if self.lexer.peek() == Some(b'[') {
            return self.domain_literal();
        }
        let mut domain = Vec::new();
        loop {
            let atom = self.lexer.run(is_atext);
            if atom.is_empty() {
                return None;
            }
            domain.extend_from_slice(atom);
            self.lexer.cfws();
            if !self.lexer.eat(b'.') {
                return Some(domain);
            }
            domain.push(b'.');
            self.lexer.cfws();
        }
    }

    fn domain_literal(&mut self) -> Option<Vec<u8>> {
        let mut literal = self.lexer.run(|b| !matches!(b, b']' | b'\r' | b'\n')).to_vec();
        if !self.lexer.eat(b']') {
            return None;
        }
        literal.push(b']');
        self.lexer.cfws();
        Some(literal)
    }

    /// Words joined by one space; dots count as letters (`J. R. Foo`). Empty if there is none.
    fn phrase(&mut self) -> Vec<u8> {
        let mut phrase = Vec::new();
        loop {
            let word = match self.lexer.peek() {
                Some(b'"') => match self.lexer.quoted_string() {
                    Some(word) => word,
                    None => return phrase,
                },
                Some(byte) if is_atext(byte) || byte == b'.' && !phrase.is_empty() => {
                    let word = self.lexer.run(|b| is_atext(b) || b == b'.').to_vec();
                    self.lexer.cfws();
                    word
                }
                _ => return phrase,
            };
            if !phrase.is_empty() && !word.is_empty() {
                phrase.push(b' ');
            }
            phrase.extend(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `name|route|mailbox|host` with `-` for what is not there, entries joined by `;`.
    fn show(value: &str) -> String {
        let part = |p: &Option<Vec<u8>>| p.as_ref().map_or("-".into(), |p| String::from_utf8_lossy(p).into_owned());
        let entry = |m: &Mailbox| [&m.name, &m.route, &m.mailbox, &m.host].map(part).join("|");
        parse(value.as_bytes()).iter().map(entry).collect::<Vec<_>>().join(";")
    }

    /// What Dovecot 2.3.19 gives for the same fields.
    #[test]
    fn as_dovecot_has_them() {
        let table = [
            ("a@b", "-|-|a|b"),
            ("A B <a@b>", "A B|-|a|b"),
            ("\"A, B\" <a@b>", "A, B|-|a|b"),
            ("a@b (Comment)", "Comment|-|a|b"),
            ("(c) a@b (d) (e)", "e|-|a|b"),
            ("a@b (c (nested) d)", "c (nested) d|-|a|b"),
            ("a", "-|-|a|MISSING_DOMAIN"),
            ("<a>", "-|-|a|MISSING_DOMAIN"),
            ("A <a>", "A|-|a|MISSING_DOMAIN"),
            ("undisclosed-recipients:;", "-|-|undisclosed-recipients|-;-|-|-|-"),
            ("G: a@b, C <c@d>; , x@y", "-|-|G|-;-|-|a|b;C|-|c|d;-|-|-|-;-|-|x|y"),
            ("G:", "-|-|G|-;-|-|-|-"),
            ("G: a@b", "-|-|G|-;-|-|a|b;-|-|-|-"),
            ("G: H: a@b;;", "-|-|G|-;-|-|H|MISSING_DOMAIN;-|-|-|-"),
            ("a@b,, c@d", "-|-|a|b;-|-|MISSING_MAILBOX|MISSING_DOMAIN;-|-|c|d"),
            (",a@b", "-|-|MISSING_MAILBOX|MISSING_DOMAIN;-|-|a|b"),
            ("a@b,", "-|-|a|b"),
            ("<@r1,@r2:a@b>", "-|@r1,@r2|a|b"),
            ("X <@r1:a@b>", "X|@r1|a|b"),
            ("\"a b\"", "a b|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("a b c", "a b c|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("a b <c", "a b|-|c|SYNTAX_ERROR"),
            ("a b <c@d", "a b|-|c|SYNTAX_ERROR"),
            ("<>", "-|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("X <>", "X|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("a@", "-|-|a|MISSING_DOMAIN"),
            ("@b", "-|-|MISSING_MAILBOX|b"),
            ("<@b>", "-|INVALID_ROUTE|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("<a@>", "-|-|a|SYNTAX_ERROR"),
            ("a..b.@c", "-|-|a..b.|c"),
            ("a @ b . c", "-|-|a|b.c"),
            ("\"q q\"@b", "-|-|q q|b"),
            ("\"q\\\"q\" <a@b>", "q\"q|-|a|b"),
            ("a@[1.2.3.4]", "-|-|a|[1.2.3.4]"),
            ("=?utf-8?q?x_y?= <a@b>", "=?utf-8?q?x_y?=|-|a|b"),
            ("J. R. Foo <a@b>", "J. R. Foo|-|a|b"),
            ("a@b c@d", "-|-|a|b"),
            ("<a@b> junk, x@y", "-|-|a|b"),
            ("A\n B\n <a@b>", "A B|-|a|b"),
            ("A <a@b>, \"unclosed <c@d>", "A|-|a|b;-|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("(unclosed a@b", ""),
            ("", ""),
            (".", "-|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            (".a@b", "-|-|.a|b"),
            ("a@b@c", "-|-|a|b"),
            ("<a@b@c>", "-|-|a|SYNTAX_ERROR"),
            ("<<a@b>>", "-|-|MISSING_MAILBOX|SYNTAX_ERROR"),
            ("\"a\"b <c@d>", "a b|-|c|d"),
            ("a <b@c> (d)", "a|-|b|c"),
            ("\"\" <a@b>", "-|-|a|b"),
            ("a b@c", "a b|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("A, B <a@b>", "-|-|A|MISSING_DOMAIN;B|-|a|b"),
            ("X (c) Y <a@b>", "X Y|-|a|b"),
            ("<a.b@c.d.>", "-|-|a.b|SYNTAX_ERROR"),
            ("a.\"b\".c@d", "a. b .c|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("a@b (x) , c@d (y \\) z)", "x|-|a|b;y ) z|-|c|d"),
            ("a(b)c@d", "b|-|a|MISSING_DOMAIN"),
            ("[x] <a@b>", "-|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("x:y <a@b>", "-|-|x|-;y|-|a|b;-|-|-|-"),
        ];
        for (value, want) in table {
            assert_eq!(show(value), want, "{value:?}");
        }
    }

    #[test]
    fn long_lists_end() {
        let list = "a@b,".repeat(3 * MAX_ADDRESSES);
        assert_eq!(parse(list.as_bytes()).len(), MAX_ADDRESSES);
        assert!(parse(format!("g:{list}").as_bytes()).len() <= MAX_ADDRESSES + 1);
    }

    proptest! {
        #[test]
        fn never_panics(value in any::<Vec<u8>>(), text in "[a@<>,:;.()\"\\\\ \\[\\]]{0,40}") {
            parse(&value);
            parse(text.as_bytes());
        }
    }
}
