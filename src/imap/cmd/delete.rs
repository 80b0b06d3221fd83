//! DELETE (RFC 3501 6.3.4). Whoever deletes the mailbox that he has open has none open afterwards.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::store::Done;
use crate::store::acl::Rights;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let place = call.context.place_with(&name, Rights::DELETE)?;
    {
        let turn = place.store.lookout().turn();
        place.store.delete(&place.name)?;
        turn.did(call.context.serial, Done::Deleted(place.name.clone()));
    }
    if call.context.selected().is_ok_and(|selected| selected.name == name) {
        call.context.unselect();
    }
    Ok(Reply::ok("Delete completed").into())
}
