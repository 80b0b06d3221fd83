//! GETMETADATA (RFC 5464 section 4.2).

use std::vec::IntoIter;

use crate::imap::annotations::{self, Target};
use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::Mailbox;
use crate::imap::parse::metadata::EntryName;
use crate::imap::reply::Reply;
use crate::wire::Out;

/// Bytes of values in one response, more or less: a long answer is several responses (RFC 5464 section 4.4).
const RESPONSE: usize = 16 * 1024;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let get = call.args.get_metadata()?;
    let target = target(&get.mailbox)?;
    let values = annotations::values(call.context, &target, &get.entries, get.depth)?;
    let (picked, longest) = annotations::pick(values, &get.entries, get.depth, get.max_size);
    let reply = match longest {
        // RFC 5464 section 4.2.1.
        Some(size) => Reply::ok_code(format!("METADATA LONGENTRIES {size}"), "Getmetadata completed"),
        None => Reply::ok("Getmetadata completed"),
    };
    Ok(Begun::Job(Box::new(GetMetadata { target, picked: picked.into_iter(), reply })))
}

/// What the mailbox of the command names.
pub(super) fn target(mailbox: &Mailbox<'_>) -> Result<Target, Reply> {
    if mailbox.is_empty() { Ok(Target::Server) } else { mailbox.name().map(Target::Mailbox) }
}

struct GetMetadata {
    target: Target,
    picked: IntoIter<(EntryName, Option<Vec<u8>>)>,
    reply: Reply,
}

impl Job for GetMetadata {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        while !out.full() {
            let mut size = 0;
            let mut fits = |(_, value): &(EntryName, Option<Vec<u8>>)| {
                let before = size;
                size += value.as_ref().map_or(0, Vec::len);
                before < RESPONSE
            };
            let some: Vec<_> = self.picked.as_slice().iter().take_while(|entry| fits(entry)).cloned().collect();
            if some.is_empty() {
                return Ok(Progress::Done(self.reply.clone()));
            }
            annotations::write(&self.target, &some, context.enabled.speaks_utf8(), out);
            self.picked.nth(some.len() - 1);
        }
        Ok(Progress::Continue)
    }
}
