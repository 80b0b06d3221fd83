//! NOTIFY (RFC 5465): SET says which events of which mailboxes the client wants to be told of from now on, NONE that it wants none.
//!
//! A SET that is refused leaves the one before in force. What that one still has to tell is told first, so that no change falls between the two.

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::notify::{Failed, MAX_GROUPS, MAX_NAMES, Notify, SUPPORTED};
use crate::imap::parse::notify::{Events, Filter, Group, Notify as Asked};
use crate::imap::reply::Reply;
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let (status, groups) = match call.args.notify()? {
        Asked::Nothing => {
            call.context.notify(Box::default());
            return Ok(Reply::ok("Nothing is notified").into());
        }
        Asked::Set { status, groups } => (status, groups),
    };
    let names = |group: &Group<'_>| match &group.filter {
        Filter::Subtree(names) | Filter::Mailboxes(names) => names.len(),
        _ => 0,
    };
    if groups.len() > MAX_GROUPS || groups.iter().map(names).sum::<usize>() > MAX_NAMES {
        return Err(too_much());
    }
    let events = groups.iter().fold(Events::NONE, |all, group| all.with(group.events));
    if !SUPPORTED.has(events) {
        // RFC 5465 section 3.1: with the names of all that there are.
        let names: Vec<&str> = SUPPORTED.names().collect();
        return Err(Reply::no(format!("BADEVENT ({})", names.join(" ")), "Some of these events are not known here"));
    }
    Ok(Begun::Job(Box::new(Set { new: Some(Box::new(Notify::new(groups))), status })))
}

/// RFC 5465 section 3.1.
fn too_much() -> Reply {
    Reply::no("NOTIFICATIONOVERFLOW", "Too many mailboxes to tell of")
}

struct Set {
    /// What is asked for, until it is in force.
    new: Option<Box<Notify>>,
    status: bool,
}

impl Job for Set {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        if !context.tell_others(out) {
            return Ok(Progress::Continue);
        }
        let Some(mut new) = self.new.take() else {
            return Ok(Progress::Done(Reply::ok("Notify completed")));
        };
        let mut before = context.notify.take();
        let begun = new.begin(context, before.as_deref_mut(), self.status);
        match begun {
            Ok(()) => context.notify(new),
            Err(failed) => {
                context.notify = before;
                return Err(match failed {
                    Failed::Overflow => too_much(),
                    Failed::Store(error) => error.into(),
                });
            }
        }
        Ok(Progress::Continue)
    }
}
