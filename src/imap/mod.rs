//! imap: to be written.
