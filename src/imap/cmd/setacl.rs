//! SETACL (RFC 4314 3.1). The other user finds the folder in LIST from the moment this is answered.

use crate::imap::acl;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::store::Done;
use crate::store::acl::{Rights, shares};

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.space()?;
    let identifier = call.args.identifier()?;
    call.args.space()?;
    let (change, rights) = call.args.rights()?;
    call.args.end()?;
    let context = &call.context;
    let place = context.place_with(&mailbox.name()?, Rights::ADMINISTER)?;
    let (identifier, is_negative) = acl::identifier(context, &place, &identifier)?;
    if let (Some(sharing), false) = (context.sharing(), is_negative) {
        // First: a hint too many does no harm, one too few would hide the folder.
        let owner = place.owner.as_deref().unwrap_or(&context.access()?.user.login);
        sharing.shares.add(owner, std::slice::from_ref(&identifier), || shares::shared_with(place.store.home()))?;
    }
    let turn = place.store.lookout().turn();
    place.store.set_acl(&place.name, &identifier, is_negative, change, rights)?;
    turn.did(context.serial, Done::Permitted(place.name.clone()));
    Ok(Reply::ok("Setacl completed").into())
}
