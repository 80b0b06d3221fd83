//! APPEND (RFC 3501 6.3.11) with MULTIAPPEND (RFC 3502), CATENATE (RFC 4469), literal8 (RFC 3516) and UTF8 (RFC 6855),
//! answered with APPENDUID (RFC 4315).
//!
//! ```text
//! append  = "APPEND" SP mailbox 1*message
//! message = SP [flags SP] [date-time SP] data
//! data    = literal / literal8 / "UTF8" SP "(" literal8 ")" / "CATENATE" SP "(" part *(SP part) ")"
//! part    = "TEXT" SP literal / "UTF8" SP "(" literal8 ")" / "URL" SP astring
//! ```
//!
//! When a literal is announced, everything that can be refused is refused (size, mailbox, URLs before it), before a byte of it is sent where the client
//! waits; then it streams into an [`Upload`], which waits in the context for the command's end. An upload whose command never
//! comes, or is refused, is dropped, and its files with it. All messages come into the folder together or none does.

use crate::imap::context::Context;
use crate::imap::frame::Verdict;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::{Cursor, FlagSet};
use crate::imap::reply::Reply;
use crate::imap::upload::{Checks, Place, Upload, Whole};
use crate::imap::{response, url};
use crate::store::Mailbox;
use crate::wire::Out;

/// Messages made durable in one step: each costs a sync.
const SYNCS_A_STEP: usize = 8;

/// Which command is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Append,
    /// REPLACE has a message before the mailbox, and one message only.
    Replace,
}

/// A literal of APPEND is announced.
pub(super) fn announced(context: &mut Context, before: Cursor<'_>, size: u64, _: bool) -> Verdict {
    literal(context, before, size, Kind::Append)
}

/// A literal is announced: a message or a piece of one if its turn has come; else a name.
pub(super) fn literal(context: &mut Context, before: Cursor<'_>, size: u64, kind: Kind) -> Verdict {
    let mut upload = take_upload(context);
    match read(&mut upload, context, before, Some(size), kind) {
        Ok(verdict) => {
            if matches!(verdict, Verdict::Stream) {
                context.target = upload.mailbox().cloned();
            }
            context.upload = Some(upload);
            verdict
        }
        Err(reply) => Verdict::Refuse(reply),
    }
}

/// What is being uploaded, or a new upload; to be put back.
pub(super) fn take_upload(context: &mut Context) -> Upload {
    let limit = context.shared.settings.max_message_size;
    context.upload.take().unwrap_or_else(|| Upload::new(limit))
}

/// Read on in the command: up to the literal of this size that is announced, or to the end.
pub(super) fn read(
    upload: &mut Upload,
    context: &mut Context,
    mut cursor: Cursor<'_>,
    literal: Option<u64>,
    kind: Kind,
) -> Result<Verdict, Reply> {
    if upload.place != Place::Start {
        cursor.go_to(upload.at);
    }
    loop {
        let step = match upload.place {
            Place::Start => start(upload, &mut cursor, literal, kind)?,
            Place::Message if literal.is_none() && upload.count() > 0 && cursor.clone().end().is_ok() => {
                return Ok(Verdict::Keep);
            }
            Place::Message if kind == Kind::Replace && upload.count() > 0 => {
                return Err(Reply::bad("REPLACE takes one message"));
            }
            Place::Message => message(upload, context, &mut cursor, literal)?,
            Place::Literal { utf8, part } => {
                cursor.eat(b'~');
                cursor.literal_head()?;
                if utf8 {
                    cursor.expect(b')', "expected ) after UTF8 (literal")?;
                }
                if !part {
                    upload.end()?;
                }
                upload.place = if part { Place::Part { first: false } } else { Place::Message };
                None
            }
            Place::Part { first: false } if cursor.eat(b')') => {
                upload.end()?;
                upload.place = Place::Message;
                None
            }
            Place::Part { first } => part(upload, context, &mut cursor, literal, first)?,
        };
        match step {
            Some(verdict) => return Ok(verdict),
            None => upload.at = cursor.position(),
        }
    }
}

/// Is a literal announced here? It can be nothing but a name or a URL.
fn awaits_name(cursor: &Cursor<'_>, literal: Option<u64>) -> bool {
    literal.is_some() && cursor.at_end()
}

fn start(
    upload: &mut Upload,
    cursor: &mut Cursor<'_>,
    literal: Option<u64>,
    kind: Kind,
) -> Result<Option<Verdict>, Reply> {
    cursor.space()?;
    if kind == Kind::Replace {
        cursor.sequence_set()?;
        cursor.space()?;
    }
    if awaits_name(cursor, literal) {
        return Ok(Some(Verdict::Keep));
    }
    upload.target = Some(cursor.mailbox()?.name()?);
    upload.place = Place::Message;
    Ok(None)
}

fn message(
    upload: &mut Upload,
    context: &mut Context,
    cursor: &mut Cursor<'_>,
    literal: Option<u64>,
) -> Result<Option<Verdict>, Reply> {
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
    if cursor.eat_text("CATENATE (") {
        upload.begin(context, flags, date)?;
        upload.place = Place::Part { first: true };
        return Ok(None);
    }
    let Some((size, checks)) = data(context, cursor, literal)? else {
        return cursor.bad("expected the message as a literal").map_err(Reply::from);
    };
    if size > context.shared.settings.max_message_size {
        return Err(crate::imap::upload::too_big(context.shared.settings.max_message_size));
    }
    if size == 0 {
        return Err(Reply::no("CANNOT", "Message is empty"));
    }
    upload.begin(context, flags, date)?;
    stream(upload, cursor, size, checks, false).map(Some)
}

fn part(
    upload: &mut Upload,
    context: &mut Context,
    cursor: &mut Cursor<'_>,
    literal: Option<u64>,
    first: bool,
) -> Result<Option<Verdict>, Reply> {
    if !first {
        cursor.expect(b' ', "expected a space or ) after a part")?;
    }
    if cursor.eat_text("URL ") {
        if awaits_name(cursor, literal) {
            return Ok(Some(Verdict::Keep));
        }
        let text = cursor.astring()?;
        url::copy(context, &text, upload)?;
        upload.place = Place::Part { first: false };
        return Ok(None);
    }
    let text = cursor.eat_text("TEXT ");
    let is_utf8 = cursor.rest().len() >= 4 && cursor.rest()[..4].eq_ignore_ascii_case(b"UTF8");
    match data(context, cursor, literal)? {
        Some((size, checks)) if text != is_utf8 => stream(upload, cursor, size, checks, true).map(Some),
        _ => cursor.bad("expected TEXT and a literal, UTF8 (literal8) or URL").map_err(Reply::from),
    }
}

/// The forms of a literal that carries mail, if it is announced here: its size and what it may contain.
fn data(context: &Context, cursor: &mut Cursor<'_>, literal: Option<u64>) -> Result<Option<(u64, Checks)>, Reply> {
    let utf8 = cursor.eat_text("UTF8 (");
    if utf8 && !context.enabled.utf8 {
        return Err(Reply::bad("ENABLE UTF8=ACCEPT comes before UTF8 (...)"));
    }
    let binary = cursor.rest() == b"~";
    let here = literal.filter(|_| binary || cursor.at_end() && !utf8);
    Ok(here.map(|size| (size, Checks { binary: binary && !utf8, utf8: utf8 || context.enabled.speaks_utf8() })))
}

fn stream(upload: &mut Upload, cursor: &Cursor<'_>, size: u64, checks: Checks, part: bool) -> Result<Verdict, Reply> {
    upload.announce(size, checks)?;
    upload.at = cursor.position();
    upload.place = Place::Literal { utf8: checks.utf8 && cursor.is_behind(b'('), part };
    Ok(Verdict::Stream)
}

pub(super) fn begin(call: Call<'_>) -> Result<Begun, Reply> {
    let whole = finish(call.context, call.args, Kind::Append)?;
    if whole.messages.len() == 1 {
        return add(call.context, whole).map(Begun::Done);
    }
    Ok(Begun::Job(Box::new(Append { whole: Some(whole), ready: 0 })))
}

/// The command is complete.
pub(super) fn finish(context: &mut Context, args: Cursor<'_>, kind: Kind) -> Result<Whole, Reply> {
    let mut upload = take_upload(context);
    read(&mut upload, context, args, None, kind)?;
    upload.finish()
}

fn add(context: &mut Context, whole: Whole) -> Result<Reply, Reply> {
    const DONE: &str = "Append completed";
    let Whole { mailbox, messages, tells_uids, held: _held } = whole;
    let uids = mailbox.append(messages).map_err(Reply::target)?;
    context.made(&mailbox, &uids);
    Ok(if tells_uids { Reply::ok_code(append_uid(&mailbox, &uids), DONE) } else { Reply::ok(DONE) })
}

/// RFC 4315 section 3.
pub(super) fn append_uid(mailbox: &Mailbox, uids: &[u32]) -> String {
    format!("APPENDUID {} {}", mailbox.uid_validity(), response::set(uids.iter().copied()))
}

/// Several messages on their way into the folder.
struct Append {
    /// Until they are there.
    whole: Option<Whole>,
    /// So many of them are on the disk.
    ready: usize,
}

impl Job for Append {
    fn step(&mut self, context: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        let Some(mut whole) = self.whole.take() else { return Err(Reply::bad("Expected the messages as literals")) };
        let count = whole.messages.len();
        let end = count.min(self.ready + SYNCS_A_STEP);
        for (draft, _, _, date) in &mut whole.messages[self.ready..end] {
            if let Some(date) = date.take() {
                draft.set_date(date)?;
            }
            draft.sync()?;
        }
        self.ready = end;
        if end < count {
            self.whole = Some(whole);
            return Ok(Progress::Continue);
        }
        add(context, whole).map(Progress::Done)
    }
}
