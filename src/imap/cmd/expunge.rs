//! EXPUNGE and UID EXPUNGE (RFC 3501 6.4.3, RFC 4315 2.1): remove what is marked \Deleted.
//!
//! The EXPUNGE responses are announcements like any other: the session writes them before the reply.

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::message_limit::Cut;
use crate::imap::place::no_permission;
use crate::imap::reply::Reply;
use crate::mail::Flags;
use crate::store::Mailbox;
use crate::store::acl::Rights;
use crate::wire::Out;

/// Messages removed in one step, which costs one sync of the directory and keeps others waiting for some hundredths of a second.
const MESSAGES_A_STEP: usize = 500;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let set = if call.uid {
        call.args.space()?;
        Some(call.args.message_set()?)
    } else {
        None
    };
    call.args.end()?;
    let limit = call.context.message_limits().messages;
    let selected = call.context.writable()?;
    if !selected.rights.has(Rights::EXPUNGE) {
        return Err(no_permission());
    }
    let uids = match set {
        Some(set) => {
            let mut uids = selected.view.picked_uids(&selected.view.pick(&set, true)?);
            if limit.is_some() {
                // RFC 9738 section 3.1 counts what would be removed.
                let marked = marked(&selected.mailbox)?;
                uids.retain(|uid| marked.binary_search(uid).is_ok());
            }
            call.context.cut = Cut::uids(limit, &mut uids);
            uids
        }
        None => marked(&selected.mailbox)?,
    };
    Ok(Expunge::job(uids, false))
}

/// Messages with \Deleted, also those that this client was not told of (RFC 3501 6.4.3: all messages).
pub(super) fn marked(mailbox: &Mailbox) -> Result<Vec<u32>, Reply> {
    mailbox.refresh()?;
    Ok(mailbox.read(|messages| {
        messages.iter().filter(|message| message.flags.has(Flags::DELETED)).map(|message| message.uid).collect()
    }))
}

/// Removes messages, a bounded number at a time.
pub(super) struct Expunge {
    /// The messages, and how many of them are done.
    uids: Vec<u32>,
    done: usize,
    /// Leave the mailbox at the end (CLOSE).
    closes: bool,
}

impl Expunge {
    pub(super) fn job(uids: Vec<u32>, closes: bool) -> Begun {
        Begun::Job(Box::new(Expunge { uids, done: 0, closes }))
    }
}

impl Job for Expunge {
    fn step(&mut self, context: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        let some = &self.uids[self.done..self.uids.len().min(self.done + MESSAGES_A_STEP)];
        if !some.is_empty() {
            // If it fails, the mailbox stays open, also at CLOSE, so that the client can see what is left.
            let selected = context.selected()?;
            selected.mailbox.expunge(Some(some))?;
            selected.view.removed(some.iter().copied());
        }
        self.done += some.len();
        if self.done < self.uids.len() {
            return Ok(Progress::Continue);
        }
        if !self.closes {
            return Ok(Progress::Done(Reply::ok("Expunge completed")));
        }
        context.unselect_after(&self.uids);
        Ok(Progress::Done(Reply::ok("Close completed")))
    }
}
