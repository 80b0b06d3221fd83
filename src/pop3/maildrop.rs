//! The messages of a session, numbered as they were at login (RFC 1939 5).
//!
//! Owns the numbering, the marks of DELE and which messages were fetched, the exclusive use of the mailbox and the
//! user's seat. New mail is not seen before the next login. A message that another program removes keeps its number;
//! asked for, it is gone. Changes nothing on disk by itself.

use std::sync::Arc;

use super::reply::{self, Text};
use crate::account::{Seat, User};
use crate::store::{Error, Mailbox, Name, Pop3Lock, Store, Stores};

/// Longest UIDL (RFC 1939 7).
const MAX_UIDL: usize = 70;

/// One message.
struct Entry {
    uid: u32,
    /// Octets on the wire, once known.
    size: Option<u64>,
    /// Marked by DELE.
    deleted: bool,
    /// Fetched whole.
    seen: bool,
    /// Somebody else removed it.
    gone: bool,
}

/// See the module.
pub struct Maildrop {
    /// INBOX.
    pub mailbox: Arc<Mailbox>,
    /// Who is logged in.
    pub user: Arc<User>,
    entries: Vec<Entry>,
    uid_validity: u32,
    _lock: Pop3Lock,
    /// While somebody has the account open, all who open it share its folders, and so the lock.
    _store: Arc<Store>,
    pub(super) seat: Seat,
}

/// Place of a message in the list; its number less one.
#[derive(Clone, Copy)]
pub struct Index(usize);

impl Maildrop {
    /// Open the INBOX of `user` for this session alone.
    pub fn open(stores: &Stores, user: Arc<User>, seat: Seat) -> Result<Maildrop, Text> {
        let open = || {
            let store = stores.open(&user.home)?;
            let mailbox = store.mailbox(&Name::inbox())?;
            let Some(lock) = mailbox.lock_pop3() else { return Ok(None) };
            mailbox.refresh()?;
            Ok(Some((store, mailbox, lock)))
        };
        let (store, mailbox, lock) = match open() {
            Ok(Some(opened)) => opened,
            Ok(None) => return Err(reply::IN_USE),
            Err(error) => {
                log(&user, &error);
                return Err(reply::trouble(&error));
            }
        };
        let new = |uid| Entry { uid, size: None, deleted: false, seen: false, gone: false };
        let entries = mailbox.read(|messages| messages.iter().map(|message| new(message.uid)).collect());
        let uid_validity = mailbox.uid_validity();
        Ok(Maildrop { mailbox, user, entries, uid_validity, _lock: lock, _store: store, seat })
    }

    /// How many messages there were at login.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The message at `at` of the list, if it is there and not marked; for listings.
    pub fn present(&self, at: usize) -> Option<Index> {
        self.entries.get(at).is_some_and(|entry| !entry.deleted && !entry.gone).then_some(Index(at))
    }

    /// The message of a number as the client writes it.
    pub fn index(&self, number: &[u8]) -> Result<Index, Text> {
        let at = parse_number(number).ok_or(reply::NEED_NUMBER)?.checked_sub(1).ok_or(reply::NO_SUCH_MESSAGE)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        match self.entries.get(at) {
            None => Err(reply::NO_SUCH_MESSAGE),
            Some(entry) if entry.deleted => Err(reply::DELETED),
            Some(entry) if entry.gone => Err(reply::GONE),
            Some(_) => Ok(Index(at)),
        }
    }

    /// Its UID.
    pub fn uid(&self, index: Index) -> u32 {
        self.entries[index.0].uid
    }

    /// Its octets on the wire. Of a file that cannot be read (another program put it there for nobody else), its bytes on disk: it keeps its
    /// number and counts in every listing, and RETR says what is wrong with it.
    pub fn size(&mut self, index: Index) -> Result<u64, Text> {
        let entry = &mut self.entries[index.0];
        if let Some(size) = entry.size {
            return Ok(size);
        }
        let uid = entry.uid;
        let size = match self.mailbox.wire_size(uid) {
            Err(error) if !matches!(error, Error::Gone) => {
                log(&self.user, &error);
                self.mailbox.disk_size(uid)
            }
            result => result,
        };
        let size = size.map_err(|error| self.trouble(index, &error))?;
        self.entries[index.0].size = Some(size);
        Ok(size)
    }

    /// Its UIDL: the one that is stored with it, else what Dovecot's default `%08Xu%08Xv` makes: UID and UIDVALIDITY,
    /// each as eight hexadecimal digits in lower case.
    pub fn uidl(&self, index: Index) -> String {
        let uid = self.uid(index);
        let stored = self.mailbox.stored_uidl(uid);
        // RFC 1939 7: one to 70 characters from 0x21 to 0x7E.
        let fits = |text: &String| (1..=MAX_UIDL).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        stored.filter(fits).unwrap_or_else(|| format!("{uid:08x}{:08x}", self.uid_validity))
    }

    /// What the client is told of an error with a message; one that is gone is remembered as gone.
    pub fn trouble(&mut self, index: Index, error: &Error) -> Text {
        if matches!(error, Error::Gone) {
            self.entries[index.0].gone = true;
        } else {
            log(&self.user, error);
        }
        reply::trouble(error)
    }

    /// It is being sent whole.
    pub fn fetched(&mut self, index: Index) {
        self.entries[index.0].seen = true;
    }

    /// DELE.
    pub fn mark(&mut self, index: Index) {
        self.entries[index.0].deleted = true;
    }

    /// RSET: no message is marked, and none counts as fetched (as Dovecot has it).
    pub fn unmark(&mut self) {
        for entry in &mut self.entries {
            entry.deleted = false;
            entry.seen = false;
        }
    }

    /// UIDs of messages marked by DELE.
    pub fn marked(&self) -> Vec<u32> {
        self.entries.iter().filter(|entry| entry.deleted).map(|entry| entry.uid).collect()
    }

    /// UIDs of messages that were fetched and stay.
    pub fn newly_seen(&self) -> Vec<u32> {
        self.entries.iter().filter(|entry| entry.seen && !entry.deleted && !entry.gone).map(|entry| entry.uid).collect()
    }
}

/// A number of at most nine digits: more messages than a mailbox can have are none.
pub fn parse_number(text: &[u8]) -> Option<u32> {
    let digits = text.len() <= 9 && text.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// Once, where the cause is known.
pub fn log(user: &User, error: &Error) {
    tracing::warn!(login = %user.login, %error, "mailbox trouble in a POP3 session");
}
