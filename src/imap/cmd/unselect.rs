//! UNSELECT (RFC 3691): leave the mailbox and change nothing.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    call.context.unselect();
    Ok(Reply::ok("Unselect completed").into())
}
