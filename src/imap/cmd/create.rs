//! CREATE (RFC 3501 6.3.3), with a special use (CREATE-SPECIAL-USE, RFC 6154) and the new mailbox's id (RFC 8474).

use crate::imap::job::{Begun, Call};
use crate::imap::parse::{Cursor, Result as Parsed};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::{Done, Error, Role};

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    let uses = uses(&mut call.args)?;
    call.args.end()?;
    let name = mailbox.name_to_be()?;
    let role = role(&uses)?;
    let (store, folder, owner) = call.context.place_for_new(&name)?;
    if owner.is_some() && role.is_some() {
        return Err(refused("a special use belongs to a mailbox of one's own"));
    }
    let turn = store.lookout().turn();
    store.create(&folder, role).map_err(|error| match error {
        Error::Cannot(why) if role.is_some() => refused(why),
        other => other.into(),
    })?;
    turn.did(call.context.serial, Done::Created(folder.clone()));
    drop(turn);
    // RFC 8474 4.1: it is opened for its id, which makes its uidlist.
    let mailbox = store.mailbox(&folder)?;
    Ok(Reply::ok_code(format!("MAILBOXID ({})", response::mailbox_id(&mailbox)), "Create completed").into())
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

fn role(uses: &[&str]) -> Result<Option<Role>, Reply> {
    let [one] = uses else {
        return if uses.is_empty() { Ok(None) } else { Err(refused("a mailbox can have one special use")) };
    };
    Role::from_attribute(&format!("\\{one}")).map(Some).ok_or_else(|| refused("no such special use"))
}

/// RFC 6154 section 3: a mailbox that cannot have the use it is wanted for is not made.
fn refused(why: &'static str) -> Reply {
    Reply::no("USEATTR", why)
}
