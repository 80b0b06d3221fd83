//! The fields that we put on top of a message: Return-Path, Delivered-To, Received (RFC 5321 4.4); and the id by which
//! it can be followed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Kind;
use super::session::Smtp;
use super::transaction::Transaction;
use crate::clock;
use crate::mail::address::Address;
use crate::mail::date;

/// Digits of an id: no vowels (no words), no letters that look like digits.
const DIGITS: &[u8; 32] = b"0123456789BCDFGHJKLMNPQRSTVWXYZ_";

/// A new id: the time in microseconds, or one more than the last, so that ids are unique and sort by age.
pub(super) fn new_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(clock::now().as_micros()).unwrap_or(u64::MAX);
    let next = |last: u64| now.max(last.saturating_add(1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))).unwrap_or_default();
    spell(next(last))
}

fn spell(mut number: u64) -> String {
    // 55 bits are enough until the year 3111.
    let mut text = [b'0'; 11];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(number % 32) as usize];
        number /= 32;
    }
    text.iter().map(|digit| char::from(*digit)).collect()
}

/// Now, as header fields write it (RFC 5322 3.3).
pub(super) fn date() -> String {
    date::rfc5322(clock::unix())
}

/// What stands on top of one recipient's copy. RFC 5321 4.4: the one who makes the final delivery adds Return-Path.
pub(super) fn own_head(sender: Option<&Address>, login: &str) -> String {
    let sender = sender.map(Address::to_string).unwrap_or_default();
    format!("Return-Path: <{sender}>\r\nDelivered-To: {login}\r\n")
}

/// The Received field, the same in every copy. The recipient is named only if there is one: otherwise each would
/// learn of the others (RFC 5321 7.2).
pub(super) fn received(session: &Smtp, transaction: &Transaction) -> String {
    let name = session.hello.as_ref().and_then(|hello| hello.name.as_deref()).unwrap_or("unknown");
    let ip = match session.peer.remote.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("IPv6:{ip}"),
    };
    let tls = session.tls.as_ref().map(|tls| format!("\r\n\t(using {} with cipher {})", tls.version, tls.cipher));
    let recipient = match transaction.accepted.as_slice() {
        [(address, _)] => format!("\r\n\tfor <{address}>"),
        _ => String::new(),
    };
    format!(
        "Received: from {name} ([{ip}]){}\r\n\tby {} with {} id {}{recipient};\r\n\t{}\r\n",
        tls.unwrap_or_default(),
        session.shared.settings.hostname,
        protocol(session, transaction.utf8),
        transaction.id,
        date(),
    )
}

/// The word behind `with` (RFC 3848, RFC 6531 4.3).
fn protocol(session: &Smtp, utf8: bool) -> String {
    let extended = session.hello.as_ref().is_some_and(|hello| hello.extended);
    let base = match (session.kind, utf8) {
        (Kind::Lmtp, false) => "LMTP",
        (Kind::Lmtp, true) => "UTF8LMTP",
        (_, true) => "UTF8SMTP",
        (_, false) if extended => "ESMTP",
        (_, false) => return "SMTP".into(),
    };
    let tls = if session.tls.is_some() { "S" } else { "" };
    let login = if session.user.is_some() { "A" } else { "" };
    format!("{base}{tls}{login}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_sort() {
        let ids: Vec<String> = (0..1000).map(|_| new_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(ids[0].len(), 11);
    }

    #[test]
    fn own_heads() {
        let sender = Address::parse("a@x").unwrap();
        assert_eq!(own_head(Some(&sender), "b@y"), "Return-Path: <a@x>\r\nDelivered-To: b@y\r\n");
        assert_eq!(own_head(None, "b@y"), "Return-Path: <>\r\nDelivered-To: b@y\r\n");
    }

    /// RFC 3848 and RFC 6531 4.3: what each word says of how the message came.
    #[test]
    fn words_behind_with() {
        use super::super::testing::World;
        let world = World::new();
        let word = |kind, hello: &str, utf8| {
            let mut client = world.client(kind);
            client.say(hello);
            protocol(&client.session, utf8)
        };
        assert_eq!(word(Kind::Mx, "HELO x\r\n", false), "SMTP");
        assert_eq!(word(Kind::Mx, "", false), "ESMTP");
        assert_eq!(word(Kind::Mx, "", true), "UTF8SMTP");
        assert_eq!(word(Kind::Submission, "", false), "ESMTPSA");
        assert_eq!(word(Kind::Submission, "", true), "UTF8SMTPSA");
        assert_eq!(word(Kind::Lmtp, "", false), "LMTP");
        assert_eq!(word(Kind::Lmtp, "", true), "UTF8LMTP");
    }

    #[test]
    fn an_ipv6_client_has_its_tag() {
        use super::super::testing::World;
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.session.peer.remote = "[2001:db8::1]:25".parse().unwrap();
        let line = received(&client.session, &Transaction::new(None, false, 0));
        assert!(line.starts_with("Received: from client.example ([IPv6:2001:db8::1])\r\n\tby "), "{line}");
        client.session.peer.remote = "[::ffff:192.0.2.7]:25".parse().unwrap();
        let line = received(&client.session, &Transaction::new(None, false, 0));
        assert!(line.contains(" ([192.0.2.7])\r\n"), "{line}");
    }
}
