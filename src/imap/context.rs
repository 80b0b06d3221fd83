//! What a command may look at and change: who the client is and where the session stands.
//!
//! ```text
//!                     LOGIN, AUTHENTICATE                SELECT, EXAMINE
//!   NotAuthenticated --------------------> Authenticated ---------------> Selected
//!         |                                     |  ^------------------------ |
//!         |               LOGOUT                |    CLOSE, UNSELECT, failed |
//!         +--------------> Logout <-------------+    SELECT                  |
//!                            ^-----------------------------------------------+
//! ```
//!
//! UNAUTHENTICATE leads from both back to NotAuthenticated (RFC 8437 5).
//!
//! (RFC 3501 section 3.) The state is an enum, so that nothing of a mailbox can be touched when none is selected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use super::annotations::Followed;
use super::answer::Memory;
use super::cmd::{Row, States};
use super::enabled::Enabled;
use super::message_limit::Cut;
use super::notify::Notify;
use super::place::no_permission;
use super::reply::{Condition, Reply};
use super::search::Program;
use super::updates::{self, Updates};
use super::upload::Upload;
use super::view::{Own, View, Wants};
use crate::account::{Login, Seat, User};
use crate::notice::Notice;
use crate::store::acl::Rights;
use crate::store::{self, Mailbox, Name, Store};
use crate::wire::{Out, Peer, Tls};

/// Everything about a session except its framing and its running command.
pub struct Context {
    /// What all sessions share.
    pub shared: Arc<Shared>,
    /// The client.
    pub peer: Peer,
    /// TLS, from the start or by STARTTLS.
    pub tls: Option<Tls>,
    /// Where the session stands.
    pub state: State,
    /// Both sides compress (RFC 4978).
    pub compressed: bool,
    /// What the client has switched on.
    pub enabled: Enabled,
    /// The command in progress has message numbers where its table row does not tell: no expunge behind it.
    pub keep_numbers: bool,
    /// The command in progress left messages out (RFC 9738).
    pub cut: Option<Cut>,
    /// The message of an APPEND that is being read or waits for its command line to end.
    pub upload: Option<Upload>,
    /// The folder that the last APPEND, COPY or MOVE wrote to, held so that the next one finds it open.
    pub target: Option<Arc<Mailbox>>,
    /// Tells this session from all others of the process.
    pub serial: u64,
    /// Whose changed annotations the client is told of.
    pub followed: Vec<Followed>,
    /// What the session waits for, in IDLE and, after NOTIFY, between commands. What the open mailbox raises is a part of it.
    pub notice: Notice,
    /// What NOTIFY has asked for, if it was ever said.
    pub notify: Option<Box<Notify>>,
}

/// RFC 3501 section 3.
pub enum State {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Logged in.
    Authenticated(Access),
    /// A mailbox is open.
    Selected(Access, Box<Selected>),
    /// After BYE.
    Logout,
}

/// A login.
pub struct Access {
    /// Who.
    pub user: Arc<User>,
    /// The master user who logged in for him, if one did.
    pub master: Option<String>,
    /// The seat among the user's connections, given back when the session ends.
    pub seat: Seat,
    /// The user's mail.
    pub store: Arc<Store>,
}

/// An open mailbox.
pub struct Selected {
    /// Its name when it was opened.
    pub name: Name,
    /// The folder, shared with other sessions.
    pub mailbox: Arc<Mailbox>,
    /// What the client was told of it.
    pub view: View,
    /// What the user may do there.
    pub rights: Rights,
    /// Whose it is, if it is another user's.
    pub owner: Option<String>,
    /// Opened by EXAMINE, or nothing can be changed there.
    pub read_only: bool,
    /// Raised when the folder changes.
    pub notice: Notice,
    /// What the last FETCH found out about a big message.
    pub memory: Option<Memory>,
    /// Results of searches that are kept up to date.
    pub updates: Updates,
    /// A response could not be completed: nothing may be sent behind it.
    pub broken: bool,
}

impl Context {
    /// A new session.
    pub fn new(shared: Arc<Shared>, peer: Peer) -> Context {
        let tls = peer.tls.clone();
        Context {
            shared,
            peer,
            tls,
            state: State::NotAuthenticated,
            compressed: false,
            enabled: Enabled::default(),
            keep_numbers: false,
            cut: None,
            upload: None,
            target: None,
            serial: next_serial(),
            followed: Vec::new(),
            notice: Notice::new(),
            notify: None,
        }
    }

    /// Forget everything but the connection itself and its TLS (RFC 8437 3): a context made anew cannot keep what a new
    /// extension puts into it.
    pub fn begin_anew(&mut self) {
        let (tls, serial) = (self.tls.take(), self.serial);
        *self = Context { tls, serial, ..Context::new(self.shared.clone(), self.peer.clone()) };
    }

    /// Bytes of the largest message that APPEND takes, as far as RFC 7889 section 5 can say it (32 bits).
    pub fn append_limit(&self) -> u64 {
        self.shared.settings.max_message_size.min(u32::MAX.into())
    }

    /// Can TLS be started?
    pub fn may_start_tls(&self) -> bool {
        // RFC 4978 section 3: TLS is outside compression, so it cannot come later.
        self.shared.settings.starttls.is_on() && self.tls.is_none() && !self.compressed
    }

    /// May the client send a password as it is (LOGIN, PLAIN)?
    pub fn may_send_password(&self) -> bool {
        !Login::mechanisms(&self.shared.accounts, &self.peer, self.tls.as_ref()).is_empty()
    }

    /// Is a command of these states allowed now?
    pub fn allows(&self, states: States) -> Result<(), Reply> {
        let (now, why) = match self.state {
            State::NotAuthenticated => (States::NOT_AUTHENTICATED, "Log in first"),
            State::Authenticated(_) if states == States::NOT_AUTHENTICATED => {
                (States::AUTHENTICATED, "Already logged in")
            }
            State::Authenticated(_) => (States::AUTHENTICATED, "Select a mailbox first"),
            State::Selected(..) => (States::SELECTED, "Already logged in"),
            State::Logout => return Err(Reply::bad("Logged out")),
        };
        if states.has(now) { Ok(()) } else { Err(Reply::bad(why)) }
    }

    /// Is this command allowed now, with UID before it or without?
    pub fn permits(&self, row: &Row, uid: bool) -> Result<(), Reply> {
        self.allows(row.states)?;
        if self.enabled.uidonly && row.by_number && !uid { Err(uid_required()) } else { Ok(()) }
    }

    /// Write what changed in the open mailbox, if one is open, until the output is full; returns whether all is written. A session that was
    /// only `woken` does not wait for one that is at work: it is woken again.
    pub fn announce(&mut self, expunges: bool, with_uid: bool, woken: bool, out: &mut Out) -> store::Result<bool> {
        self.renew_rights()?;
        if !self.may_read_selected() {
            // RFC 4314 section 6: as if it did not exist.
            return Err(store::Error::NotFound);
        }
        self.announce_annotations(out);
        let enabled = self.enabled;
        // RFC 5465 section 5.1: there FETCH has the UID.
        let with_uid = with_uid || self.notify.is_some();
        let State::Selected(_, selected) = &mut self.state else {
            return Ok(true);
        };
        if selected.updates.is_busy() && !updates::after(selected, out)? {
            return Ok(false);
        }
        let Selected { mailbox, view, read_only, notice, updates, .. } = selected.as_mut();
        if !view.has_news() {
            if woken {
                mailbox.refresh_if_free(notice.raiser())?
            } else {
                mailbox.refresh()?
            }
            view.collect(mailbox, expunges, Own::None);
        }
        // RFC 5267 4.3.4: while their numbers still mean something.
        updates.before(view.leaving(), out);
        if !view.flush(mailbox, *read_only, with_uid, enabled, out) {
            return Ok(false);
        }
        let items = self.notify.as_ref().map(|notify| notify.items().to_vec()).unwrap_or_default();
        updates.came(view.take_new(), items, enabled);
        updates::after(selected, out)
    }

    /// Has a response come to no end? Then the connection must, without another byte.
    pub fn is_broken(&self) -> bool {
        matches!(&self.state, State::Selected(_, selected) if selected.broken)
    }

    /// Tell what NOTIFY asks for, between commands, until the output is full; returns whether all is told.
    pub fn tell_unasked(&mut self, out: &mut Out) -> store::Result<bool> {
        if self.notify.is_none() {
            return Ok(true);
        }
        if !self.tell_others(out) {
            return Ok(false);
        }
        let Some(notify) = self.notify.as_ref().filter(|notify| notify.wants() != Wants::Nothing) else {
            return Ok(true);
        };
        // RFC 5465 section 5.3: the client cannot count on numbers, and knows it; or (6.1.2) it can, until it says what makes them change.
        let expunges = notify.expunges_at_once();
        self.announce(expunges, true, true, out)
    }

    /// The client keeps mod-sequences from now on. The first command that says so learns where the open mailbox stands (RFC 7162 3.1).
    pub fn enable_condstore(&mut self, out: &mut Out) {
        if !std::mem::replace(&mut self.enabled.condstore, true)
            && let State::Selected(_, selected) = &self.state
        {
            out.line(format!("* OK [HIGHESTMODSEQ {}] Mod-sequences are told from now on", selected.view.synced()));
        }
    }

    /// The client speaks IMAP4rev2 from now on: the open mailbox has no \Recent any more (RFC 9051 appendix E, 12), and what is known of the
    /// parts of its last message is not how IMAP4rev2 sees them.
    pub fn enable_rev2(&mut self) {
        self.enabled.rev2 = true;
        if let State::Selected(_, selected) = &mut self.state {
            selected.view.deny_recent();
            selected.memory = None;
        }
    }

    /// The client has no message numbers from now on (RFC 9586).
    pub fn enable_uidonly(&mut self) {
        self.enabled.uidonly = true;
        if let State::Selected(_, selected) = &mut self.state {
            selected.updates.forget_numbers();
        }
    }

    /// What SEARCH, SORT and THREAD have in common: MODSEQ enables CONDSTORE (RFC 7162 3.1), and where message numbers are asked for they keep
    /// their meaning, with UID before it, too (RFC 7162 3.2.10.2), or are refused where there are none (RFC 9586 section 3.5).
    pub fn search_begins(&mut self, program: &Program, out: &mut Out) -> Result<(), Reply> {
        if program.has_numbers() && self.enabled.uidonly {
            return Err(uid_required());
        }
        self.keep_numbers |= program.has_numbers();
        if program.asks_modseq() {
            self.enable_condstore(out);
        }
        Ok(())
    }

    /// At the end of a command: tell a client that keeps mod-sequences how far it knows everything, where it could not know
    /// (RFC 7162 section 6), in the reply if that has no other code.
    pub fn add_sync_point(&mut self, reply: Reply, out: &mut Out) -> Reply {
        let (State::Selected(_, selected), true) = (&mut self.state, self.enabled.condstore) else { return reply };
        let Some(modseq) = selected.view.take_sync_point(self.enabled.qresync) else { return reply };
        let code = format!("HIGHESTMODSEQ {modseq}");
        if reply.condition == Condition::Ok && reply.code.is_none() {
            return Reply { code: Some(code.into()), ..reply };
        }
        Reply::ok_code(code, "All up to there was told").write("*", out);
        reply
    }

    /// The login; commands whose row demands one can count on it.
    pub fn access(&self) -> Result<&Access, Reply> {
        match &self.state {
            State::Authenticated(access) | State::Selected(access, _) => Ok(access),
            State::NotAuthenticated | State::Logout => Err(Reply::bad("Log in first")),
        }
    }

    /// Was the user removed while he was logged in?
    pub fn is_dismissed(&self) -> bool {
        self.access().is_ok_and(|access| access.seat.is_gone())
    }

    /// The user's mail.
    pub fn store(&self) -> Result<&Arc<Store>, Reply> {
        self.access().map(|access| &access.store)
    }

    /// The open mailbox; commands whose row demands one can count on it.
    pub fn selected(&mut self) -> Result<&mut Selected, Reply> {
        match &mut self.state {
            State::Selected(_, selected) => Ok(selected),
            _ => Err(Reply::bad("Select a mailbox first")),
        }
    }

    /// The open mailbox, for a command that changes it.
    pub fn writable(&mut self) -> Result<&mut Selected, Reply> {
        let selected = self.selected()?;
        if !selected.rights.has_any(Rights::CHANGING) {
            return Err(no_permission());
        }
        if selected.read_only {
            // RFC 3501 6.3.2: no changes to a mailbox that was opened with EXAMINE.
            return Err(Reply::no("READ-ONLY", "Mailbox is opened read-only"));
        }
        Ok(selected)
    }

    /// Leave the open mailbox; was there one?
    pub fn unselect(&mut self) -> bool {
        self.unselect_after(&[])
    }

    /// As [`Context::unselect`], after these messages were expunged and the client will not be told.
    pub fn unselect_after(&mut self, expunged: &[u32]) -> bool {
        if let (State::Selected(_, selected), Some(notify)) = (&self.state, &mut self.notify) {
            notify.left(selected, expunged);
        }
        let was_open = matches!(self.state, State::Selected(..));
        self.state = match std::mem::replace(&mut self.state, State::Logout) {
            State::Selected(access, _) => State::Authenticated(access),
            other => other,
        };
        was_open
    }

    /// Open a mailbox.
    pub fn select(&mut self, mut selected: Selected) {
        if let Some(notify) = &self.notify {
            selected.view.want(notify.wants());
        }
        self.state = match std::mem::replace(&mut self.state, State::Logout) {
            State::Authenticated(access) | State::Selected(access, _) => State::Selected(access, Box::new(selected)),
            other => other,
        };
    }
}

/// RFC 9586 section 3: the refusal of message numbers in a command.
fn uid_required() -> Reply {
    Reply::bad_code("UIDREQUIRED", "After ENABLE UIDONLY messages have UIDs only")
}

/// A number that no other session of this process has.
fn next_serial() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
