//! What a message is made of: values, no I/O.
//!
//! Addresses, flags, dates, headers, the part tree with byte ranges, folder-name encodings. Everything here
//! is a pure function of bytes, and every size that a stranger chooses has a limit named in the file that
//! parses it.

pub mod address;
pub mod address_list;
pub mod casemap;
pub mod content;
pub mod date;
pub mod envelope;
pub mod flags;
pub mod header;
pub mod lex;
pub mod message_id;
pub mod needle;
pub mod part;
pub mod plain;
pub mod preview;
pub mod render;
pub mod scan;
pub mod subject;
pub mod text;
pub mod transfer;
pub mod utf7;

pub use flags::Flags;
