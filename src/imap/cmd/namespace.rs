//! NAMESPACE (RFC 2342): a personal namespace, and one for what other users share, both with the separator `/`.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::mail::utf7;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    call.out.put("* NAMESPACE ((\"\" \"/\")) ");
    match call.context.sharing().map(|sharing| format!("{}/", sharing.prefix)) {
        Some(prefix) => {
            call.out.put("((");
            if call.context.enabled.speaks_utf8() {
                response::quoted(call.out.buffer(), &prefix);
            } else {
                response::string(call.out.buffer(), utf7::encode(&prefix).as_bytes());
            }
            call.out.put(" \"/\"))");
        }
        None => call.out.put("NIL"),
    }
    call.out.line(" NIL");
    Ok(Reply::ok("Namespace completed").into())
}
