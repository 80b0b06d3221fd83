//! REPLACE and UID REPLACE (RFC 8508): a new message comes, an old one goes, and nobody sees anything between.
//!
//! Read as APPEND is, CATENATE and all (RFC 8508 4.2). The new message is on the disk before the old one goes; if the old one cannot go, the new one is
//! taken back, so that after NO nothing has changed.

use super::append::{self, Kind};
use crate::imap::context::{Context, Selected};
use crate::imap::frame::Verdict;
use crate::imap::job::{Begun, Call};
use crate::imap::parse::Cursor;
use crate::imap::parse::set::MessageSet;
use crate::imap::place::no_permission;
use crate::imap::reply::Reply;
use crate::imap::upload::{Replaced, Whole};
use crate::store::Message;
use crate::store::acl::Rights;

/// A literal of REPLACE is announced.
pub(super) fn announced(context: &mut Context, before: Cursor<'_>, size: u64, uid: bool) -> Verdict {
    match old(context, &mut before.clone(), uid).and_then(|old| makes_room(context, old)) {
        Ok(()) => append::literal(context, before, size, Kind::Replace),
        Err(reply) => Verdict::Refuse(reply),
    }
}

/// The UID of the message that goes.
fn old(context: &mut Context, args: &mut Cursor<'_>, uid: bool) -> Result<u32, Reply> {
    args.space()?;
    let set = args.sequence_set()?;
    let Selected { view, rights, .. } = context.writable()?;
    if !rights.has(Rights::DELETED.with(Rights::EXPUNGE)) {
        return Err(no_permission());
    }
    // RFC 8508 section 5: one number.
    if !set.is_single() {
        return Err(Reply::bad("REPLACE takes one message"));
    }
    match view.picked_uids(&view.pick(&MessageSet::Set(set), uid)?)[..] {
        [uid] => Ok(uid),
        _ => Err(Reply::no("NONEXISTENT", "No such message to replace")),
    }
}

/// RFC 8508 3.4: what goes counts against what comes, in the quota of one account.
fn makes_room(context: &mut Context, old: u32) -> Result<(), Reply> {
    let Selected { mailbox, owner, .. } = context.selected()?;
    let replaced = Replaced { owner: owner.clone(), size: mailbox.stored_size_of(&[old])? };
    let mut upload = append::take_upload(context);
    upload.replaces = Some(replaced);
    context.upload = Some(upload);
    Ok(())
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let whole = call.args.clone();
    let old = old(call.context, &mut call.args, call.uid)?;
    makes_room(call.context, old)?;
    let Whole { mailbox: target, messages, tells_uids, held: _held } =
        append::finish(call.context, whole, Kind::Replace)?;
    let Selected { mailbox, view, .. } = call.context.writable()?;
    let is_there = |messages: &[Message]| messages.binary_search_by_key(&old, |message| message.uid).is_ok();
    if !mailbox.read(is_there) {
        return Err(expunged());
    }
    let new = target.append(messages).map_err(Reply::target)?;
    let take_back = || {
        if let Err(stays) = target.remove(&new) {
            tracing::error!(error = %stays, "a message that replaces none stays");
        }
    };
    match mailbox.remove(&[old]) {
        Ok(removed) if removed.is_empty() => {
            // Somebody else expunged it a moment ago.
            take_back();
            return Err(expunged());
        }
        Ok(_) => {}
        Err(error) => {
            // RFC 8508 3.4: nothing half-done. But what failed may have been the sync behind the old one's going: then both would be lost.
            if mailbox.refresh().is_err() || !mailbox.read(is_there) {
                tracing::error!(uid = old, "the message to be replaced may be gone: the new one stays");
            } else {
                take_back();
            }
            return Err(error.into());
        }
    }
    view.removed([old]);
    call.context.made(&target, &new);
    if tells_uids {
        // RFC 8508 4.3: before the EXPUNGE.
        Reply::ok_code(append::append_uid(&target, &new), "Replacement is there").write("*", call.out);
    }
    call.context.target = Some(target);
    Ok(Reply::ok("Replace completed").into())
}

/// RFC 8508 section 5: the message is gone, though this client was not told yet.
fn expunged() -> Reply {
    Reply::no("EXPUNGEISSUED", "The message to replace was expunged")
}
