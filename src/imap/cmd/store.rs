//! STORE and UID STORE (RFC 3501 6.4.6): change flags and tell what they are now.

use crate::imap::job::{Begun, Call};
use crate::imap::parse::{Cursor, FlagSet, Result as Parsed, SequenceSet};
use crate::imap::reply::Reply;
use crate::imap::view::Own;
use crate::mail::Flags;
use crate::store::{Change, Message};

/// The arguments.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    set: SequenceSet,
    change: Change,
    silent: bool,
    flags: FlagSet,
}

fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Arguments> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
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
    let Arguments { set, change, silent, flags } = arguments(&mut call.args)?;
    let selected = call.context.writable()?;
    let (mailbox, view) = (&selected.mailbox, &mut selected.view);
    let uids = view.picked_uids(&view.pick(&set, call.uid)?);
    let before = if silent { view.known_flags(mailbox, &uids) } else { Vec::new() };
    mailbox.store_flags(&uids, change, flags.flags, &flags.keywords, None)?;
    if silent {
        let expected = expected(before, change, &flags, &mailbox.keywords());
        view.collect(mailbox, call.uid, Own::Silent(&expected));
    } else {
        view.collect(mailbox, call.uid, Own::Echo(&uids));
    }
    let gone = |messages: &[Message]| uids.iter().any(|uid| messages.binary_search_by_key(uid, |m| m.uid).is_err());
    if !call.uid && mailbox.read(gone) {
        return Ok(Reply::ok_code("EXPUNGEISSUED", "Store completed, but some messages were expunged").into());
    }
    Ok(Reply::ok("Store completed").into())
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
