//! CLOSE (RFC 3501 6.4.2): remove what is marked \Deleted, silently, and leave the mailbox.

use super::expunge::{Expunge, marked};
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::store::acl::Rights;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    let selected = call.context.selected()?;
    // RFC 3501 6.4.2: nothing is removed from a mailbox that was opened with EXAMINE; RFC 4314 section 4: nor without the right.
    let uids = if selected.read_only || !selected.rights.has(Rights::EXPUNGE) {
        Vec::new()
    } else {
        marked(&selected.mailbox)?
    };
    Ok(Expunge::job(uids, true))
}
