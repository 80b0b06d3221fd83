//! STARTTLS (RFC 3501 6.2.1).

use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::reply::Reply;
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    if call.context.tls.is_some() {
        return Err(Reply::bad("TLS is in use already"));
    }
    if !call.context.may_start_tls() {
        return Err(Reply::no("UNAVAILABLE", "No certificate is configured"));
    }
    Ok(Begun::Job(Box::new(StartTls)))
}

struct StartTls;

impl Job for StartTls {
    fn step(&mut self, _: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        Ok(Progress::StartTls(Reply::ok("Begin TLS now")))
    }
}
