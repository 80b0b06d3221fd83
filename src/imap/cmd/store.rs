//! STORE and UID STORE (RFC 3501 6.4.6), with UNCHANGEDSINCE (RFC 7162 3.1.3): change flags and tell what they are now.
//!
//! The condition is judged where the change is made, under the folder's lock. A message has one mod-sequence for all of its
//! flags, so a condition may fail for the sake of a flag that was not asked for (RFC 7162 3.1.12 would have us know which it was);
//! its flags are told with it, and the client need not ask.

use crate::imap::context::{Context, Selected};
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::message_limit::Cut;
use crate::imap::parse::{Cursor, FlagSet, MessageSet, Result as Parsed};
use crate::imap::place::no_permission;
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::imap::view::{Own, View};
use crate::mail::Flags;
use crate::store::acl::Rights;
use crate::store::{Change, Message};
use crate::wire::Out;

/// Messages changed in one step: each is a rename, so that the others on this thread wait for some hundredths of a second.
const MESSAGES_A_STEP: usize = 500;

/// The arguments.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    set: MessageSet,
    change: Change,
    silent: bool,
    flags: FlagSet,
    /// UNCHANGEDSINCE.
    limit: Option<u64>,
}

fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Arguments> {
    cursor.space()?;
    let set = cursor.message_set()?;
    cursor.space()?;
    let limit = modifiers(cursor)?;
    let change = if cursor.eat(b'+') {
        Change::Add
    } else if cursor.eat(b'-') {
        Change::Remove
    } else {
        Change::Replace
    };
    let silent = match cursor.word()?.to_ascii_uppercase().as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return cursor.bad("expected FLAGS, +FLAGS or -FLAGS"),
    };
    cursor.space()?;
    let flags = cursor.flags()?;
    cursor.end()?;
    Ok(Arguments { set, change, silent, flags, limit })
}

/// `(UNCHANGEDSINCE 5) `, or nothing.
fn modifiers(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if cursor.peek() != Some(b'(') {
        return Ok(None);
    }
    let mut limit = None;
    cursor.list1(|cursor| {
        let before = cursor.clone();
        // RFC 7162 section 7: once.
        if !cursor.word()?.eq_ignore_ascii_case("UNCHANGEDSINCE") || limit.is_some() {
            return before.bad("expected UNCHANGEDSINCE, once");
        }
        cursor.space()?;
        limit = Some(cursor.modseq_or_zero()?);
        Ok(())
    })?;
    cursor.space()?;
    Ok(limit)
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let mut arguments = arguments(&mut call.args)?;
    restrict(&mut arguments, call.context.writable()?.rights)?;
    if arguments.limit.is_some() {
        call.context.enable_condstore(call.out);
    }
    let selected = call.context.writable()?;
    let mut uids = selected.view.picked_uids(&selected.view.pick(&arguments.set, call.uid)?);
    call.context.cut = Cut::uids(call.context.message_limits().messages, &mut uids);
    let (expected, refused) = (Vec::new(), Vec::new());
    Ok(Begun::Job(Box::new(Store { arguments, by_uid: call.uid, uids, done: 0, expected, refused })))
}

/// Leave out what the user may not change; refuse if nothing is left (RFC 4314 section 4).
fn restrict(arguments: &mut Arguments, rights: Rights) -> Result<(), Reply> {
    let (flags, keywords) = (arguments.flags.flags, !arguments.flags.keywords.is_empty());
    let may = rights.flags();
    let is_all = flags.without(may).is_empty() && (!keywords || rights.keywords());
    let may_any = !flags.both(may).is_empty() || (keywords && rights.keywords());
    match arguments.change {
        Change::Replace if rights.has(Rights::FLAGS) => {}
        // Also flags that are not named are changed, as far as that is allowed.
        Change::Replace if may_any || rights.has_any(Rights::FLAGS) => {
            arguments.change = Change::ReplaceAs(rights);
            // Or names of keywords that will not be set would fill the folder's table.
            arguments.flags.restrict(rights);
        }
        Change::Add | Change::Remove if is_all => {}
        Change::Add | Change::Remove if may_any => arguments.flags.restrict(rights),
        _ => return Err(no_permission()),
    }
    Ok(())
}

struct Store {
    arguments: Arguments,
    by_uid: bool,
    /// The messages, and how many of them are done.
    uids: Vec<u32>,
    done: usize,
    /// What the client of a silent STORE knows without being told.
    expected: Vec<(u32, Flags, u128)>,
    /// UIDs of messages that were changed since.
    refused: Vec<u32>,
}

impl Job for Store {
    fn step(&mut self, context: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        let Selected { mailbox, view, .. } = context.selected()?;
        let Arguments { change, silent, ref flags, limit, .. } = self.arguments;
        let some = &self.uids[self.done..self.uids.len().min(self.done + MESSAGES_A_STEP)];
        let mut before = if silent { view.known_flags(mailbox, some) } else { Vec::new() };
        let refused = mailbox.store_flags(some, change, flags.flags, &flags.keywords, limit)?;
        if silent {
            before.retain(|(uid, ..)| refused.binary_search(uid).is_err());
            self.expected.extend(expected(before, change, flags, &mailbox.keywords()));
        }
        self.refused.extend(refused);
        self.done += some.len();
        if self.done < self.uids.len() {
            return Ok(Progress::Continue);
        }
        let silence = Own::Silent { known: &self.expected, conditional: limit.is_some() };
        view.collect(mailbox, self.by_uid, if silent { silence } else { Own::Echo(&self.uids) });
        view.queue_flags(self.refused.iter().copied());
        let is_gone = |messages: &[Message], uid: &u32| messages.binary_search_by_key(uid, |m| m.uid).is_err();
        if !self.refused.is_empty() {
            let set = modified(view, &self.refused, self.by_uid);
            return Ok(Progress::Done(Reply::ok_code(format!("MODIFIED {set}"), "Some were changed meanwhile")));
        }
        if !self.by_uid && mailbox.read(|messages| self.uids.iter().any(|uid| is_gone(messages, uid))) {
            let text = "Store completed, but some messages were expunged";
            return Ok(Progress::Done(Reply::ok_code("EXPUNGEISSUED", text)));
        }
        Ok(Progress::Done(Reply::ok("Store completed")))
    }
}

/// The messages as the command named them.
fn modified(view: &View, uids: &[u32], by_uid: bool) -> String {
    response::set(uids.iter().filter_map(|uid| if by_uid { Some(*uid) } else { view.number(*uid) }))
}

/// What the flags of messages that were `before` are, if nobody but this session changed them.
fn expected(
    mut before: Vec<(u32, Flags, u128)>,
    change: Change,
    set: &FlagSet,
    names: &[String],
) -> Vec<(u32, Flags, u128)> {
    let bit = |keyword: &String| names.iter().position(|name| name.eq_ignore_ascii_case(keyword));
    let bits = set.keywords.iter().filter_map(bit).filter(|bit| *bit < 128).fold(0u128, |bits, bit| bits | 1 << bit);
    for (_, flags, keywords) in &mut before {
        (*flags, *keywords) = change.apply((*flags, *keywords), (set.flags, bits));
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse =
            |text: &str| arguments(&mut Cursor::new(text.as_bytes())).ok().map(|args| (args.change, args.silent));
        let table = [
            (" 1 FLAGS (\\Seen)", Some((Change::Replace, false))),
            (" 1:* +flags.silent (\\Seen Work)", Some((Change::Add, true))),
            (" 1 -FLAGS \\Seen \\Deleted", Some((Change::Remove, false))),
            (" 1 FLAGS ()", Some((Change::Replace, false))),
            (" 1 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)", Some((Change::Add, false))),
            (" 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) +FLAGS (\\Seen)", None),
            (" 1 (UNCHANGEDSINCE) +FLAGS (\\Seen)", None),
            (" 1 (UNCHANGEDSINCE 9223372036854775808) +FLAGS (\\Seen)", None),
            (" 1 () +FLAGS (\\Seen)", None),
            (" 1 FLAGS", None),
            (" 1 FLAG (\\Seen)", None),
            (" 1 ++FLAGS (\\Seen)", None),
            (" 1 FLAGS (\\Nonsense)", None),
            (" FLAGS (\\Seen)", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn silent_knows_what_it_did() {
        let set = FlagSet { flags: Flags::SEEN, keywords: vec!["b".into()] };
        let names = ["A".to_owned(), "B".to_owned()];
        let before = vec![(1, Flags::DRAFT, 0b01)];
        let after = |change| expected(before.clone(), change, &set, &names)[0];
        assert_eq!(after(Change::Add), (1, Flags::DRAFT.with(Flags::SEEN), 0b11));
        assert_eq!(after(Change::Remove), (1, Flags::DRAFT, 0b01));
        assert_eq!(after(Change::Replace), (1, Flags::SEEN, 0b10));
    }
}
