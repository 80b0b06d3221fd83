//! GETQUOTA and GETQUOTAROOT (RFC 9208 4.1.1, 4.1.2).
//!
//! Every account is one quota root, called as its owner logs in; a folder that somebody shares counts for its owner. Usage is told to the owner, and of a shared folder
//! to those who may read it (RFC 9208 section 6). The number of mailboxes always has a limit; storage and messages are named where there is one.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::acl::Rights;
use crate::store::tree::MAX_FOLDERS;
use crate::store::{Error, Store};
use crate::wire::Out;

/// RFC 9208 section 5.1: STORAGE is in units of so many octets.
pub(super) const UNIT: u64 = 1024;

pub(super) fn root(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let context = &call.context;
    context.renew_limits()?;
    let (store, owner) = match context.place(&name) {
        Ok(place) => {
            place.require(Rights::READ)?;
            (place.store, place.owner)
        }
        // RFC 9208 section 4.1.2: a mailbox that is still to be made has its root already.
        Err(Error::NotFound) if !context.is_elsewhere(&name) => (context.store()?.clone(), None),
        Err(error) => return Err(error.into()),
    };
    let root = owner.map_or_else(|| own_root(&call), Ok)?;
    call.out.put("* QUOTAROOT ");
    response::mailbox(call.out.buffer(), &name, call.context.enabled.speaks_utf8());
    call.out.put(" ");
    response::astring(call.out.buffer(), root.as_bytes());
    call.out.line("");
    write(&root, &store, call.out)?;
    Ok(Reply::ok("Getquotaroot completed").into())
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let asked = call.args.astring()?;
    call.args.end()?;
    let root = own_root(&call)?;
    if !asked.eq_ignore_ascii_case(root.as_bytes()) {
        // RFC 9208 section 8: another's usage is nobody's business, nor whether he exists.
        return Err(Reply::no("NONEXISTENT", "No such quota root"));
    }
    call.context.renew_limits()?;
    let store = call.context.store()?.clone();
    write(&root, &store, call.out)?;
    Ok(Reply::ok("Getquota completed").into())
}

pub(super) fn own_root(call: &Call<'_>) -> Result<String, Reply> {
    Ok(call.context.access()?.user.login.to_lowercase())
}

/// The QUOTA response.
pub(super) fn write(root: &str, store: &Store, out: &mut Out) -> Result<(), Reply> {
    let (limits, mut resources) = (store.limits(), Vec::new());
    if !limits.is_unlimited() {
        let usage = store.usage()?;
        if let Some(limit) = limits.storage {
            resources.push(format!("STORAGE {} {}", usage.storage.div_ceil(UNIT), limit.div_ceil(UNIT)));
        }
        if let Some(limit) = limits.messages {
            resources.push(format!("MESSAGE {} {limit}", usage.messages));
        }
    }
    let mailboxes = store.folders()?.iter().filter(|folder| folder.exists).count();
    // INBOX counts, and is beside the others that are allowed.
    resources.push(format!("MAILBOX {mailboxes} {}", MAX_FOLDERS + 1));
    out.put("* QUOTA ");
    response::astring(out.buffer(), root.as_bytes());
    out.put(" ");
    response::list(out.buffer(), resources.iter().map(String::as_str));
    out.line("");
    Ok(())
}
