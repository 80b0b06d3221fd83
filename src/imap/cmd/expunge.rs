//! EXPUNGE and UID EXPUNGE (RFC 3501 6.4.3, RFC 4315 2.1).
//!
//! The EXPUNGE responses are announcements like any other: the session writes them before the reply.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let set = if call.uid {
        call.args.space()?;
        Some(call.args.sequence_set()?)
    } else {
        None
    };
    call.args.end()?;
    let selected = call.context.writable()?;
    let uids = match set {
        Some(set) => Some(selected.view.picked_uids(&selected.view.pick(&set, true)?)),
        None => None,
    };
    selected.mailbox.expunge(uids.as_deref())?;
    Ok(Reply::ok("Expunge completed").into())
}
