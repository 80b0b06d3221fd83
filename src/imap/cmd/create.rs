//! CREATE and DELETE (RFC 3501 6.3.3, 6.3.4; CREATE-SPECIAL-USE, RFC 6154).

use crate::imap::job::{Begun, Call};
use crate::imap::parse::{Cursor, Result as Parsed};
use crate::imap::reply::Reply;
use crate::store::{Role, Store};

pub(super) fn create(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    let uses = uses(&mut call.args)?;
    call.args.end()?;
    let name = mailbox.name_to_be()?;
    let store = call.context.store()?;
    store.create(&name, role(store, &uses)?)?;
    Ok(Reply::ok("Create completed").into())
}

/// ` (USE (\Sent))`, if it is there.
fn uses<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<&'a str>> {
    if !cursor.clone().eat(b' ') || cursor.rest() == b" " {
        return Ok(Vec::new());
    }
    cursor.space()?;
    let parameters = cursor.list1(|cursor| {
        if !cursor.word()?.eq_ignore_ascii_case("USE") {
            return cursor.bad("no such CREATE parameter");
        }
        cursor.space()?;
        cursor.list(|cursor| {
            cursor.expect(b'\\', "expected a use attribute such as \\Sent")?;
            cursor.atom()
        })
    })?;
    Ok(parameters.concat())
}

fn role(store: &Store, uses: &[&str]) -> Result<Option<Role>, Reply> {
    // RFC 6154 section 3: refuse what cannot be had, with this code.
    let refuse = |why: &'static str| Err(Reply::no("USEATTR", why));
    let wanted = match uses {
        [] => return Ok(None),
        [one] => Role::from_attribute(&format!("\\{one}")),
        _ => return refuse("A mailbox can have one special use"),
    };
    match wanted {
        None => refuse("No such special use"),
        Some(Role::All | Role::Flagged) => refuse("Mailboxes that gather other mailboxes' messages are not supported"),
        Some(role) if store.folders()?.iter().any(|folder| folder.exists && folder.role == Some(role)) => {
            refuse("Another mailbox has this special use")
        }
        Some(role) => Ok(Some(role)),
    }
}

pub(super) fn delete(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    call.args.end()?;
    let name = mailbox.name()?;
    call.context.store()?.delete(&name)?;
    if call.context.selected().is_ok_and(|selected| selected.name == name) {
        call.context.unselect();
    }
    Ok(Reply::ok("Delete completed").into())
}
