//! SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2).

use crate::imap::context::Selected;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::view::View;
use crate::notice::Notice;
use crate::store::Name;
use crate::wire::Out;

pub(super) fn select(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, false)
}

pub(super) fn examine(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, true)
}

fn begin(mut call: Call<'_>, examine: bool) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    // RFC 3501 6.3.1: also when it fails, the mailbox that was selected is no longer.
    call.context.unselect();
    let (selected, uid_next) = open(&call, mailbox.name()?, examine)?;
    tell(&selected, uid_next, call.out);
    let read_only = selected.read_only;
    call.context.select(selected);
    let text = if examine { "Examine completed" } else { "Select completed" };
    Ok(Reply::ok_code(if read_only { "READ-ONLY" } else { "READ-WRITE" }, text).into())
}

fn open(call: &Call<'_>, name: Name, examine: bool) -> Result<(Selected, u32), Reply> {
    let mailbox = call.context.store()?.mailbox(&name)?;
    let read_only = examine || mailbox.is_read_only();
    // First the ear, then the eye: what happens between the two is noticed.
    let notice = Notice::new();
    mailbox.listen(notice.raiser());
    let uid_next = mailbox.uid_next();
    let view = View::open(&mailbox, examine);
    Ok((Selected { name, mailbox, view, read_only, notice, memory: None }, uid_next))
}

fn tell(selected: &Selected, uid_next: u32, out: &mut Out) {
    let Selected { mailbox, view, read_only, .. } = selected;
    view.write_flags(*read_only, out);
    out.line(format!("* {} EXISTS", view.count()));
    out.line(format!("* {} RECENT", view.recent_count()));
    if let Some(unseen) = view.first_unseen(mailbox) {
        out.line(format!("* OK [UNSEEN {unseen}] First message that was not seen"));
    }
    out.line(format!("* OK [UIDVALIDITY {}] UIDs are valid", mailbox.uid_validity()));
    // Above every UID told, and not above one that is still to be told.
    let told = view.uids().last().map_or(1, |last| last.saturating_add(1));
    out.line(format!("* OK [UIDNEXT {}] Next UID", told.max(uid_next)));
}
