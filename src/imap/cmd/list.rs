//! LIST (RFC 3501 6.3.8) with LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154) and CHILDREN (RFC
//! 3348); LIST-METADATA (RFC 9590), LIST-MYRIGHTS (RFC 8440); XLIST, Gmail's older way to tell special uses; LSUB (RFC 3501 6.3.9).
//!
//! Which names are listed is [`Listing`]'s business; here they are written, a step at a time, since each may cost a STATUS.

use std::sync::Arc;
use std::vec::IntoIter;

use super::{myrights, status};
use crate::imap::annotations::{self, Target};
use crate::imap::context::Context;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::listing::{Line, Listing};
use crate::imap::parse::list::{Returns, Select};
use crate::imap::parse::metadata::Depth;
use crate::imap::parse::status::StatusItem;
use crate::imap::pattern::Pattern;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::acl::Rights;
use crate::store::{Error, Mailbox, Name, Role};
use crate::wire::Out;

/// STATUS and METADATA responses in one step: each may read a directory or a file.
const STATUS_A_STEP: usize = 16;

/// Which command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    List,
    /// LIST with any of its extensions: attributes of RFC 5258.
    Extended,
    Xlist,
    Lsub,
}

pub(super) fn list(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, Form::List)
}

pub(super) fn xlist(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, Form::Xlist)
}

pub(super) fn lsub(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, Form::Lsub)
}

fn begin(mut call: Call<'_>, form: Form) -> Result<Begun, Reply> {
    let arguments = call.args.list_arguments()?;
    let form = match form {
        Form::List if arguments.extended => Form::Extended,
        Form::Xlist | Form::Lsub if arguments.extended => return Err(Reply::bad("Only LIST has options")),
        plain => plain,
    };
    let root = arguments.patterns.len() == 1 && arguments.patterns[0].is_empty();
    if root && form != Form::Extended {
        // RFC 3501 6.3.8: an empty name asks for the separator and the root of the reference.
        call.out.line(format!("* {} (\\Noselect) \"/\" \"\"", form.word()));
        return Ok(Reply::ok(form.done()).into());
    }
    let utf8 = call.context.enabled.speaks_utf8();
    let patterns = arguments.patterns.iter();
    let patterns: Vec<Pattern> =
        patterns.filter_map(|pattern| Pattern::speaking(&arguments.reference, pattern, utf8)).collect();
    let store = call.context.store()?;
    let listing = if form == Form::Lsub {
        Listing::subscribed(store.subscriptions()?, &patterns)
    } else {
        let asks = arguments.select.subscribed || arguments.returns.subscribed;
        let subscriptions = if asks { store.subscriptions()? } else { Default::default() };
        let mut folders = store.folders()?;
        folders.extend(call.context.shared_folders(&patterns)?);
        Listing::select(folders, subscriptions, &patterns, arguments.select)
    };
    Ok(Begun::Job(Box::new(List { form, returns: arguments.returns, lines: listing.0.into_iter(), no_right: false })))
}

struct List {
    form: Form,
    returns: Returns,
    lines: IntoIter<Line>,
    /// The mailbox in hand is there, but may not be read.
    no_right: bool,
}

impl Job for List {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        if self.returns.status.contains(&StatusItem::HighestModseq) {
            // RFC 7162 3.1: a STATUS like any other.
            context.enable_condstore(out);
        }
        let mut asked = 0;
        while let Some(mut line) = self.lines.next() {
            let mut status = None;
            self.no_right = false;
            // RFC 5819 section 2: for what can be selected and was selected by its own merit.
            if !self.returns.status.is_empty() && line.exists && line.meets {
                asked += 1;
                status = match readable(context, &line.name) {
                    Ok(mailbox) => {
                        self.no_right = mailbox.is_none();
                        mailbox
                    }
                    Err(Error::NotFound) => {
                        line.exists = false;
                        None
                    }
                    // RFC 5819 section 2: the reply may be dropped; the cause is in the log.
                    Err(error) => {
                        drop(Reply::from(error));
                        None
                    }
                };
            }
            self.write(&line, None, context.enabled.speaks_utf8(), out);
            if let Some(found) = status {
                status::write(&line.name, &self.returns.status, &found, context, out);
            }
            if self.returns.my_rights && line.exists && line.meets {
                asked += 1;
                // RFC 8440 section 3: what cannot be looked up is not sent.
                if let Ok(place) = context.place(&line.name) {
                    myrights::write(&line.name, place.rights, context.enabled.speaks_utf8(), out);
                }
            }
            if !self.returns.metadata.is_empty() && line.exists && line.meets {
                asked += 1;
                self.write_metadata(&line, context, out);
            }
            if out.full() || asked >= STATUS_A_STEP {
                return Ok(Progress::Continue);
            }
        }
        Ok(Progress::Done(Reply::ok(self.form.done())))
    }
}

/// The LIST response of a mailbox that is there, for SELECT (RFC 9051 6.3.2); `old` is the spelling that the client used for it.
pub(super) fn one(context: &Context, name: &Name, old: Option<&str>, out: &mut Out) -> Result<(), Reply> {
    let all: Vec<Pattern> = Pattern::new(b"", b"*").into_iter().collect();
    let mut folders = context.store()?.folders()?;
    if context.is_elsewhere(name) {
        folders.extend(context.shared_folders(&all)?);
    }
    folders.retain(|folder| folder.name == *name || folder.name.is_below(name));
    let lines = Listing::select(folders, Default::default(), &all, Select::default()).0;
    let list = List { form: Form::List, returns: Returns::default(), lines: Vec::new().into_iter(), no_right: false };
    if let Some(line) = lines.iter().find(|line| line.name == *name) {
        list.write(line, old, context.enabled.speaks_utf8(), out);
    }
    Ok(())
}

/// The mailbox, if the user may read it.
fn readable(context: &Context, name: &Name) -> Result<Option<Arc<Mailbox>>, Error> {
    let place = context.place(name)?;
    let may_read = place.rights.has(Rights::READ);
    may_read.then(|| place.mailbox()).transpose()
}

impl List {
    fn write(&self, line: &Line, old: Option<&str>, utf8: bool, out: &mut Out) {
        out.put(format!("* {} ", self.form.word()));
        response::list(out.buffer(), self.attributes(line).into_iter());
        out.put(" \"/\" ");
        response::mailbox(out.buffer(), &line.name, utf8);
        if line.child_info {
            out.put(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        if let Some(old) = old {
            // RFC 9051 6.3.9.7.
            out.put(" (\"OLDNAME\" (");
            response::mailbox_text(out.buffer(), old, utf8);
            out.put("))");
        }
        out.line("");
    }

    /// RFC 9590 section 3: behind the LIST response, entries without a value as NIL. What cannot be read is left out.
    fn write_metadata(&self, line: &Line, context: &Context, out: &mut Out) {
        let (target, asked) = (Target::Mailbox(line.name.clone()), &self.returns.metadata);
        if let Ok(values) = annotations::values(context, &target, asked, Depth::Zero) {
            annotations::write(
                &target,
                &annotations::pick(values, asked, Depth::Zero, None).0,
                context.enabled.speaks_utf8(),
                out,
            );
        }
    }

    fn attributes(&self, line: &Line) -> Vec<&'static str> {
        let mut all = Vec::new();
        if !line.exists {
            // RFC 5258 section 3: \NonExistent implies \Noselect, but only clients that know it may be left to conclude.
            all.push(if self.form == Form::Extended { "\\NonExistent" } else { "\\Noselect" });
        }
        if self.no_right {
            // RFC 5819 section 2, RFC 9051 6.3.9.2: it stands for the STATUS response that cannot be had.
            all.push("\\NoSelect");
        }
        if self.form == Form::Lsub {
            return all;
        }
        if self.returns.subscribed && line.subscribed {
            all.push("\\Subscribed");
        }
        all.push(if line.children { "\\HasChildren" } else { "\\HasNoChildren" });
        if self.form == Form::Xlist && line.name.is_inbox() {
            all.push("\\Inbox");
        }
        match line.role {
            // Gmail's names, which XLIST had before RFC 6154.
            Some(Role::Junk) if self.form == Form::Xlist => all.push("\\Spam"),
            Some(Role::All) if self.form == Form::Xlist => all.push("\\AllMail"),
            Some(Role::Flagged) if self.form == Form::Xlist => all.push("\\Starred"),
            Some(role) => all.push(role.attribute()),
            None => {}
        }
        all
    }
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Form::List | Form::Extended => "LIST",
            Form::Xlist => "XLIST",
            Form::Lsub => "LSUB",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Form::List | Form::Extended => "List completed",
            Form::Xlist => "Xlist completed",
            Form::Lsub => "Lsub completed",
        }
    }
}
