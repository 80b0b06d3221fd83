//! CHECK (RFC 3501 6.4.1): there is nothing to do, since what was answered OK is on the disk already. Like NOOP, it lets the
//! session announce what changed.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    Ok(Reply::ok("Check completed").into())
}
