//! COPY and MOVE, also with UID (RFC 3501 6.4.7, RFC 6851), with COPYUID (RFC 4315).

use crate::imap::job::{Begun, Call};
use crate::imap::place::no_permission;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::Mailbox;
use crate::store::acl::Rights;

pub(super) fn copy(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, false)
}

pub(super) fn move_(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, true)
}

fn begin(mut call: Call<'_>, moves: bool) -> Result<Begun, Reply> {
    call.args.space()?;
    let set = call.args.message_set()?;
    call.args.space()?;
    let target = call.args.mailbox()?;
    call.args.end()?;
    let target = target.name()?;
    let place = call.context.target(&target, Rights::INSERT);
    let selected = if moves { call.context.writable()? } else { call.context.selected()? };
    let picked = selected.view.pick(&set, call.uid)?;
    let uids = selected.view.picked_uids(&picked);
    // RFC 6851 section 4.4: the rights of STORE, COPY and EXPUNGE.
    if moves && !selected.rights.has(Rights::DELETED.with(Rights::EXPUNGE)) {
        return Err(no_permission());
    }
    let place = place?;
    let target = place.mailbox().map_err(Reply::target)?;
    let done = if moves { "Move completed" } else { "Copy completed" };
    if uids.is_empty() {
        return Ok(Reply::ok(done).into());
    }
    let mailbox = &selected.mailbox;
    let rights = place.rights;
    let pairs = if moves { mailbox.move_as(&uids, &target, rights) } else { mailbox.copy_as(&uids, &target, rights) };
    let pairs = pairs.map_err(Reply::target)?;
    if pairs.is_empty() {
        return Err(Reply::no("EXPUNGEISSUED", "All of these messages were expunged"));
    }
    let code = copy_uid(&target, &pairs);
    call.context.target = Some(target);
    if moves {
        // RFC 6851 4.3: COPYUID in an untagged OK, before the EXPUNGE responses.
        Reply::ok_code(code, "Moved").write("*", call.out);
        return Ok(Reply::ok(done).into());
    }
    Ok(Reply::ok_code(code, done).into())
}

/// RFC 4315 section 3: the sets correspond number by number.
fn copy_uid(target: &Mailbox, pairs: &[(u32, u32)]) -> String {
    let sources = response::set(pairs.iter().map(|pair| pair.0));
    let copies = response::set(pairs.iter().map(|pair| pair.1));
    format!("COPYUID {} {sources} {copies}", target.uid_validity())
}
