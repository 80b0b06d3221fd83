//! CLOSE (RFC 3501 6.4.2): remove what is marked \Deleted, silently, and leave the mailbox.

use super::expunge::{Expunge, marked};
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    let selected = call.context.selected()?;
    // RFC 3501 6.4.2: nothing is removed from a mailbox that was opened with EXAMINE.
    let uids = if selected.read_only { Vec::new() } else { marked(&selected.mailbox)? };
    Ok(Expunge::job(uids, true))
}
