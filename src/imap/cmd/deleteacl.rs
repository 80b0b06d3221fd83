//! DELETEACL (RFC 4314 3.2).

use crate::imap::acl;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::store::Done;
use crate::store::acl::Rights;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.space()?;
    let identifier = call.args.identifier()?;
    call.args.end()?;
    let place = call.context.place_with(&mailbox.name()?, Rights::ADMINISTER)?;
    let (identifier, is_negative) = acl::identifier(call.context, &place, &identifier)?;
    let turn = place.store.lookout().turn();
    place.store.delete_acl(&place.name, &identifier, is_negative)?;
    turn.did(call.context.serial, Done::Permitted(place.name.clone()));
    Ok(Reply::ok("Deleteacl completed").into())
}
