//! UNAUTHENTICATE (RFC 8437): back to the state before the login, on the same connection, for administrative clients that act
//! for one user after the other.
//!
//! Everything but TLS and what the client said of itself is forgotten, by making the session's context anew: whatever an extension
//! keeps there (ENABLE, CONDSTORE, saved searches, followed annotations) cannot outlive the user. The open mailbox is left without an
//! expunge, and the seat among the user's connections is given back.
//!
//! There is no way to say NO (section 3). Under COMPRESS it is not offered: the client's compressed bytes would have to end
//! exactly behind the command (section 4.1), with the next command perhaps behind them in clear, and the blocks of a deflate stream do not
//! tell where that is. Who says it all the same is told BYE, as section 3 allows where the state cannot be reset.

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::reply::Reply;
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    if call.context.compressed {
        return Ok(Begun::Job(Box::new(Leave)));
    }
    if let Ok(access) = call.context.access() {
        tracing::info!(session = call.context.peer.id, login = %access.user.login, "login given up");
    }
    call.context.begin_anew();
    Ok(Reply::ok("Not logged in any more").into())
}

/// Ends a conversation whose compression cannot be ended.
struct Leave;

impl Job for Leave {
    fn step(&mut self, _: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        out.line("* BYE UNAUTHENTICATE is not possible under COMPRESS");
        Ok(Progress::Abort)
    }
}
