//! STATUS (RFC 3501 6.3.10), with HIGHESTMODSEQ (RFC 7162), APPENDLIMIT (RFC 7889), SIZE (RFC 8438), MAILBOXID (RFC 8474) and DELETED (RFC 9051).

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call};
use crate::imap::parse::status::StatusItem;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::acl::Rights;
use crate::store::{Mailbox, Name};
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.space()?;
    let items = call.args.status_items()?;
    call.args.end()?;
    let name = mailbox.name()?;
    let mailbox = call.context.place_with(&name, Rights::READ)?.mailbox()?;
    if items.contains(&StatusItem::HighestModseq) {
        call.context.enable_condstore(call.out);
    }
    write(&name, &items, &mailbox, call.context, call.out);
    Ok(Reply::ok("Status completed").into())
}

/// The untagged STATUS response.
pub(super) fn write(name: &Name, items: &[StatusItem], mailbox: &Mailbox, context: &Context, out: &mut Out) {
    out.put("* STATUS ");
    response::mailbox(out.buffer(), name, context.enabled.speaks_utf8());
    out.put(" ");
    let status = mailbox.status();
    let words: Vec<String> = StatusItem::TABLE
        .iter()
        .filter(|row| items.contains(&row.0))
        .map(|(item, word)| {
            let value: u64 = match item {
                StatusItem::Messages => status.messages.into(),
                StatusItem::Recent => status.recent.into(),
                StatusItem::UidNext => status.uid_next.into(),
                StatusItem::UidValidity => status.uid_validity.into(),
                StatusItem::Unseen => status.unseen.into(),
                StatusItem::Deleted => status.deleted.into(),
                StatusItem::DeletedStorage => mailbox.deleted_size(),
                StatusItem::HighestModseq => status.highest_modseq,
                StatusItem::Size => mailbox.size(),
                StatusItem::AppendLimit => context.append_limit(),
                StatusItem::MailboxId => return format!("{word} ({})", response::mailbox_id(mailbox)),
            };
            format!("{word} {value}")
        })
        .collect();
    response::list(out.buffer(), words.iter().map(String::as_str));
    out.line("");
}
