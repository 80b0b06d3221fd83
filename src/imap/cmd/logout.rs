//! LOGOUT (RFC 3501 6.1.3).

use crate::imap::context::State;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    // RFC 3501 6.1.3: BYE before OK, then the connection is closed.
    call.out.line("* BYE Logging out");
    call.context.state = State::Logout;
    Ok(Reply::ok("Logout completed").into())
}
