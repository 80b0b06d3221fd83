//! STORE and UID STORE (RFC 3501 6.4.6): change flags and tell what they are now.

use crate::imap::context::{Context, Selected};
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::{Cursor, FlagSet, MessageSet, Result as Parsed};
use crate::imap::reply::Reply;
use crate::imap::view::Own;
use crate::mail::Flags;
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
}

fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Arguments> {
    cursor.space()?;
    let set = cursor.message_set()?;
    cursor.space()?;
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
    Ok(Arguments { set, change, silent, flags })
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let arguments = arguments(&mut call.args)?;
    let selected = call.context.writable()?;
    let uids = selected.view.picked_uids(&selected.view.pick(&arguments.set, call.uid)?);
    Ok(Begun::Job(Box::new(Store { arguments, by_uid: call.uid, uids, done: 0, expected: Vec::new() })))
}

struct Store {
    arguments: Arguments,
    by_uid: bool,
    /// The messages, and how many of them are done.
    uids: Vec<u32>,
    done: usize,
    /// What the client of a silent STORE knows without being told.
    expected: Vec<(u32, Flags, u128)>,
}

impl Job for Store {
    fn step(&mut self, context: &mut Context, _: Wake, _: &mut Out) -> Result<Progress, Reply> {
        let Selected { mailbox, view, .. } = context.selected()?;
        let Arguments { change, silent, ref flags, .. } = self.arguments;
        let some = &self.uids[self.done..self.uids.len().min(self.done + MESSAGES_A_STEP)];
        let before = if silent { view.known_flags(mailbox, some) } else { Vec::new() };
        mailbox.store_flags(some, change, flags.flags, &flags.keywords, None)?;
        if silent {
            self.expected.extend(expected(before, change, flags, &mailbox.keywords()));
        }
        self.done += some.len();
        if self.done < self.uids.len() {
            return Ok(Progress::Continue);
        }
        let own = if silent { Own::Silent(&self.expected) } else { Own::Echo(&self.uids) };
        view.collect(mailbox, self.by_uid, own);
        let is_gone = |messages: &[Message], uid: &u32| messages.binary_search_by_key(uid, |m| m.uid).is_err();
        if !self.by_uid && mailbox.read(|messages| self.uids.iter().any(|uid| is_gone(messages, uid))) {
            let text = "Store completed, but some messages were expunged";
            return Ok(Progress::Done(Reply::ok_code("EXPUNGEISSUED", text)));
        }
        Ok(Progress::Done(Reply::ok("Store completed")))
    }
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
        (*flags, *keywords) = match change {
            Change::Add => (flags.with(set.flags), *keywords | bits),
            Change::Remove => (flags.without(set.flags), *keywords & !bits),
            Change::Replace => (set.flags, bits),
        };
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
