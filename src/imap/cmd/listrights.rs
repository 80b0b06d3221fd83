//! LISTRIGHTS (RFC 4314 3.4): every right can be given alone; the owner has some always.

use crate::imap::acl;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::acl::{Identifier, Rights};

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.space()?;
    let identifier = call.args.identifier()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let place = call.context.place_with(&name, Rights::ADMINISTER)?;
    let always = match acl::identifier(call.context, &place, &identifier)? {
        (Identifier::Owner, false) => Rights::OWNERS,
        _ => Rights::NONE,
    };
    call.out.put("* LISTRIGHTS ");
    response::mailbox(call.out.buffer(), &name, call.context.enabled.speaks_utf8());
    call.out.put(" ");
    // RFC 4314 3.4: as the client wrote it.
    response::astring(call.out.buffer(), identifier.as_bytes());
    call.out.put(" ");
    response::astring(call.out.buffer(), always.letters().collect::<String>().as_bytes());
    for letter in Rights::ALL.without(always).letters().chain(['c', 'd']) {
        call.out.put(format!(" {letter}"));
    }
    call.out.line("");
    Ok(Reply::ok("Listrights completed").into())
}
