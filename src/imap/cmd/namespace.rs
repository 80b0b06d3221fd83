//! NAMESPACE (RFC 2342): one personal namespace with the separator `/`; no other users', none shared.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    call.out.line("* NAMESPACE ((\"\" \"/\")) NIL NIL");
    Ok(Reply::ok("Namespace completed").into())
}
