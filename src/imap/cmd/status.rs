//! STATUS (RFC 3501 6.3.10).

use crate::imap::job::{Begun, Call};
use crate::imap::parse::status::StatusItem;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::{Name, Status};
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.space()?;
    let items = call.args.status_items()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let status = call.context.store()?.status(&name)?;
    write(&name, &items, &status, call.out);
    Ok(Reply::ok("Status completed").into())
}

/// The untagged STATUS response.
pub(super) fn write(name: &Name, items: &[StatusItem], status: &Status, out: &mut Out) {
    out.put("* STATUS ");
    response::mailbox(out.buffer(), name);
    out.put(" ");
    let words: Vec<String> = StatusItem::TABLE
        .iter()
        .filter(|row| items.contains(&row.0))
        .map(|(item, word)| {
            let value = match item {
                StatusItem::Messages => status.messages,
                StatusItem::Recent => status.recent,
                StatusItem::UidNext => status.uid_next,
                StatusItem::UidValidity => status.uid_validity,
                StatusItem::Unseen => status.unseen,
            };
            format!("{word} {value}")
        })
        .collect();
    response::list(out.buffer(), words.iter().map(String::as_str));
    out.line("");
}
