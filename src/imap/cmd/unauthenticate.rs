//! UNAUTHENTICATE (RFC 8437): back to the state before the login, on the same connection, for administrative clients that act
//! for one user after the other.
//!
//! Everything but TLS and what the client said of itself is forgotten, by making the session's context anew: whatever an extension
//! keeps there (ENABLE, CONDSTORE, saved searches, followed annotations) cannot outlive the user. The open mailbox is left without an expunge,
//! and the seat among the user's connections is given back. There is no way to say NO (section 3).

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    if let Ok(access) = call.context.access() {
        tracing::info!(session = call.context.peer.id, login = %access.user.login, "login given up");
    }
    call.context.begin_anew();
    Ok(Reply::ok("Not logged in any more").into())
}
