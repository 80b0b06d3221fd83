//! What a client has switched on for the rest of its connection: by ENABLE (RFC 5161) or by a command that implies it.
//!
//! Nothing is ever switched off again but by UNAUTHENTICATE (RFC 8437), which starts over with the default. Answers nothing
//! and decides nothing: commands and the view ask it how to speak.

/// The switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enabled {
    /// RFC 7162 3.1: the client was told mod-sequences, and is told them with every flag change from now on.
    pub condstore: bool,
    /// RFC 7162 3.2: expunges are told as VANISHED. Implies `condstore`.
    pub qresync: bool,
    /// RFC 9051: the client speaks IMAP4rev2.
    pub rev2: bool,
    /// RFC 6855: UTF-8 in quoted strings.
    pub utf8: bool,
    /// RFC 9586: no message numbers, in neither direction.
    pub uidonly: bool,
    /// RFC 5464 4.4: the client is told which annotations others have changed.
    pub metadata: bool,
}

impl Enabled {
    /// Are strings in quotes and mailbox names UTF-8 (RFC 6855 section 3, RFC 9051 section 5.1)?
    pub fn speaks_utf8(&self) -> bool {
        self.utf8 || self.rev2
    }
}
