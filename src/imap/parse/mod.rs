//! Level two of reading a command: grammar.
//!
//! The frame hands over one whole command as bytes, its string literals in place (`{5}` CRLF and five bytes). A
//! [`Cursor`] walks over them, and the files here turn arguments into values, one file a group of commands.
//! Nothing here does I/O or knows a session. Anything that is not the grammar is a [`Bad`], which becomes the text
//! of a tagged BAD: it names what was expected and where, and never repeats the peer's bytes.
//!
//! Bounds: the frame limits the length of a command, and every value is at most as long as its text; nesting is
//! limited by [`cursor::MAX_DEPTH`].

pub mod condstore;
pub mod cursor;
pub mod date;
pub mod fetch;
pub mod flag;
pub mod list;
pub mod mailbox;
pub mod metadata;
pub mod notify;
pub mod returns;
pub mod rights;
pub mod search;
pub mod search_key;
pub mod section;
pub mod set;
pub mod sort;
pub mod status;

pub use cursor::Cursor;
pub use flag::FlagSet;
pub use mailbox::Mailbox;
pub use set::{MessageSet, SequenceSet, SetRange};

/// Why a command is not the grammar: the text of the BAD reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (byte {at} of the command)")]
pub struct Bad {
    /// What is wrong or was expected, in plain words: `expected a space`.
    pub what: &'static str,
    /// Where, counted from 1.
    pub at: usize,
}

/// Result of a grammar function.
pub type Result<T> = std::result::Result<T, Bad>;
