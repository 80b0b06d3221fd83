//! SETMETADATA (RFC 5464 section 4.3): all entries or none, on the disk when it is answered.

use super::getmetadata::target;
use crate::imap::annotations::{self, SPECIAL_USE, Target};
use crate::imap::context::Context;
use crate::imap::frame::Verdict;
use crate::imap::job::{Begun, Call};
use crate::imap::parse::Cursor;
use crate::imap::parse::metadata::{EntryName, Kind};
use crate::imap::reply::Reply;
use crate::store::Error;
use crate::store::metadata::MAX_VALUE;

/// A literal is announced: a value that is too large need not be sent.
pub(super) fn announced(_: &mut Context, _: Cursor<'_>, size: u64, _: bool) -> Verdict {
    if size > MAX_VALUE as u64 { Verdict::Refuse(too_large()) } else { Verdict::Keep }
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let (mailbox, assignments) = call.args.set_metadata()?;
    let target = target(&mailbox)?;
    let (store, folder, mine) = annotations::place(call.context, &target)?;
    for (entry, value) in &assignments {
        if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE) {
            return Err(too_large());
        }
        may_set(&target, entry)?;
    }
    let changes: Vec<_> =
        assignments.into_iter().map(|(entry, value)| (annotations::stored(&entry, &mine), value)).collect();
    store.annotate(folder.as_ref(), &changes, call.context.serial).map_err(|error| match error {
        Error::Limit(why) => Reply::no("METADATA TOOMANY", why),
        other => other.into(),
    })?;
    if let Some(name) = &folder {
        // RFC 7162 3.2.
        store.mailbox(name)?.raise_modseq()?;
    }
    Ok(Reply::ok("Setmetadata completed").into())
}

fn may_set(target: &Target, entry: &EntryName) -> Result<(), Reply> {
    match (target, entry.kind) {
        // RFC 5464 section 3.3: a server may restrict its own annotations.
        (Target::Server, Kind::Shared) => {
            Err(Reply::no("NOPERM", "Shared annotations of the server are set by its administrator"))
        }
        (Target::Mailbox(_), Kind::Private) if entry.name == SPECIAL_USE => {
            Err(Reply::no("CANNOT", "A special use is given when a mailbox is created"))
        }
        _ => Ok(()),
    }
}

/// RFC 5464 section 4.3.
fn too_large() -> Reply {
    Reply::no(format!("METADATA MAXSIZE {MAX_VALUE}"), "Value is too large")
}
