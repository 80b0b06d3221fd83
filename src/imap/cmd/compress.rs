//! COMPRESS (RFC 4978): everything behind the reply is compressed, both ways.
//!
//! The connection does it ([`crate::wire::Want::Compress`]); the session only says from where. Nothing may follow the command before its reply
//! (section 3: "The client MUST NOT send any further commands"): nobody could say whether it is compressed, so the conversation ends.

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::reply::Reply;
use crate::wire::Out;

/// `COMPRESS DEFLATE`
pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let algorithm = call.args.atom()?;
    let is_known = algorithm.eq_ignore_ascii_case("DEFLATE");
    call.args.end()?;
    if !is_known {
        return Err(Reply::bad("DEFLATE is the only algorithm"));
    }
    if call.context.compressed {
        // Section 3: the code is a MUST, and the text is to say which layer compresses.
        return Err(Reply::no("COMPRESSIONACTIVE", "DEFLATE is active by COMPRESS"));
    }
    Ok(Begun::Job(Box::new(Compress)))
}

struct Compress;

impl Job for Compress {
    fn step(&mut self, _: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        Ok(Progress::Compress(Reply::ok("DEFLATE active")))
    }
}
