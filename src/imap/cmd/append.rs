//! APPEND (RFC 3501 6.3.11, APPENDUID of RFC 4315).
//!
//! The message never lies in memory. When its literal is announced, everything that can be refused is refused (size,
//! mailbox), before a byte of it is sent where the client waits; then it streams into a draft in `tmp/`. The command itself
//! comes when its line ends, and finds the upload in the context. An upload whose command never comes, or is refused, is dropped, and
//! its file with it.

use std::sync::Arc;

use crate::imap::context::Context;
use crate::imap::frame::Verdict;
use crate::imap::job::{Begun, Call};
use crate::imap::parse::{Cursor, FlagSet, Mailbox, Result as Parsed};
use crate::imap::reply::Reply;
use crate::store::{self, Draft};

/// A message that is being read, or was read.
pub struct Upload {
    mailbox: Arc<store::Mailbox>,
    /// The draft, or why there is none any more.
    draft: Result<Draft, Reply>,
}

impl Upload {
    /// Add bytes. A failure is remembered; the rest of the literal is read and dropped, and the command answers.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Ok(draft) = &mut self.draft
            && let Err(error) = draft.write(bytes)
        {
            self.draft = Err(error.into());
        }
    }
}

/// What stands before the message.
struct Arguments<'a> {
    mailbox: Mailbox<'a>,
    flags: FlagSet,
    date: Option<i64>,
}

fn arguments<'a>(cursor: &mut Cursor<'a>) -> Parsed<Arguments<'a>> {
    cursor.space()?;
    let mailbox = cursor.mailbox()?;
    cursor.space()?;
    let mut flags = FlagSet::default();
    if cursor.peek() == Some(b'(') {
        flags = cursor.flags()?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        date = Some(cursor.date_time()?);
        cursor.space()?;
    }
    Ok(Arguments { mailbox, flags, date })
}

/// A literal of APPEND is announced: the message, if everything before it is there; else the mailbox's name.
pub(super) fn announced(context: &mut Context, mut before: Cursor<'_>, size: u64) -> Verdict {
    match arguments(&mut before) {
        Ok(arguments) if before.at_end() => match open(context, &arguments, size) {
            Ok(upload) => {
                context.upload = Some(upload);
                Verdict::Stream
            }
            Err(reply) => Verdict::Refuse(reply),
        },
        Ok(_) => Verdict::Keep,
        // A name may still come as this literal; anything else is wrong already, and the message need not be sent.
        Err(_) if before.at_end() => Verdict::Keep,
        Err(bad) => Verdict::Refuse(bad.into()),
    }
}

fn open(context: &mut Context, arguments: &Arguments<'_>, size: u64) -> Result<Upload, Reply> {
    let limit = context.shared.settings.max_message_size;
    if size > limit {
        // RFC 4469 section 5.
        return Err(Reply::no("TOOBIG", format!("Message is larger than {limit} bytes")));
    }
    if size == 0 {
        return Err(Reply::no("CANNOT", "Message is empty"));
    }
    let store = context.store()?;
    let mailbox = store.mailbox(&arguments.mailbox.name()?).map_err(Reply::target)?;
    if mailbox.is_read_only() {
        return Err(Reply::no("NOPERM", "Mailbox is read-only"));
    }
    let draft = store.draft()?;
    context.target = Some(Arc::clone(&mailbox));
    Ok(Upload { mailbox, draft: Ok(draft) })
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let Arguments { flags, date, .. } = arguments(&mut call.args)?;
    let Some(upload) = call.context.upload.take() else {
        return call.args.bad("expected the message as a literal").map_err(Reply::from);
    };
    call.args.literal_head()?;
    call.args.end()?;
    let draft = upload.draft?;
    let uids = upload.mailbox.append(vec![(draft, flags.flags, flags.keywords, date)]).map_err(Reply::target)?;
    let uids = crate::imap::response::set(uids.into_iter());
    Ok(Reply::ok_code(format!("APPENDUID {} {uids}", upload.mailbox.uid_validity()), "Append completed").into())
}
