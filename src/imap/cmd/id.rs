//! ID (RFC 2971): who we are. What the client says of itself is checked, and forgotten.

use crate::imap::job::{Begun, Call};
use crate::imap::parse::{Cursor, Result as Parsed};
use crate::imap::reply::Reply;

/// Field-value pairs that a client may send (RFC 2971 3.3).
const MAX_FIELDS: usize = 30;
/// Bytes of a field's name (RFC 2971 3.3).
const MAX_FIELD: usize = 30;
/// Bytes of a value (RFC 2971 3.3).
const MAX_VALUE: usize = 1024;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    if !call.args.eat_text("NIL") {
        fields(&mut call.args)?;
    }
    call.args.end()?;
    // The version stays out: who attacks a server looks for it first.
    call.out.line("* ID (\"name\" \"Mailcote\")");
    Ok(Reply::ok("ID completed").into())
}

fn fields(cursor: &mut Cursor<'_>) -> Parsed<()> {
    let mut name_next = true;
    let strings = cursor.list(|cursor| {
        let limit = if name_next { MAX_FIELD } else { MAX_VALUE };
        let value = if name_next { Some(cursor.string()?) } else { cursor.nstring()? };
        name_next = !name_next;
        if value.is_some_and(|value| value.len() > limit) {
            return cursor.bad("ID field is too long");
        }
        Ok(())
    })?;
    if strings.len() % 2 != 0 {
        return cursor.bad("ID field without a value");
    }
    if strings.len() / 2 > MAX_FIELDS {
        return cursor.bad("too many ID fields");
    }
    Ok(())
}
