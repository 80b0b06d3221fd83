//! COPY and MOVE, also with UID (RFC 3501 6.4.7, RFC 6851), with COPYUID (RFC 4315).
//!
//! Both are jobs. COPY is all or nothing: its files are linked into the target's `tmp/` in bounded steps, and come into the folder together
//! in the last one. MOVE is all or nothing for each message (RFC 6851 3.3), and goes on in steps of so many; other sessions see those that
//! were moved. What was moved before an error is told with COPYUID and EXPUNGE before the NO.

use std::sync::Arc;

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::message_limit::Cut;
use crate::imap::place::no_permission;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::acl::Rights;
use crate::store::{self, Copying, Mailbox};
use crate::wire::Out;

/// Messages linked or renamed in one step: some hundredths of a second, so that the others on this thread need not wait longer.
const MESSAGES_A_STEP: usize = 1000;
const COPIED: &str = "Copy completed";
const MOVED: &str = "Move completed";

pub(super) fn copy(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, false)
}

pub(super) fn move_(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, true)
}

fn begin(mut call: Call<'_>, moves: bool) -> Result<Begun, Reply> {
    call.args.space()?;
    let set = call.args.message_set()?;
    call.args.space()?;
    let target = call.args.mailbox()?;
    call.args.end()?;
    let target = target.name()?;
    let place = call.context.target(&target, Rights::INSERT);
    let limits = call.context.message_limits();
    let selected = if moves { call.context.writable()? } else { call.context.selected()? };
    let picked = selected.view.pick(&set, call.uid)?;
    let mut uids = selected.view.picked_uids(&picked);
    // RFC 6851 section 4.4: the rights of STORE, COPY and EXPUNGE.
    if moves && !selected.rights.has(Rights::DELETED.with(Rights::EXPUNGE)) {
        return Err(no_permission());
    }
    let place = place?;
    let target = place.mailbox().map_err(Reply::target)?;
    // RFC 9738 section 3.1: COPY does all or nothing, MOVE what it may.
    let cut = Cut::uids(if moves { limits.messages } else { limits.of_saves() }, &mut uids);
    if let Some(cut) = cut.filter(|_| !moves) {
        return Err(cut.refusal());
    }
    if uids.is_empty() {
        return Ok(Reply::ok(if moves { MOVED } else { COPIED }).into());
    }
    // RFC 9208 section 4.3.1. A move inside one account needs no room.
    let is_within = moves && selected.owner == place.owner;
    if !is_within && !place.store.limits().is_unlimited() {
        let size = selected.mailbox.stored_size_of(&uids)?;
        place.store.has_quota_for(size, uids.len() as u64, false)?;
    }
    let (from, rights) = (Arc::clone(&selected.mailbox), place.rights);
    call.context.target = Some(Arc::clone(&target));
    call.context.cut = cut;
    let pairs = Vec::new();
    if moves {
        return Ok(Begun::Job(Box::new(Move { from, target, rights, uids, done: 0, pairs })));
    }
    Ok(Begun::Job(Box::new(Copy { from, target, rights, uids, done: 0, copying: Copying::default() })))
}

/// A client may make the target again that was removed meanwhile. Where it is the mailbox copied from that is gone, this would not help.
fn failure(error: store::Error, target: &Mailbox) -> Reply {
    if target.is_closed() { Reply::target(error) } else { error.into() }
}

struct Copy {
    from: Arc<Mailbox>,
    target: Arc<Mailbox>,
    rights: Rights,
    uids: Vec<u32>,
    done: usize,
    copying: Copying,
}

impl Job for Copy {
    fn step(&mut self, context: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        let end = self.uids.len().min(self.done + MESSAGES_A_STEP);
        let some = &self.uids[self.done..end];
        let copied = self.from.copy_some(&mut self.copying, some, &self.target, self.rights);
        self.done += copied.map_err(|error| failure(error, &self.target))?;
        if self.done < self.uids.len() {
            return Ok(Progress::Continue);
        }
        let copying = std::mem::take(&mut self.copying);
        let pairs = self.from.finish_copy(copying, &self.target).map_err(|error| failure(error, &self.target))?;
        if pairs.is_empty() {
            return Err(all_gone());
        }
        let made: Vec<u32> = pairs.iter().map(|pair| pair.1).collect();
        context.made(&self.target, &made);
        if !tells_uids(self.rights) {
            return Ok(Progress::Done(Reply::ok(COPIED)));
        }
        Ok(Progress::Done(Reply::ok_code(copy_uid(&self.target, &pairs), COPIED)))
    }
}

struct Move {
    from: Arc<Mailbox>,
    target: Arc<Mailbox>,
    rights: Rights,
    uids: Vec<u32>,
    done: usize,
    /// Old and new UIDs of what was moved.
    pairs: Vec<(u32, u32)>,
}

impl Job for Move {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let moved = self.from.move_some(&self.uids[self.done..], &self.target, self.rights, MESSAGES_A_STEP);
        let failed = moved
            .map(|(looked_at, pairs)| {
                self.done += looked_at;
                self.pairs.extend(pairs);
            })
            .err();
        if failed.is_none() && self.done < self.uids.len() {
            return Ok(Progress::Continue);
        }
        if !self.pairs.is_empty() {
            let made: Vec<u32> = self.pairs.iter().map(|pair| pair.1).collect();
            context.selected()?.view.removed(self.pairs.iter().map(|pair| pair.0));
            context.made(&self.target, &made);
        }
        if !self.pairs.is_empty() && tells_uids(self.rights) {
            // RFC 6851 4.3: COPYUID in an untagged OK, before the EXPUNGE responses; also of what was moved before an error.
            Reply::ok_code(copy_uid(&self.target, &self.pairs), "Moved").write("*", out);
        }
        match failed {
            Some(error) => Err(failure(error, &self.target)),
            None if self.pairs.is_empty() => Err(all_gone()),
            None => Ok(Progress::Done(Reply::ok(MOVED))),
        }
    }
}

fn all_gone() -> Reply {
    Reply::no("EXPUNGEISSUED", "All of these messages were expunged")
}

/// RFC 9051 6.4.7: who cannot open the target is not told what is in it.
fn tells_uids(rights: Rights) -> bool {
    rights.has(Rights::READ)
}

/// RFC 4315 section 3: the sets correspond number by number.
fn copy_uid(target: &Mailbox, pairs: &[(u32, u32)]) -> String {
    let sources = response::set(pairs.iter().map(|pair| pair.0));
    let copies = response::set(pairs.iter().map(|pair| pair.1));
    format!("COPYUID {} {sources} {copies}", target.uid_validity())
}
