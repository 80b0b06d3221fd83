//! IMAP4rev1 (RFC 3501) with the extensions that `cmd::capability` names.

pub mod parse;
