//! STATUS responses for mailboxes that are followed: what the client was told of each, and what it is told next.
//!
//! A mailbox is looked at when something happened in it, and told of only if the counters that were asked for are others than the client knows. What
//! this session did itself is no news (RFC 5465 section 5): if all that is new in the mailbox are messages that it put there, their coming counts as told.

use std::sync::Arc;

use super::Notify;
use super::names::NEEDED;
use crate::imap::context::{Context, Selected, State};
use crate::imap::parse::notify::Events;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::store::{Error, Followed, Mailbox, Message, Name, Status};
use crate::wire::Out;

/// What is told of a mailbox that is looked at for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initial {
    /// Nothing.
    Never,
    /// How it stands: the client said STATUS.
    Always,
    /// The same, if there is mail in it: it is new.
    IfMail,
}

/// What the client was told of a mailbox.
pub(super) struct Told {
    /// Which events it wants.
    pub events: Events,
    pub followed: Arc<Followed>,
    /// What it knows.
    pub known: Result<Status, Initial>,
}

impl Told {
    /// Is it the mailbox with this UIDVALIDITY?
    pub fn is_of(&self, validity: u32) -> bool {
        matches!(self.known, Ok(status) if status.uid_validity == validity)
    }

    /// The session had it open until now.
    pub fn left(&mut self, selected: &Selected, expunged: &[u32]) {
        let Selected { view, mailbox, .. } = selected;
        let gone = expunged.iter().filter(|uid| view.number(**uid).is_some()).count();
        let is_known = mailbox.read(|messages| {
            messages.len() + gone == view.uids().len() && messages.iter().all(|message| message.modseq <= view.synced())
        });
        let mut known = mailbox.status();
        if !is_known {
            // No mailbox has this UIDNEXT: it differs from whatever is found.
            (known.messages, known.uid_next, known.highest_modseq) = (view.count(), 0, view.synced());
        }
        self.known = Ok(known);
    }
}

impl Notify {
    /// Look at a mailbox in which something happened, and tell what is new.
    pub(super) fn look(&mut self, name: &Name, context: &Context, out: &mut Out) {
        // RFC 5465 section 6: the open mailbox is no other mailbox.
        if matches!(&context.state, State::Selected(_, selected) if selected.name == *name) {
            return;
        }
        let Some(told) = self.told.get_mut(name) else { return };
        let opened = match context.place(name) {
            // The next look at the tree tells of that.
            Ok(place) if !place.rights.has(NEEDED) => return,
            Ok(place) => place.mailbox(),
            Err(error) => Err(error),
        };
        let mailbox = match opened {
            Ok(mailbox) => mailbox,
            Err(Error::NotFound) => return,
            // Logged; the next change in it is another chance.
            Err(error) => return drop(Reply::from(error)),
        };
        let now = mailbox.status();
        let made: Vec<u32> = {
            let made = self.made.iter().filter(|(validity, _)| *validity == now.uid_validity);
            made.flat_map(|(_, uids)| uids.iter().copied()).collect()
        };
        let condstore = context.enabled.condstore;
        let items = match told.known {
            Ok(known) if !made.is_empty() && is_all_ours(&mailbox, &known, &now, made) => Vec::new(),
            Ok(known) => news(&known, &now, told.events, condstore),
            Err(Initial::Always) => all(&now, told.events, condstore),
            Err(Initial::IfMail) if now.messages > 0 => all(&now, told.events, condstore),
            Err(Initial::IfMail | Initial::Never) => Vec::new(),
        };
        told.known = Ok(now);
        if items.is_empty() {
            return;
        }
        out.put("* STATUS ");
        response::mailbox(out.buffer(), name, context.enabled.speaks_utf8());
        out.put(" ");
        response::list(out.buffer(), items.iter().map(String::as_str));
        out.line("");
    }
}

/// Is everything that happened since `known` the coming of the messages `made`?
fn is_all_ours(mailbox: &Mailbox, known: &Status, now: &Status, mut made: Vec<u32>) -> bool {
    made.sort_unstable();
    let counted = u32::try_from(made.len()).is_ok_and(|count| known.messages.checked_add(count) == Some(now.messages));
    let is_ours =
        |message: &Message| message.modseq <= known.highest_modseq || made.binary_search(&message.uid).is_ok();
    known.uid_validity == now.uid_validity && counted && mailbox.read(|messages| messages.iter().all(is_ours))
}

/// The items of a first STATUS response (RFC 5465 section 3.1), and UNSEEN, whose changes are told.
fn all(now: &Status, events: Events, condstore: bool) -> Vec<String> {
    let flags = events.has(Events::FLAGS);
    let mut items = vec![
        format!("MESSAGES {}", now.messages),
        format!("UIDNEXT {}", now.uid_next),
        format!("UIDVALIDITY {}", now.uid_validity),
    ];
    if flags {
        items.push(format!("UNSEEN {}", now.unseen));
    }
    if flags || condstore {
        items.push(format!("HIGHESTMODSEQ {}", now.highest_modseq));
    }
    items
}

/// The items that tell a client what changed; none if nothing did that it wants to know.
fn news(known: &Status, now: &Status, events: Events, condstore: bool) -> Vec<String> {
    let flags = events.has(Events::FLAGS);
    let counts = (known.messages, known.uid_next) != (now.messages, now.uid_next);
    let validity = known.uid_validity != now.uid_validity;
    let unseen = flags && known.unseen != now.unseen;
    let modseq = flags && condstore && known.highest_modseq != now.highest_modseq;
    let mut items = Vec::new();
    if !(counts || validity || unseen || modseq) {
        return items;
    }
    // RFC 5465 sections 5.2 and 5.3.
    if counts || validity {
        items.push(format!("MESSAGES {}", now.messages));
        items.push(format!("UIDNEXT {}", now.uid_next));
    }
    // Section 5.1.
    if validity || flags {
        items.push(format!("UIDVALIDITY {}", now.uid_validity));
    }
    if unseen {
        items.push(format!("UNSEEN {}", now.unseen));
    }
    if condstore {
        items.push(format!("HIGHESTMODSEQ {}", now.highest_modseq));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_change() {
        let known =
            Status { messages: 3, unseen: 2, uid_next: 10, uid_validity: 7, highest_modseq: 100, ..Status::default() };
        let counts = Events::NEW.with(Events::EXPUNGE);
        let flags = counts.with(Events::FLAGS);
        let table = [
            ("nothing", known, flags, true, ""),
            ("new", Status { messages: 4, uid_next: 11, ..known }, counts, false, "MESSAGES 4 UIDNEXT 11"),
            ("gone", Status { messages: 2, ..known }, counts, false, "MESSAGES 2 UIDNEXT 10"),
            ("both", Status { uid_next: 11, ..known }, counts, false, "MESSAGES 3 UIDNEXT 11"),
            (
                "new, with CONDSTORE",
                Status { messages: 4, uid_next: 11, highest_modseq: 101, ..known },
                counts,
                true,
                "MESSAGES 4 UIDNEXT 11 HIGHESTMODSEQ 101",
            ),
            ("flags, not asked for", Status { unseen: 1, highest_modseq: 101, ..known }, counts, true, ""),
            ("flags", Status { highest_modseq: 101, ..known }, flags, true, "UIDVALIDITY 7 HIGHESTMODSEQ 101"),
            ("flags, without CONDSTORE", Status { highest_modseq: 101, ..known }, flags, false, ""),
            (
                "seen, without CONDSTORE",
                Status { unseen: 1, highest_modseq: 101, ..known },
                flags,
                false,
                "UIDVALIDITY 7 UNSEEN 1",
            ),
            ("another", Status { uid_validity: 8, ..known }, counts, false, "MESSAGES 3 UIDNEXT 10 UIDVALIDITY 8"),
        ];
        for (case, now, events, condstore, expected) in table {
            assert_eq!(news(&known, &now, events, condstore).join(" "), expected, "{case}");
        }
        assert_eq!(all(&known, counts, false).join(" "), "MESSAGES 3 UIDNEXT 10 UIDVALIDITY 7");
        assert_eq!(
            all(&known, flags, false).join(" "),
            "MESSAGES 3 UIDNEXT 10 UIDVALIDITY 7 UNSEEN 2 HIGHESTMODSEQ 100"
        );
    }
}
