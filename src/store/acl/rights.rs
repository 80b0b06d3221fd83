//! What somebody may do with a folder: the eleven rights of RFC 4314 section 2.1.

use crate::mail::Flags;

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u16);

impl Rights {
    /// No right at all.
    pub const NONE: Rights = Rights(0);
    /// `l`: the folder is listed.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: SELECT, STATUS.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: \Seen.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: all flags but \Seen and \Deleted.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: APPEND, COPY into.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail to the folder's own address; nothing here asks for it.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: CREATE below.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: DELETE, and RENAME away.
    pub const DELETE: Rights = Rights(1 << 7);
    /// `t`: \Deleted.
    pub const DELETED: Rights = Rights(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: look at the ACL and change it.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// All of them.
    pub const ALL: Rights = Rights((1 << 11) - 1);
    /// What an owner always has, so that nobody can lock himself out for good.
    pub const OWNERS: Rights = Rights(Rights::LOOKUP.0 | Rights::ADMINISTER.0);

    /// To change every flag.
    pub const FLAGS: Rights = Rights::SEEN.with(Rights::WRITE).with(Rights::DELETED);
    /// Without one of these a folder is opened READ-ONLY (RFC 4314 section 5.2).
    pub const CHANGING: Rights = Rights::FLAGS.with(Rights::INSERT).with(Rights::EXPUNGE);

    /// Letter, right, and the name that Dovecot has for it.
    pub const TABLE: [(char, Rights, &'static str); 11] = [
        ('l', Rights::LOOKUP, "lookup"),
        ('r', Rights::READ, "read"),
        ('s', Rights::SEEN, "write-seen"),
        ('w', Rights::WRITE, "write"),
        ('i', Rights::INSERT, "insert"),
        ('p', Rights::POST, "post"),
        ('k', Rights::CREATE, "create"),
        ('x', Rights::DELETE, "delete"),
        ('t', Rights::DELETED, "write-deleted"),
        ('e', Rights::EXPUNGE, "expunge"),
        ('a', Rights::ADMINISTER, "admin"),
    ];

    /// The right of a letter.
    pub fn of_letter(letter: char) -> Option<Rights> {
        Self::TABLE.iter().find(|row| row.0 == letter).map(|row| row.1)
    }

    /// The right of a name in Dovecot's files.
    pub fn of_name(name: &str) -> Option<Rights> {
        Self::TABLE.iter().find(|row| row.2 == name).map(|row| row.1)
    }

    /// Are all of `wanted` in it?
    pub fn has(self, wanted: Rights) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Is any of `wanted` in it?
    pub fn has_any(self, wanted: Rights) -> bool {
        self.0 & wanted.0 != 0
    }

    /// Is it empty?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With these too.
    pub const fn with(self, more: Rights) -> Rights {
        Rights(self.0 | more.0)
    }

    /// Without these.
    pub fn without(self, less: Rights) -> Rights {
        Rights(self.0 & !less.0)
    }

    /// System flags that may be set and cleared (RFC 4314 section 4).
    pub fn flags(self) -> Flags {
        let rows = [
            (Rights::SEEN, Flags::SEEN),
            (Rights::DELETED, Flags::DELETED),
            (Rights::WRITE, Flags::ANSWERED.with(Flags::FLAGGED).with(Flags::DRAFT)),
        ];
        rows.iter().filter(|row| self.has(row.0)).fold(Flags::NONE, |all, row| all.with(row.1))
    }

    /// May keywords be set and cleared?
    pub fn keywords(self) -> bool {
        self.has(Rights::WRITE)
    }

    /// The letters.
    pub fn letters(self) -> impl Iterator<Item = char> {
        Self::TABLE.iter().filter(move |row| self.has(row.1)).map(|row| row.0)
    }
}
