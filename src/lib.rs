//! Mailcote: one daemon that takes mail in over SMTP and LMTP, keeps it in per-user Maildirs, and serves
//! the same directories over IMAP and POP3.
//!
//! # The tour
//!
//! **Values, no I/O.** [`mail`] holds what a message is made of: addresses, flags, headers, dates, the part tree.
//! [`clock`] says what time it is. [`notice`] is a wake-up that carries no data.
//!
//! **The disk.** [`fsio`] is the only code that makes a file durable. [`store`] is a user's mail: folders, UIDs,
//! flags, keywords, the shared mailbox objects, and the watch that tells them what other programs did.
//!
//! **Who.** [`account`] knows domains, users, aliases and passwords: it resolves an address and verifies a login.
//!
//! **Conversations.** [`wire`] is the bytes of a conversation without sockets: buffers, lines, SASL, and the
//! [`wire::Session`] trait. [`smtp`], [`pop3`] and [`imap`] are sessions: structs that are fed bytes and say what they want.
//!
//! **The edge.** [`net`] is the only module that knows sockets, TLS, timers and the async runtime. It moves bytes
//! for sessions and knows nothing about mail. [`config`] reads `mailcote.toml`. [`daemon`] puts everything
//! together: start-up order, privileges, signals, shutdown. [`cli`] is one file a sub-command.
//!
//! # Who may import whom (`tests/layers.rs` checks it)
//!
//! | module | may import |
//! |---|---|
//! | `mail`, `clock`, `notice`, `fsio` | nothing of ours |
//! | `wire` | `mail`, `notice` |
//! | `store` | `mail`, `clock`, `notice`, `fsio` |
//! | `account` | `mail`, `clock`, `notice`, `fsio`, `wire`, `store` |
//! | `smtp`, `pop3`, `imap` | everything above, never each other, never `net` |
//! | `net` | `wire`, `notice`, `clock` |
//! | `config` | the `Settings` types of the modules above |
//! | `daemon`, `cli` | everything |
//!
//! # Two walks
//!
//! *A message.* `net` accepts a connection; an `smtp` session reads MAIL and RCPT, and `account` resolves each
//! recipient; DATA is written into the recipient's `tmp/` by `store`, synced, renamed into `new/`, the directory
//! is synced, and only then the session answers 250. `store` raises the notices of everybody who looks at that
//! folder; an `imap` session in IDLE wakes, refreshes its view and says `* 5 EXISTS`. A message that procmail put there joins at
//! the same point through inotify.
//!
//! *A deletion.* A client sets `\Deleted` and expunges, or says DELE and QUIT; `store` removes the file,
//! syncs the directory, and only then the session answers OK. Every other session's view learns of it at the
//! next moment its protocol allows.

pub mod account;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod fsio;
pub mod imap;
pub mod mail;
pub mod net;
pub mod notice;
pub mod pop3;
pub mod smtp;
pub mod store;
pub mod wire;
