//! GETACL (RFC 4314 3.3).

use crate::imap::acl;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::acl::{Identifier, Rights};

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let place = call.context.place_with(&name, Rights::ADMINISTER)?;
    let acl = place.store.acl(&place.name)?;
    call.out.put("* ACL ");
    response::mailbox(call.out.buffer(), &name, call.context.enabled.speaks_utf8());
    let has_owner = acl.entry(&Identifier::Owner, false).is_some();
    let implied = (&Identifier::Owner, false, Rights::ALL);
    let entries = acl.entries.iter().map(|entry| {
        // What an owner always has is shown as his, whatever the file says.
        let always =
            if entry.identifier == Identifier::Owner && !entry.is_negative { Rights::OWNERS } else { Rights::NONE };
        (&entry.identifier, entry.is_negative, entry.rights.with(always))
    });
    for (identifier, is_negative, rights) in (!has_owner).then_some(implied).into_iter().chain(entries) {
        let shown = acl::shown(call.context, &place, identifier, is_negative)?;
        call.out.put(" ");
        response::astring(call.out.buffer(), shown.as_bytes());
        call.out.put(" ");
        response::astring(call.out.buffer(), acl::letters(rights).as_bytes());
    }
    call.out.line("");
    Ok(Reply::ok("Getacl completed").into())
}
