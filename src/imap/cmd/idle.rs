//! IDLE (RFC 2177): tell what anybody does in the open mailbox, until the client says DONE.

use crate::imap::context::{Context, State};
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::reply::{MAILBOX_GONE, Reply};
use crate::notice::Notice;
use crate::store;
use crate::wire::Out;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    // Who waits needs no other folder open.
    call.context.target = None;
    Ok(Begun::Job(Box::new(Idle)))
}

struct Idle;

impl Job for Idle {
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let woken = matches!(wake, Wake::Notice);
        match wake {
            Wake::Begin => {
                if let Ok(selected) = context.selected() {
                    selected.memory = None;
                }
                // First the ear, then the eye.
                context.listen_for_annotations();
                out.line("+ Idling");
            }
            Wake::Line(line) if line.eq_ignore_ascii_case(b"DONE") => {
                return Ok(Progress::Done(Reply::ok("Idle completed")));
            }
            Wake::Line(_) => return Err(Reply::bad("Expected DONE")),
            Wake::Flushed | Wake::Notice | Wake::Answer(_) => {}
        }
        if !context.tell_others(out) {
            return Ok(Progress::Continue);
        }
        match context.announce(true, false, woken, out) {
            Ok(_) if context.is_broken() => return Ok(Progress::Abort),
            Ok(true) => {}
            Ok(false) => return Ok(Progress::Continue),
            // Not waiting for DONE: the session finds the same and says BYE.
            Err(store::Error::NotFound) => return Err(Reply::no("NONEXISTENT", MAILBOX_GONE)),
            // Logged; the next notice may find the disk in better health.
            Err(error) => drop(Reply::from(error)),
        }
        Ok(notice(context).map_or(Progress::Line, Progress::LineOrNotice))
    }
}

/// What to wait for, if there is anything to be told.
fn notice(context: &Context) -> Option<Notice> {
    let is_open = matches!(context.state, State::Selected(..));
    if is_open || context.enabled.metadata { Some(context.notice.clone()) } else { context.ear() }
}
