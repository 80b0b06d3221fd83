//! The calls that the rest of the program makes, before they are written. This file is replaced piece by piece.
#![allow(missing_docs, unused_variables, clippy::todo)]

use std::fs::File;
use std::sync::Arc;

use super::{Draft, Mark, Name, Result, Store};
use crate::mail::Flags;
use crate::notice::Raiser;

/// What STATUS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    pub messages: u32,
    pub recent: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub uid_next: u32,
    pub uid_validity: u32,
    pub highest_modseq: u64,
    /// Sum of CRLF sizes.
    pub size: u64,
}

impl Store {
    /// Counters without keeping the folder open.
    pub fn status(&self, name: &Name) -> Result<Status> {
        todo!()
    }
    /// Open a folder (or share it if somebody has it open), with a watch on it, up to date.
    pub fn mailbox(&self, name: &Name) -> Result<Arc<Mailbox>> {
        todo!()
    }
    /// Begin a message in the account's `tmp/`.
    pub fn draft(&self) -> Result<Draft> {
        todo!()
    }
    /// Begin a copy of `source` for another recipient, perhaps in another account: `head` is its own (whole lines, CRLF), what
    /// follows `mark` in `source` is the same, copied by the kernel.
    pub fn draft_from(&self, head: &[u8], source: &mut Draft, mark: Mark) -> Result<Draft> {
        todo!()
    }
    /// A draft becomes mail in `new/` of a folder: synced, renamed, directory synced, watchers told. No UID is given here.
    pub fn deliver(&self, draft: Draft, folder: &Name) -> Result<()> {
        todo!()
    }
}

/// A message as the folder knows it.
#[derive(Debug, Clone)]
pub struct Message {
    pub uid: u32,
    pub flags: Flags,
    /// Bit n is set if the message has keyword n of [`Mailbox::keywords`].
    pub keywords: u128,
    pub modseq: u64,
}

/// How STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Add,
    Remove,
    Replace,
}

/// One open folder, shared by all sessions on it. All methods take `&self`; the lock is inside and never held while
/// a caller's code runs, except in [`Mailbox::read`].
pub struct Mailbox;

impl Mailbox {
    pub fn uid_validity(&self) -> u32 {
        todo!()
    }
    pub fn uid_next(&self) -> u32 {
        todo!()
    }
    pub fn highest_modseq(&self) -> u64 {
        todo!()
    }
    /// Can nothing be changed here (permissions, read-only disk)?
    pub fn is_read_only(&self) -> bool {
        todo!()
    }
    /// Grows with every change (message arrived, expunged, flags); equal means that nothing happened.
    pub fn generation(&self) -> u64 {
        todo!()
    }
    /// Raise `raiser` on every change from now on, until its waiter is gone.
    pub fn listen(&self, raiser: Raiser) {
        todo!()
    }
    /// Take in what happened on disk (events told us, or times of directories differ): new messages get UIDs, durably;
    /// vanished ones are expunged; changed names change flags.
    pub fn refresh(&self) -> Result<()> {
        todo!()
    }
    /// Look at all messages, sorted by UID, under the folder's read lock. `f` must be short and must not call back.
    pub fn read<R>(&self, f: impl FnOnce(&[Message]) -> R) -> R {
        todo!()
    }
    /// One message.
    pub fn message(&self, uid: u32) -> Option<Message> {
        todo!()
    }
    /// UIDs that no session was told as \Recent before; the caller now has them as recent. With `peek`, they stay.
    pub fn claim_recent(&self, peek: bool) -> Vec<u32> {
        todo!()
    }
    /// Names of the folder's keywords, in table order.
    pub fn keywords(&self) -> Vec<String> {
        todo!()
    }
    /// Open a message's file for reading. [`super::Error::Gone`] if it was expunged.
    pub fn open(&self, uid: u32) -> Result<File> {
        todo!()
    }
    /// RFC822.SIZE: size with CRLF line ends. From the name or the uidlist; else counted once and remembered.
    pub fn wire_size(&self, uid: u32) -> Result<u64> {
        todo!()
    }
    /// INTERNALDATE, seconds since 1970 (mtime of the file).
    pub fn internal_date(&self, uid: u32) -> Result<i64> {
        todo!()
    }
    /// POP3 UIDL stored for the message (`P` of the uidlist), if any.
    pub fn stored_uidl(&self, uid: u32) -> Option<String> {
        todo!()
    }
    /// Change flags of `uids` (sorted). Names in `keywords` get a place in the table if they have none. Messages that are gone
    /// are passed over. With `unchanged_since`, messages with a higher modseq are left alone and returned.
    pub fn store_flags(
        &self,
        uids: &[u32],
        change: Change,
        flags: Flags,
        keywords: &[String],
        unchanged_since: Option<u64>,
    ) -> Result<Vec<u32>> {
        todo!()
    }
    /// Remove those of `uids` (all messages if `None`) that have \Deleted; returns which.
    pub fn expunge(&self, uids: Option<&[u32]>) -> Result<Vec<u32>> {
        todo!()
    }
    /// Remove `uids` whatever their flags (POP3 QUIT).
    pub fn remove(&self, uids: &[u32]) -> Result<Vec<u32>> {
        todo!()
    }
    /// Add drafts, in order, all or none; returns their UIDs. `date` is seconds since 1970.
    pub fn append(&self, drafts: Vec<(Draft, Flags, Vec<String>, Option<i64>)>) -> Result<Vec<u32>> {
        todo!()
    }
    /// Copy to another folder of the same or another account, flags, keywords and dates kept; returns (source, new) UIDs.
    pub fn copy(&self, uids: &[u32], to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        todo!()
    }
    /// Move, by rename where one file system allows it.
    pub fn move_to(&self, uids: &[u32], to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        todo!()
    }
    /// POP3's exclusive use: `None` if another POP3 session has it. Released on drop.
    pub fn lock_pop3(self: &Arc<Self>) -> Option<Pop3Lock> {
        todo!()
    }
}

/// See [`Mailbox::lock_pop3`].
pub struct Pop3Lock;
