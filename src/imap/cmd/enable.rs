//! ENABLE (RFC 5161). No extension that we have needs enabling yet, so nothing is ever enabled, and we say so.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    call.args.atom()?;
    while !call.args.at_end() && !call.args.rest().eq(b" ") {
        call.args.space()?;
        call.args.atom()?;
    }
    call.args.end()?;
    // RFC 5161 3.1: names that are unknown or need no enabling are ignored.
    call.out.line("* ENABLED");
    Ok(Reply::ok("Enabled").into())
}
