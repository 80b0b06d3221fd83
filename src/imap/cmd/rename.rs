//! RENAME (RFC 3501 6.3.5).
//!
//! If the client renames the mailbox that it has open, or one above it, it keeps it open under the new name: UIDs and
//! numbers stay what they were.

use std::sync::Arc;

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::store::Name;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let from = call.args.mailbox()?;
    call.args.space()?;
    let to = call.args.mailbox()?;
    call.args.end()?;
    let (from, to) = (from.name()?, to.name_to_be()?);
    call.context.store()?.rename(&from, &to)?;
    if !from.is_inbox() {
        follow(call.context, &from, &to)?;
    }
    Ok(Reply::ok("Rename completed").into())
}

fn follow(context: &mut Context, from: &Name, to: &Name) -> Result<(), Reply> {
    let store = Arc::clone(context.store()?);
    let Ok(selected) = context.selected() else {
        return Ok(());
    };
    let Some(below) = selected.name.as_str().strip_prefix(from.as_str()) else {
        return Ok(());
    };
    if !(below.is_empty() || below.starts_with('/')) {
        return Ok(());
    }
    let opened = Name::parse(&format!("{to}{below}")).and_then(|name| Ok((store.mailbox(&name)?, name)));
    match opened {
        Ok((mailbox, name)) => {
            mailbox.listen(selected.notice.raiser());
            selected.view.reopened();
            (selected.mailbox, selected.name) = (mailbox, name);
        }
        Err(error) => {
            // The rename is done and stays; only the open mailbox is lost.
            drop(Reply::from(error));
            context.unselect();
        }
    }
    Ok(())
}
