//! RENAME (RFC 3501 6.3.5).
//!
//! If the client renames the mailbox that it has open, or one above it, it keeps it open under the new name: UIDs and
//! numbers stay what they were.

use std::sync::Arc;

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call};
use crate::imap::place::Place;
use crate::imap::reply::Reply;
use crate::store::acl::Rights;
use crate::store::{Done, Name};

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let from = call.args.mailbox()?;
    call.args.space()?;
    let to = call.args.mailbox()?;
    call.args.end()?;
    let (from, to) = (from.name()?, to.name_to_be()?);
    let source =
        call.context.place_with(&from, Rights::DELETE).or_else(|refused| implied(call.context, &from, refused))?;
    let (store, folder, _) = call.context.place_for_new(&to)?;
    if !Arc::ptr_eq(&store, &source.store) {
        return Err(Reply::no("CANNOT", "A mailbox cannot be renamed into another user's account; copy its messages"));
    }
    if source.owner.is_some() && source.name.is_inbox() {
        return Err(Reply::no("CANNOT", "Another user's INBOX cannot be renamed"));
    }
    {
        let turn = store.lookout().turn();
        store.rename(&source.name, &folder)?;
        turn.did(call.context.serial, Done::Renamed(source.name.clone(), folder));
    }
    if !from.is_inbox() {
        follow(call.context, &from, &to)?;
    }
    Ok(Reply::ok("Rename completed").into())
}

/// A name without a mailbox that has some below it can be renamed, by its owner.
fn implied(context: &Context, name: &Name, refused: Reply) -> Result<Place, Reply> {
    let store = context.store()?;
    let has_children = || store.folders().map(|folders| folders.iter().any(|folder| folder.name == *name));
    if refused.code.as_deref() == Some("NONEXISTENT") && !context.is_elsewhere(name) && has_children()? {
        return Ok(Place { store: Arc::clone(store), name: name.clone(), owner: None, rights: Rights::ALL });
    }
    Err(refused)
}

fn follow(context: &mut Context, from: &Name, to: &Name) -> Result<(), Reply> {
    let Ok(selected) = context.selected() else {
        return Ok(());
    };
    let Some(below) = selected.name.as_str().strip_prefix(from.as_str()) else {
        return Ok(());
    };
    if !(below.is_empty() || below.starts_with('/')) {
        return Ok(());
    }
    let name = format!("{to}{below}");
    let opened = Name::parse(&name).and_then(|name| Ok((context.place(&name)?.mailbox()?, name)));
    match opened {
        Ok((mailbox, name)) => {
            let selected = context.selected()?;
            mailbox.listen(selected.notice.raiser());
            selected.view.reopened(&mailbox);
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
