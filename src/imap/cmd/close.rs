//! CLOSE and UNSELECT (RFC 3501 6.4.2, RFC 3691): leave the mailbox, with or without removing what is marked.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn close(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    let selected = call.context.selected()?;
    if !selected.read_only {
        // RFC 3501 6.4.2: silently. If it fails the mailbox stays open, so that the client can see why.
        selected.mailbox.expunge(None)?;
    }
    call.context.unselect();
    Ok(Reply::ok("Close completed").into())
}

pub(super) fn unselect(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    call.context.unselect();
    Ok(Reply::ok("Unselect completed").into())
}
