//! What the receiver reads in a message's header: Received fields (loops), and on submission the author; and
//! what it mends there for a user's program (RFC 6409 8): Date and Message-ID are added, Bcc goes.
//!
//! Works on the header block as received (CRLF, without the empty line). Added fields go to the front, so that a broken
//! line in the middle cannot swallow them. Nothing else is touched, and mail from other servers not at all.

use crate::mail::address::Address;
use crate::mail::{address_list, header};

/// Received fields that a message may have when it arrives (RFC 5321 6.3 wants at least 100 hops allowed where loops are found
/// by counting; 50 is what the field uses, and no path is as long as half of it).
const MAX_HOPS: usize = 50;

/// Has the message gone round in a loop?
pub(super) fn is_looping(block: &[u8]) -> bool {
    header::find(block, "Received").take(MAX_HOPS).count() >= MAX_HOPS
}

/// Do all addresses in From and Sender satisfy `owned`? One that cannot be read does not. A message without
/// these fields claims to be from nobody, and passes.
pub(super) fn author_is(block: &[u8], owned: impl Fn(&Address) -> bool) -> bool {
    header::fields(block).filter(|field| field.is("From") || field.is("Sender")).all(|field| {
        let value = field.unfolded();
        let list = address_list::parse(&value);
        let addresses = list.iter().filter(|entry| entry.host.is_some());
        // Whatever the reader of the list passed over, another program may show as the author.
        let Some(wanted) = at_signs(&value) else { return false };
        addresses.clone().count() == wanted && addresses.filter_map(envelope).filter(&owned).count() == wanted
    })
}

fn envelope(entry: &address_list::Mailbox) -> Option<Address> {
    let local = String::from_utf8(entry.mailbox.clone()?).ok()?;
    let domain = String::from_utf8(entry.host.clone()?).ok()?;
    // By way of the text, so that it is checked and spelt as an envelope address is.
    Address::parse(&Address { local, domain }.to_string()).ok()
}

/// At signs outside quoted strings and comments: as many as there are addresses. `None` if one of these has no end: where a
/// program that is more lenient believes that it ends, it finds other addresses.
fn at_signs(value: &[u8]) -> Option<usize> {
    let (mut found, mut comments, mut quoted) = (0, 0_usize, false);
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted || comments > 0 => {
                bytes.next();
            }
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments += 1,
            b')' if !quoted => comments = comments.saturating_sub(1),
            b'@' if !quoted && comments == 0 => found += 1,
            _ => {}
        }
    }
    (comments == 0 && !quoted).then_some(found)
}

/// The block with `Date` and `Message-ID` added if they are missing, and without Bcc; `None` if nothing is to be done.
pub(super) fn mended(block: &[u8], date: &str, message_id: &str) -> Option<Vec<u8>> {
    let has = |name| header::find(block, name).next().is_some();
    let secret = |field: &header::Field| field.is("Bcc") || field.is("Resent-Bcc");
    let mut new = Vec::new();
    if !has("Date") {
        new.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
    }
    if !has("Message-ID") {
        new.extend_from_slice(format!("Message-ID: {message_id}\r\n").as_bytes());
    }
    if new.is_empty() && !header::fields(block).any(|field| secret(&field)) {
        return None;
    }
    for field in header::fields(block).filter(|field| !secret(field)) {
        new.extend_from_slice(field.raw);
    }
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops() {
        let hop = "Received: from a\r\n\tby b; date\r\n";
        assert!(!is_looping(format!("Subject: x\r\n{}", hop.repeat(49)).as_bytes()));
        assert!(is_looping(format!("Subject: x\r\n{}", hop.repeat(50)).as_bytes()));
        assert!(!is_looping(format!("{}\r\n{}", hop.repeat(49), hop).as_bytes()), "a body is no header");
    }

    #[test]
    fn authors() {
        let alice = |address: &Address| address.to_string() == "alice@x";
        for (block, want) in [
            ("From: alice@x\r\n", true),
            ("From: alice@X\r\n", true),
            ("From: \"Al, ice\" <alice@x>\r\n", true),
            ("From: \"ceo@bank\" <alice@x>\r\n", true),
            ("From: Alice (ceo@bank) <alice@x>\r\n", true),
            ("FROM:\r\n alice@x\r\n", true),
            ("From : alice@x\r\n", true),
            ("Subject: x\r\n", true),
            ("From: undisclosed:;\r\n", true),
            ("From: bob@x\r\n", false),
            ("From: alice@x, bob@x\r\n", false),
            ("From: alice@x\r\nFrom: bob@x\r\n", false),
            ("From: alice@x\r\nSender: bob@x\r\n", false),
            ("From: alice@x <bob@x>\r\n", false),
            ("From: <alice@x> <bob@x>\r\n", false),
            ("From: alice@x bob@x\r\n", false),
            ("From: group: alice@x, bob@x;\r\n", false),
            ("From: alice@x (\\) ) <bob@x>\r\n", false),
            ("From: bob\r\n", false),
            ("From: \"alice <bob@x>\r\n", false),
            ("From: (alice <bob@x>\r\n", false),
            ("From: alice@x (<bob@x>\r\n", false),
        ] {
            assert_eq!(author_is(block.as_bytes(), alice), want, "{block:?}");
        }
    }

    #[test]
    fn mending() {
        let mend = |block: &str| mended(block.as_bytes(), "today", "<1@x>").map(|new| String::from_utf8(new).unwrap());
        assert_eq!(mend("Date: a\r\nmessage-id: b\r\n"), None);
        assert_eq!(mend("Subject: a\r\n").unwrap(), "Date: today\r\nMessage-ID: <1@x>\r\nSubject: a\r\n");
        assert_eq!(
            mend("Date: a\r\nBcc: b@x,\r\n c@x\r\nMessage-ID: b\r\nbcc: d@x\r\nTo: e@x\r\n").unwrap(),
            "Date: a\r\nMessage-ID: b\r\nTo: e@x\r\n"
        );
        assert_eq!(mend("Date: a\r\nno field\r\n").unwrap(), "Message-ID: <1@x>\r\nDate: a\r\nno field\r\n");
        assert_eq!(mend("").unwrap(), "Date: today\r\nMessage-ID: <1@x>\r\n");
    }
}
