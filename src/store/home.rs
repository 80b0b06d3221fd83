//! Where a user's mail is, and whose files they are.
//!
//! Virtual users: everything belongs to the account that the daemon runs as ([`Owner::Daemon`]). System users:
//! mail is in `~/Maildir` and belongs to them; a thread takes on their identity with setfsuid/setfsgid for
//! the length of one operation ([`Owner::assume`]), so the kernel itself keeps one user's thread out of another's mail.
//! Since the file-system uid is per thread, the guard must not cross an `.await`; it is `!Send` to prove it.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// How folders lie in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Folder `A/B` is the directory `.A.B` (Dovecot's and Courier's default).
    #[default]
    Maildirpp,
    /// Folder `A/B` is the directory `A/B` (Dovecot's `layout=fs`).
    Fs,
}

/// Whose files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// The account the daemon runs as.
    #[default]
    Daemon,
    /// This system user.
    User {
        /// Numeric user id.
        uid: u32,
        /// Numeric primary group id.
        gid: u32,
    },
}

/// One user's mail: the directory that holds `new/` and `cur/` of INBOX, how folders lie in it, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The Maildir, for example `/var/lib/mailcote/mail/example.org/alice/Maildir`.
    pub maildir: PathBuf,
    /// Its layout.
    pub layout: Layout,
    /// Whose files.
    pub owner: Owner,
}

/// While this lives, file access of this thread is the owner's. Nests; dropping restores what was before.
#[derive(Debug)]
pub struct Assumed {
    before: Option<(Uid, Gid)>,
    _not_send: PhantomData<*const ()>,
}

thread_local! {
    /// What this thread has taken on; so that taking on the same owner again costs no system call.
    static CURRENT: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
}

impl Owner {
    /// Take on this owner's identity for file access, until the guard is dropped.
    ///
    /// Fails if the process may not (it lacks CAP_SETUID/CAP_SETGID): then nothing was changed, and the
    /// operation must not go on, since it would run as somebody else.
    pub fn assume(self) -> io::Result<Assumed> {
        let Owner::User { uid, gid } = self else {
            return Ok(Assumed { before: None, _not_send: PhantomData });
        };
        if CURRENT.get() == Some((uid, gid)) {
            return Ok(Assumed { before: None, _not_send: PhantomData });
        }
        // The group first: after the uid has changed we might no longer be allowed to.
        let old_gid = setfsgid(Gid::from_raw(gid));
        let old_uid = setfsuid(Uid::from_raw(uid));
        let guard = Assumed { before: Some((old_uid, old_gid)), _not_send: PhantomData };
        // setfsuid returns the previous value, never an error; setting an invalid id changes nothing and reads it back.
        let now = (setfsuid(Uid::from_raw(u32::MAX)), setfsgid(Gid::from_raw(u32::MAX)));
        if now != (Uid::from_raw(uid), Gid::from_raw(gid)) {
            drop(guard);
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        CURRENT.set(Some((uid, gid)));
        Ok(guard)
    }
}

impl Drop for Assumed {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.before {
            setfsuid(uid);
            setfsgid(gid);
            let daemon = (Uid::effective(), Gid::effective());
            CURRENT.set(if (uid, gid) == daemon { None } else { Some((uid.as_raw(), gid.as_raw())) });
        }
    }
}
