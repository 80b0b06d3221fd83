//! A user's mail on disk.
//!
//! [`Stores`] is the process's table of open accounts; [`Store`] is one account's tree of folders;
//! [`Mailbox`] is one open folder, shared by every session on it; [`Draft`] is a message being written in `tmp/`.
//! The directories are the truth (`man/mailcote-store.5` has every file): names in `new/` and `cur/` are the
//! messages and their flags, `dovecot-uidlist` their UIDs, `dovecot-keywords` the names of keyword letters,
//! `mailcote.journal` what no shared format can hold.
//!
//! Every public call works under the owner's identity ([`Owner::assume`]), blocks on the disk, and returns only when
//! what it did is durable. It never talks to a client and is never called with a client's lock held.

pub mod acl;
pub mod cache;
pub mod courier;
mod dirsync;
mod draft;
mod error;
pub mod filename;
mod home;
pub mod journal;
mod kept;
pub mod keywords;
mod leavings;
pub mod lock;
mod lookout;
mod mailbox;
pub mod metadata;
mod mounts;
mod name;
mod open;
mod prehashed;
mod process;
pub mod quota;
pub mod record;
mod room;
mod stores;
pub mod subscriptions;
pub mod tree;
pub mod uidlist;
pub mod uidvalidity;
mod watch;

pub use draft::{Draft, Mark};
/// Mode of every file that we make: nobody but the owner.
const FILE_MODE: u32 = 0o600;
/// Mode of every directory that we make.
const DIR_MODE: u32 = 0o700;

pub use error::{Error, Result};
pub use home::{Assumed, Home, Layout, Owner};
pub use lookout::{Done, Followed, FollowedTree, Lookout, News, Turn};
pub use mailbox::{Change, Copying, Mailbox, Message, NewMessage, Pop3Lock, Reader, Since, Status, Tour, Visited};
pub use mounts::Mounts;
pub use name::{Name, Role};
pub use stores::{Settings, Store, Stores};
pub use tree::{Charset, Folder};
