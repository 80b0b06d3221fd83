//! NOOP, CHECK and LOGOUT (RFC 3501 6.1.2, 6.4.1, 6.1.3): commands that only let the session speak.
//!
//! CHECK is NOOP here (RFC 3501 6.4.1 allows it): what was answered OK is on the disk already.

use crate::imap::context::State;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    Ok(Reply::ok("Nothing done").into())
}

pub(super) fn check(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    Ok(Reply::ok("Check completed").into())
}

pub(super) fn logout(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    // RFC 3501 6.1.3: BYE before OK, then the connection is closed.
    call.out.line("* BYE Logging out");
    call.context.state = State::Logout;
    Ok(Reply::ok("Logout completed").into())
}
