//! SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2; RFC 9051 6.3.2, 6.3.3 if IMAP4rev2 is enabled), with CONDSTORE and QRESYNC (RFC 7162) and MAILBOXID (RFC 8474).

use super::list;
use crate::imap::context::{Context, Selected};
use crate::imap::enabled::Enabled;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::condstore::Qresync;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::imap::resync::Vanished;
use crate::imap::updates::Updates;
use crate::imap::view::View;
use crate::store::Name;
use crate::store::acl::Rights;
use crate::wire::Out;

pub(super) fn select(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, false)
}

pub(super) fn examine(call: Call<'_>) -> Result<Begun, Reply> {
    begin(call, true)
}

fn begin(mut call: Call<'_>, examine: bool) -> Result<Begun, Reply> {
    call.args.space()?;
    let mailbox = call.args.mailbox()?;
    let params = call.args.select_params()?;
    call.args.end()?;
    if params.qresync.is_some() && !call.context.enabled.qresync {
        // RFC 7162 3.2.5.
        return Err(Reply::bad("ENABLE QRESYNC first"));
    }
    if call.context.enabled.uidonly && params.qresync.as_ref().is_some_and(|known| !known.matches.is_empty()) {
        // RFC 9586 section 3.7.
        return Err(Reply::bad_code("UIDREQUIRED", "After ENABLE UIDONLY no message numbers can be compared"));
    }
    // RFC 3501 6.3.1: also when it fails, the mailbox that was selected is no longer.
    if call.context.unselect() {
        // RFC 7162 3.2.11: what follows is about the other mailbox.
        call.out.line("* OK [CLOSED] The mailbox that was open is closed");
    }
    let name = mailbox.name()?;
    let old = mailbox.other_spelling(&name);
    let (mut selected, uid_next) = open(&call, name, examine)?;
    call.context.enabled.condstore |= params.condstore;
    let enabled = call.context.enabled;
    if enabled.rev2 {
        selected.view.deny_recent();
        list::one(call.context, &selected.name, old.as_deref(), call.out)?;
    }
    tell(&selected, uid_next, enabled, call.out);
    let code = if selected.read_only { "READ-ONLY" } else { "READ-WRITE" };
    let reply = Reply::ok_code(code, if examine { "Examine completed" } else { "Select completed" });
    let resync = params.qresync.filter(|known| known.uid_validity == selected.mailbox.uid_validity());
    call.context.select(selected);
    let Some(known) = resync else { return Ok(reply.into()) };
    let selected = call.context.selected()?;
    Ok(Begun::Job(Box::new(Resync { vanished: changes(selected, &known, uid_next), reply })))
}

fn open(call: &Call<'_>, name: Name, examine: bool) -> Result<(Selected, u32), Reply> {
    let place = call.context.place_with(&name, Rights::READ)?;
    let (mailbox, rights) = (place.mailbox()?, place.rights);
    let owner = place.owner;
    let read_only = examine || mailbox.is_read_only() || !rights.has_any(Rights::CHANGING);
    // First the ear, then the eye: what happens between the two is noticed.
    let notice = call.context.notice.part();
    mailbox.listen(notice.raiser());
    let uid_next = mailbox.uid_next();
    // RFC 3501 6.3.2: who may change nothing takes no \Recent away either.
    let mut view = View::open(&mailbox, read_only);
    view.permit(rights);
    Ok((
        Selected {
            name,
            mailbox,
            view,
            rights,
            owner,
            read_only,
            notice,
            memory: None,
            updates: Updates::default(),
            broken: false,
        },
        uid_next,
    ))
}

fn tell(selected: &Selected, uid_next: u32, enabled: Enabled, out: &mut Out) {
    let Selected { mailbox, view, read_only, .. } = selected;
    view.write_flags(*read_only, out);
    out.line(format!("* {} EXISTS", view.count()));
    // RFC 9051 appendix E, 11 and 12: IMAP4rev2 has neither.
    if !enabled.rev2 {
        out.line(format!("* {} RECENT", view.recent_count()));
    }
    // RFC 9586 section 3: it is a message number.
    if !enabled.rev2
        && !enabled.uidonly
        && let Some(unseen) = view.first_unseen(mailbox)
    {
        out.line(format!("* OK [UNSEEN {unseen}] First message that was not seen"));
    }
    out.line(format!("* OK [UIDVALIDITY {}] UIDs are valid", mailbox.uid_validity()));
    out.line(format!("* OK [UIDNEXT {}] Next UID", next_uid(view, uid_next)));
    out.line(format!("* OK [MAILBOXID ({})] Mailbox's id", response::mailbox_id(mailbox)));
    // RFC 7162 3.1.2: of the moment that the view was taken, so that nothing later counts as told.
    out.line(format!("* OK [HIGHESTMODSEQ {}] Highest mod-sequence", view.synced()));
}

/// Above every UID told, and not above one that is still to be told.
fn next_uid(view: &View, uid_next: u32) -> u32 {
    view.uids().last().map_or(1, |last| last.saturating_add(1)).max(uid_next)
}

/// What a client that knows this must be told: flags are queued in the view, and expunges returned (RFC 7162 3.2.5).
fn changes(selected: &mut Selected, known: &Qresync, uid_next: u32) -> Vanished {
    let Selected { mailbox, view, .. } = selected;
    let last = next_uid(view, uid_next) - 1;
    let mut wanted = known.known.as_ref().map_or_else(|| vec![(1, u32::MAX)], |set| set.normalize(last));
    // RFC 7162 3.2.5.1: nothing at or above UIDNEXT can have gone.
    wanted.iter_mut().for_each(|range| range.1 = range.1.min(last));
    wanted.retain(|(low, high)| low <= high);
    // RFC 7162 3.2.5.2: up to a message whose number the client has right it knows of every expunge.
    let right = known.matches.iter().filter(|(number, uid)| view.uid(*number) == Some(*uid));
    let floor = right.map(|(_, uid)| *uid).max().unwrap_or(0);
    let vanished = Vanished::new(view, mailbox, &wanted, known.modseq, floor);
    let mut ranges = wanted.iter().copied().peekable();
    let changed: Vec<u32> = mailbox.read(|messages| {
        let mut is_wanted = |uid: u32| {
            while ranges.next_if(|(_, high)| *high < uid).is_some() {}
            ranges.peek().is_some_and(|(low, _)| *low <= uid)
        };
        let changed = messages.iter().filter(|message| message.modseq > known.modseq && is_wanted(message.uid));
        changed.map(|message| message.uid).collect()
    });
    view.queue_flags(changed.into_iter());
    vanished
}

/// Tells what changed since the client was here.
struct Resync {
    vanished: Vanished,
    reply: Reply,
}

impl Job for Resync {
    fn step(&mut self, context: &mut Context, _: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let enabled = context.enabled;
        let Selected { mailbox, view, read_only, .. } = context.selected()?;
        // RFC 7162 3.2.6: before any FETCH response.
        if self.vanished.write(out) && view.flush(mailbox, *read_only, true, enabled, out) {
            return Ok(Progress::Done(self.reply.clone()));
        }
        Ok(Progress::Continue)
    }
}
