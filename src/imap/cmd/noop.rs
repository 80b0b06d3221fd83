//! NOOP (RFC 3501 6.1.2): lets the session announce what changed.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    Ok(Reply::ok("Nothing done").into())
}
