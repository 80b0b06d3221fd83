//! CANCELUPDATE (RFC 5267 4.3.5): results of these searches are not kept up to date any more.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let mut tags = Vec::new();
    loop {
        call.args.space()?;
        tags.push(String::from_utf8_lossy(&call.args.string()?).into_owned());
        if call.args.clone().end().is_ok() {
            break;
        }
    }
    call.args.end()?;
    let updates = &mut call.context.selected()?.updates;
    if let Some(unknown) = tags.iter().position(|tag| !updates.has(tag)) {
        tracing::debug!(place = unknown, "no such update");
        return Err(Reply::no("NONEXISTENT", "No search with this tag is kept up to date"));
    }
    for tag in &tags {
        updates.cancel(tag);
    }
    Ok(Reply::ok("No further updates").into())
}
