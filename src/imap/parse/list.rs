//! The arguments of LIST (RFC 3501 6.3.8, RFC 5258 section 6, RFC 5819, RFC 6154 section 6).

use std::borrow::Cow;

use super::metadata::EntryName;
use super::status::StatusItem;
use super::{Cursor, Result};
use crate::imap::pattern::MAX_PATTERN;

/// Patterns in one command; a client asks for a handful.
pub const MAX_PATTERNS: usize = 32;
/// Bytes of them, each with the reference before it: every name is held against every pattern, and the time for that grows with both.
pub const MAX_PATTERN_BYTES: usize = 2 * MAX_PATTERN;

/// What is to be listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListArguments<'a> {
    /// Selection options.
    pub select: Select,
    /// The reference, which goes before each pattern.
    pub reference: Cow<'a, [u8]>,
    /// The patterns; at least one.
    pub patterns: Vec<Cow<'a, [u8]>>,
    /// Return options.
    pub returns: Returns,
    /// It is the extended form, whose answers have extended attributes.
    pub extended: bool,
}

/// Selection options (RFC 5258 3.1). REMOTE is known and adds nothing: there are no remote mailboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Select {
    /// Only subscribed names.
    pub subscribed: bool,
    /// Parents of names that are selected, too.
    pub recursive: bool,
    /// Only mailboxes with a special use (RFC 6154).
    pub special_use: bool,
}

/// Return options (RFC 5258 3.2). CHILDREN and SPECIAL-USE are known; what they ask for is always sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Returns {
    /// `\Subscribed`.
    pub subscribed: bool,
    /// A STATUS response for each mailbox (RFC 5819); empty: none.
    pub status: Vec<StatusItem>,
    /// A MYRIGHTS response for each mailbox (RFC 8440).
    pub my_rights: bool,
    /// A METADATA response for each mailbox, with these entries (RFC 9590); empty: none.
    pub metadata: Vec<EntryName>,
}

impl<'a> Cursor<'a> {
    /// Everything behind `LIST`.
    pub fn list_arguments(&mut self) -> Result<ListArguments<'a>> {
        let mut list = ListArguments::default();
        self.space()?;
        if self.peek() == Some(b'(') {
            list.extended = true;
            list.select = self.select_options()?;
            self.space()?;
        }
        list.reference = self.astring()?;
        self.space()?;
        if self.peek() == Some(b'(') {
            list.extended = true;
            list.patterns = self.list1(Self::list_mailbox)?;
            if list.patterns.len() > MAX_PATTERNS {
                return self.bad("too many patterns");
            }
        } else {
            list.patterns = vec![self.list_mailbox()?];
        }
        let bytes = list.patterns.iter().map(|pattern| pattern.len() + list.reference.len()).sum::<usize>();
        if bytes > MAX_PATTERN_BYTES {
            return self.bad("patterns are too long");
        }
        if self.eat_text(" RETURN ") {
            list.extended = true;
            list.returns = self.return_options()?;
        }
        // RFC 5258 3.1: the selection option implies the return option.
        list.returns.subscribed |= list.select.subscribed;
        self.end()?;
        Ok(list)
    }

    fn select_options(&mut self) -> Result<Select> {
        let mut select = Select::default();
        self.list(|cursor| {
            match cursor.word()?.to_ascii_uppercase().as_str() {
                "SUBSCRIBED" => select.subscribed = true,
                "RECURSIVEMATCH" => select.recursive = true,
                "SPECIAL-USE" => select.special_use = true,
                "REMOTE" => {}
                _ => return cursor.bad("no such selection option"),
            }
            Ok(())
        })?;
        // RFC 5258 section 6: list-select-mod-opt needs a list-select-base-opt.
        if select.recursive && !select.subscribed {
            return self.bad("RECURSIVEMATCH needs SUBSCRIBED");
        }
        Ok(select)
    }

    fn return_options(&mut self) -> Result<Returns> {
        let mut returns = Returns::default();
        self.list(|cursor| {
            match cursor.word()?.to_ascii_uppercase().as_str() {
                "SUBSCRIBED" => returns.subscribed = true,
                "CHILDREN" | "SPECIAL-USE" => {}
                "STATUS" => {
                    cursor.space()?;
                    returns.status = cursor.status_items()?;
                }
                "MYRIGHTS" => returns.my_rights = true,
                "METADATA" => {
                    cursor.space()?;
                    returns.metadata = cursor.entries()?;
                }
                _ => return cursor.bad("no such return option"),
            }
            Ok(())
        })?;
        Ok(returns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let good = [
            (" \"\" *", false, 1),
            (" \"\" \"\"", false, 1),
            (" ref %/x", false, 1),
            (" () \"\" *", true, 1),
            (" (subscribed) \"\" (a b %)", true, 3),
            (" (SPECIAL-USE REMOTE) \"\" *", true, 1),
            (" \"\" * return (children status (messages) special-use)", true, 1),
            (" \"\" * RETURN (METADATA (/private/comment \"/shared/comment\"))", true, 1),
            (" (SUBSCRIBED RECURSIVEMATCH SUBSCRIBED) \"\" * RETURN ()", true, 1),
        ];
        for (text, extended, patterns) in good {
            let list = Cursor::new(text.as_bytes()).list_arguments();
            assert_eq!(list.map(|list| (list.extended, list.patterns.len())), Ok((extended, patterns)), "{text}");
        }
        let bad = [
            "",
            " \"\"",
            " \"\" ()",
            " (RECURSIVEMATCH) \"\" *",
            " (RECURSIVEMATCH REMOTE) \"\" *",
            " (FOO) \"\" *",
            " \"\" * RETURN (FOO)",
            " \"\" * RETURN (STATUS)",
            " \"\" * RETURN (METADATA)",
            " \"\" * RETURN (METADATA (comment))",
            " \"\" * RETURN",
            " \"\" * x",
        ];
        for text in bad {
            assert!(Cursor::new(text.as_bytes()).list_arguments().is_err(), "{text}");
        }
    }
}
