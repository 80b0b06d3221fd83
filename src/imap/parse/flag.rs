//! Flags in commands (RFC 3501 section 9 flag, flag-list).

use super::{Cursor, Result};
use crate::mail::Flags;
use crate::store::acl::Rights;

/// Bytes of a keyword: it must fit in a line of `dovecot-keywords` and in every FLAGS reply.
pub const MAX_KEYWORD: usize = 128;
/// Keywords in one command; a folder's table holds 128.
pub const MAX_KEYWORDS: usize = 128;

/// The flags that a client named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagSet {
    /// System flags.
    pub flags: Flags,
    /// Keywords as written, no name twice (in any case).
    pub keywords: Vec<String>,
}

impl FlagSet {
    /// Leave out what these rights do not allow (RFC 4314 section 4).
    pub fn restrict(&mut self, rights: Rights) {
        self.flags = self.flags.both(rights.flags());
        if !rights.keywords() {
            self.keywords.clear();
        }
    }

    fn add_keyword(&mut self, name: &str) {
        if !self.keywords.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            self.keywords.push(name.into());
        }
    }
}

impl Cursor<'_> {
    /// RFC 3501 flag-list in parentheses, or, as STORE allows, flags without them.
    pub fn flags(&mut self) -> Result<FlagSet> {
        let mut set = FlagSet::default();
        if self.peek() == Some(b'(') {
            self.list(|cursor| cursor.flag(&mut set))?;
            return Ok(set);
        }
        loop {
            self.flag(&mut set)?;
            if self.at_end() {
                return Ok(set);
            }
            self.space()?;
        }
    }

    fn flag(&mut self, set: &mut FlagSet) -> Result<()> {
        let before = self.clone();
        if !self.eat(b'\\') {
            let keyword = self.atom()?;
            if keyword.len() > MAX_KEYWORD {
                return before.bad("keyword is longer than 128 bytes");
            }
            set.add_keyword(keyword);
            if set.keywords.len() > MAX_KEYWORDS {
                return before.bad("too many keywords");
            }
            return Ok(());
        }
        let name = self.atom()?;
        match Flags::TABLE.iter().find(|row| row.2[1..].eq_ignore_ascii_case(name)) {
            Some(row) => set.flags = set.flags.with(row.1),
            // RFC 3501 2.3.2: \Recent cannot be altered by the client; clients that send back what
            // they fetched are not punished for it.
            None if name.eq_ignore_ascii_case("Recent") => {}
            None => return before.bad("no such system flag"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<FlagSet> {
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.flags().and_then(|set| cursor.end().map(|()| set)).ok()
    }

    #[test]
    fn flags() {
        let seen = Flags::SEEN.with(Flags::DELETED);
        let set = |flags, keywords: &[&str]| {
            Some(FlagSet { flags, keywords: keywords.iter().map(|k| (*k).to_owned()).collect() })
        };
        assert_eq!(parse("()"), set(Flags::NONE, &[]));
        assert_eq!(parse("(\\seen \\Deleted)"), set(seen, &[]));
        assert_eq!(parse("\\Seen \\Deleted"), set(seen, &[]));
        assert_eq!(parse("($Label1 $LABEL1 Work)"), set(Flags::NONE, &["$Label1", "Work"]));
        assert_eq!(parse("(\\Recent)"), set(Flags::NONE, &[]));
        for bad in ["(\\Foo)", "(\\Seen", "\\", "", "(a  b)", "(\\Seen) x", &format!("({})", "k".repeat(129))] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
