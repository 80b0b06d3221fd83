//! MYRIGHTS (RFC 4314 3.5), also as an option of LIST (RFC 8440).

use crate::imap::acl;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::Name;
use crate::store::acl::Rights;
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let place = call.context.place(&name)?;
    // RFC 4314 section 4: any of these.
    let enough = [Rights::LOOKUP, Rights::READ, Rights::INSERT, Rights::CREATE, Rights::DELETE, Rights::ADMINISTER];
    place.require_any(enough.into_iter().fold(Rights::NONE, |sum, right| sum.with(right)))?;
    write(&name, place.rights, call.context.enabled.speaks_utf8(), call.out);
    Ok(Reply::ok("Myrights completed").into())
}

/// The MYRIGHTS response.
pub(super) fn write(name: &Name, rights: Rights, utf8: bool, out: &mut Out) {
    out.put("* MYRIGHTS ");
    response::mailbox(out.buffer(), name, utf8);
    out.put(" ");
    response::astring(out.buffer(), acl::letters(rights).as_bytes());
    out.line("");
}
