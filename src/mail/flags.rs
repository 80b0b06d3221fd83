//! The system flags of a message as one byte.
//!
//! Owns the five flags that IMAP and a Maildir file name (`:2,DFRST`) both know. Keywords are not here: they are
//! numbers in a folder's table, which `store` keeps. `\Recent` is not here either: it belongs to a session. The letter
//! P (passed) means nothing in IMAP; `store` preserves it with every other letter it does not know, as Dovecot does.

/// A set of system flags.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`, letter S.
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`, letter R.
    pub const ANSWERED: Flags = Flags(2);
    /// `\Flagged`, letter F.
    pub const FLAGGED: Flags = Flags(4);
    /// `\Deleted`, letter T.
    pub const DELETED: Flags = Flags(8);
    /// `\Draft`, letter D.
    pub const DRAFT: Flags = Flags(16);

    /// Letter, flag and IMAP name, in the order a file name has them (ASCII).
    pub const TABLE: [(u8, Flags, &'static str); 5] = [
        (b'D', Flags::DRAFT, "\\Draft"),
        (b'F', Flags::FLAGGED, "\\Flagged"),
        (b'R', Flags::ANSWERED, "\\Answered"),
        (b'S', Flags::SEEN, "\\Seen"),
        (b'T', Flags::DELETED, "\\Deleted"),
    ];

    /// The flag of a Maildir letter.
    pub fn from_letter(letter: u8) -> Option<Flags> {
        Self::TABLE.iter().find(|row| row.0 == letter).map(|row| row.1)
    }

    /// The flag of an IMAP name, in any case.
    pub fn from_name(name: &str) -> Option<Flags> {
        Self::TABLE.iter().find(|row| row.2.eq_ignore_ascii_case(name)).map(|row| row.1)
    }

    /// Are all of `other` in this set?
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// No flag at all?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set and `other`.
    #[must_use]
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn both(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// IMAP names of the flags in the set, in table order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::TABLE.iter().filter(move |row| self.has(row.1)).map(|row| row.2)
    }

    /// Maildir letters of the flags in the set, sorted.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        Self::TABLE.iter().filter(move |row| self.has(row.1)).map(|row| row.0)
    }

    /// The byte, for the journal.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From the journal's byte; unknown bits are dropped.
    pub fn from_bits(bits: u8) -> Flags {
        Flags(bits & 0x1f)
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_sorted_and_come_back() {
        let all = Flags::from_bits(0xff);
        let letters: Vec<u8> = all.letters().collect();
        assert_eq!(letters, b"DFRST");
        let back = letters.iter().fold(Flags::NONE, |set, l| set.with(Flags::from_letter(*l).unwrap()));
        assert_eq!(back, all);
    }

    #[test]
    fn names_in_any_case() {
        assert_eq!(Flags::from_name("\\sEEN"), Some(Flags::SEEN));
        assert_eq!(Flags::from_name("\\Recent"), None);
    }
}
