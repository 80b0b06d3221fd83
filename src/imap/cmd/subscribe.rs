//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 6.3.6, 6.3.7).
//!
//! A name need not exist to be subscribed to: a client that restores its list before its mailboxes is not stopped.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::store::Done;

pub(super) fn subscribe(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, true)
}

pub(super) fn unsubscribe(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, false)
}

fn begin(mut call: Call<'_>, on: bool) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    let (name, store) = (mailbox.name()?, call.context.store()?);
    let turn = store.lookout().turn();
    if call.context.is_elsewhere(&name) {
        store.subscribe_elsewhere(&name, on)?;
    } else {
        store.subscribe(&name, on)?;
    }
    turn.did(call.context.serial, Done::Subscribed(name));
    Ok(Reply::ok(if on { "Subscribe completed" } else { "Unsubscribe completed" }).into())
}
