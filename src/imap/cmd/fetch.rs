//! FETCH and UID FETCH (RFC 3501 6.4.5), with CHANGEDSINCE and VANISHED (RFC 7162).
//!
//! A job that writes one response after the other and stops when the output is full or enough of the disk was read, so that
//! ten gigabytes cost no more memory than one message's beginning. A file is opened only if an item needs it.
//!
//! Messages that are gone are passed over; the reply to FETCH by number says so (RFC 2180 section 4.1.2, RFC 5530),
//! UID FETCH does not (RFC 3501 6.4.8). A file that cannot be opened is passed over too, and the reply is NO. If
//! reading fails in the middle of a response, the connection ends: the client was told a size, and no bytes that we could make up
//! are the message.

use crate::imap::answer::{Answer, Check, Facts, Wanted};
use crate::imap::context::{Context, Selected};
use crate::imap::enabled::Enabled;
use crate::imap::glance::{Glance, Seen};
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::message_limit::Cut;
use crate::imap::parse::MessageSet;
use crate::imap::parse::fetch::Item;
use crate::imap::reply::Reply;
use crate::imap::resync::Vanished;
use crate::imap::source::Source;
use crate::imap::view::{Own, Picked, View};
use crate::mail::Flags;
use crate::store::acl::Rights;
use crate::store::{self, Change, Mailbox, Message};
use crate::wire::Out;

/// Bytes that one step may read from files: some milliseconds of work.
const STEP_READ: u64 = 8 * 1024 * 1024;
/// What opening a file counts as, in bytes read, so that a step that only looks at headers ends too.
const OPEN_COST: u64 = 16 * 1024;
/// Messages whose \Seen this command set and told, before the view hears of them: 320 KB.
const MAX_TOLD: usize = 10_000;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let fetch = call.args.fetch()?;
    if fetch.modifiers.vanished && !(call.uid && call.context.enabled.qresync) {
        // RFC 7162 3.2.6.
        return Err(Reply::bad("VANISHED is for UID FETCH, after ENABLE QRESYNC"));
    }
    let Selected { view, mailbox, .. } = call.context.selected()?;
    let mut picked = view.pick(&fetch.set, call.uid)?;
    if let Some(partial) = fetch.modifiers.partial {
        if !call.uid {
            // RFC 9394 3.3 extends UID FETCH only.
            return Err(Reply::bad("PARTIAL is for UID FETCH only"));
        }
        picked = picked.piece(partial.indices(picked.count()));
    }
    let mut vanished = Vanished::default();
    if let Some(modseq) = fetch.modifiers.changed_since {
        picked = view.changed_since(mailbox, &picked, modseq);
        if fetch.modifiers.vanished {
            vanished = Vanished::new(view, mailbox, &asked(&fetch.set, view, mailbox), modseq, 0);
        }
    }
    call.context.cut = {
        let limit = call.context.message_limits().messages;
        Cut::picked(limit, &mut picked, &call.context.selected()?.view)
    };
    if fetch.items.contains(&Item::Modseq) {
        call.context.enable_condstore(call.out);
    }
    let wanted = Wanted::new(fetch.items, call.uid, call.context.enabled);
    let job = Fetch {
        glance: Glance::new(&wanted),
        wanted,
        picked,
        vanished,
        next: 1,
        by_uid: call.uid,
        answer: None,
        told: Vec::new(),
        gone: false,
        failed: None,
    };
    Ok(Begun::Job(Box::new(job)))
}

/// The UIDs that may have vanished. Here `*` is the last one that was ever given: the last message may be the one that is gone.
fn asked(set: &MessageSet, view: &View, mailbox: &Mailbox) -> Vec<(u32, u32)> {
    let last = mailbox.uid_next().saturating_sub(1).max(1);
    let mut asked = match set {
        MessageSet::Set(set) => set.normalize(last),
        MessageSet::Saved => view.saved().to_vec(),
    };
    asked.iter_mut().for_each(|range| range.1 = range.1.min(last));
    asked.retain(|(low, high)| low <= high);
    asked
}

/// What is left of the command. Also made for messages that nobody asked for by a command ([`Fetch::push`]).
pub(in crate::imap) struct Fetch {
    /// Answers without files, if the items are such.
    glance: Option<Glance>,
    wanted: Wanted,
    picked: Picked,
    /// Written before all else (RFC 7162 3.2.6).
    vanished: Vanished,
    /// The message number to go on from.
    next: u32,
    by_uid: bool,
    /// The response in progress.
    answer: Option<Answer>,
    /// Flags that changed here and that the client was told.
    told: Vec<(u32, Flags, u128)>,
    /// A message was gone.
    gone: bool,
    /// The first error.
    failed: Option<Reply>,
}

impl Job for Fetch {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        Ok(self.go_on(context.selected()?, out))
    }
}

impl Fetch {
    /// Responses for messages of these UIDs (ascending), which the client was told of, but did not ask for now. They leave \Seen alone: nobody has
    /// read anything.
    pub(in crate::imap) fn push(items: Vec<Item>, uids: &[u32], view: &View, enabled: Enabled) -> Fetch {
        // RFC 7162 3.1: all responses that nobody asked for have the mod-sequence; RFC 9051 7.5.2: and in IMAP4rev2 the UID.
        let mut items = items;
        if enabled.condstore && !items.contains(&Item::Modseq) {
            items.push(Item::Modseq);
        }
        let mut wanted = Wanted::new(items, enabled.condstore || enabled.rev2, enabled);
        wanted.sets_seen = false;
        Fetch {
            glance: Glance::new(&wanted),
            wanted,
            picked: view.pick_these(uids),
            vanished: Vanished::default(),
            next: 1,
            by_uid: true,
            answer: None,
            told: Vec::new(),
            gone: false,
            failed: None,
        }
    }

    /// A bounded part of the command.
    pub(in crate::imap) fn go_on(&mut self, selected: &mut Selected, out: &mut Out) -> Progress {
        if !self.vanished.write(out) {
            return Progress::Continue;
        }
        let mut budget = STEP_READ;
        while !out.full() && budget > 0 {
            match &mut self.answer {
                Some(answer) if !answer.has_begun() => match answer.check(&self.wanted, &mut budget) {
                    Ok(Check::Unknown) => {}
                    Ok(Check::Good) => self.begin_response(selected, out),
                    Ok(Check::Undecodable) => {
                        // RFC 3516 section 4.3.
                        let reply =
                            Reply::no("UNKNOWN-CTE", "A part has a Content-Transfer-Encoding that is not known");
                        self.failed.get_or_insert(reply);
                        selected.memory = self.answer.take().and_then(Answer::into_memory);
                    }
                    Err(error) => {
                        self.answer = None;
                        self.failed.get_or_insert(store::Error::io("a message".as_ref(), error).into());
                    }
                },
                Some(answer) => match answer.step(&self.wanted, selected.view.keywords(), out, &mut budget) {
                    Ok(true) => {
                        let answer = self.answer.take();
                        if self.wanted.extent.is_some() {
                            selected.memory = answer.and_then(Answer::into_memory);
                        }
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot go on reading a message; connection closed in the middle of it");
                        return Progress::Abort;
                    }
                },
                None if self.glance.is_some() => match self.glance(selected, out, &mut budget) {
                    Ok(Seen::Some) => {}
                    Ok(Seen::All) => return Progress::Done(self.finish(selected)),
                    Ok(Seen::Slow(number)) => self.begin_or_note(number, selected, &mut budget),
                    Err(error) => return Progress::Done(error.into()),
                },
                None => {
                    let Some(number) = self.picked.next_from(self.next) else {
                        return Progress::Done(self.finish(selected));
                    };
                    self.next = number.saturating_add(1);
                    self.begin_or_note(number, selected, &mut budget);
                }
            }
        }
        Progress::Continue
    }

    /// Answer as much as can be without files.
    fn glance(&mut self, selected: &mut Selected, out: &mut Out, budget: &mut u64) -> store::Result<Seen> {
        let Some(glance) = &mut self.glance else { return Ok(Seen::All) };
        let seen = glance.step(&self.wanted, &self.picked, &mut self.next, selected, out, budget);
        self.gone |= std::mem::take(&mut glance.gone);
        if let Some(error) = glance.failed.take() {
            self.failed.get_or_insert(error.into());
        }
        seen
    }

    /// As [`Fetch::begin`]; what stands in its way is told at the end.
    fn begin_or_note(&mut self, number: u32, selected: &mut Selected, budget: &mut u64) {
        match self.begin(number, selected) {
            Ok(answer) => self.answer = answer,
            Err(store::Error::Gone) => self.gone = true,
            Err(error) => {
                self.failed.get_or_insert(error.into());
            }
        }
        let read = self.answer.as_ref().map_or(0, Answer::read);
        *budget = budget.saturating_sub(if self.wanted.extent.is_some() { read.max(OPEN_COST) } else { 64 });
    }

    /// Nothing stands in the way: set \Seen, and write the first byte of the response.
    fn begin_response(&mut self, selected: &mut Selected, out: &mut Out) {
        let Some(mut answer) = self.answer.take() else { return };
        let facts = answer.facts();
        facts.tell_flags = self.wanted.sets_seen && self.set_seen(selected, facts);
        if self.wanted.items.contains(&Item::Modseq) || facts.tell_flags {
            selected.view.told_modseq(facts.modseq);
        }
        answer.begin_response(&self.wanted, out);
        self.answer = Some(answer);
    }

    /// Open what is needed of a message. Everything that may find it gone comes before the first byte of the response.
    fn begin(&mut self, number: u32, selected: &mut Selected) -> store::Result<Option<Answer>> {
        let Some(uid) = selected.view.uid(number) else { return Ok(None) };
        let mailbox = &selected.mailbox;
        let message = mailbox.message(uid).ok_or(store::Error::Gone)?;
        let wants = |item| self.wanted.items.contains(&item);
        let date = if wants(Item::InternalDate) { mailbox.internal_date(uid)? } else { 0 };
        let size = if wants(Item::Size) { mailbox.wire_size(uid)? } else { 0 };
        let saved = if wants(Item::SaveDate) { mailbox.save_date(uid)? } else { None };
        let email_id = if wants(Item::EmailId) { mailbox.email_id(uid)? } else { String::new() };
        let source = match self.wanted.extent {
            Some(extent) => {
                let source = Source::new(mailbox.open(uid)?, extent);
                Some(source.map_err(|error| store::Error::io(format!("message with UID {uid}").as_ref(), error))?)
            }
            None => None,
        };
        let recent = selected.view.is_recent(uid);
        let Message { flags, keywords, modseq, .. } = message;
        let tell_flags = false;
        let facts = Facts { number, uid, flags, recent, keywords, tell_flags, date, size, modseq, saved, email_id };
        let memory = source.as_ref().and_then(|_| selected.memory.take());
        Ok(Some(Answer::new(facts, source, memory)))
    }

    /// Set \Seen. Returns whether that changed the flags, which the client then must be told. A disk on which it cannot be set
    /// is no reason to keep the mail from its owner.
    fn set_seen(&mut self, selected: &mut Selected, message: &mut Facts) -> bool {
        if selected.read_only || !selected.rights.has(Rights::SEEN) || message.flags.has(Flags::SEEN) {
            return false;
        }
        let mailbox = &selected.mailbox;
        if let Err(error) = mailbox.store_flags(&[message.uid], Change::Add, Flags::SEEN, &[], None) {
            tracing::warn!(%error, "cannot set \\Seen");
            return false;
        }
        if let Some(now) = mailbox.message(message.uid) {
            (message.flags, message.keywords, message.modseq) = (now.flags, now.keywords, now.modseq);
        }
        if self.told.len() == MAX_TOLD {
            selected.view.collect(mailbox, false, Own::Told(&self.told));
            self.told.clear();
        }
        self.told.push((message.uid, message.flags, message.keywords));
        true
    }

    fn finish(&mut self, selected: &mut Selected) -> Reply {
        if !self.told.is_empty() {
            selected.view.collect(&selected.mailbox, false, Own::Told(&self.told));
        }
        match self.failed.take() {
            Some(reply) => reply,
            None if self.gone && !self.by_uid => {
                Reply::no("EXPUNGEISSUED", "Some of the messages were expunged meanwhile")
            }
            None => Reply::ok("Fetch completed"),
        }
    }
}
