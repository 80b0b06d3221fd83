//! The greeting, and EHLO, HELO, LHLO: who we are and what we can do.
//!
//! The client's name is taken leniently, since many programs give a bad one; only one that could stand in a
//! Received field is remembered. EHLO announces what is there at this moment: STARTTLS before TLS, AUTH where a login
//! is possible and useful.

use super::reply::{self, Reply};
use super::session::{Hello, Smtp, Then};
use super::{Kind, auth};
use crate::mail::address::{Address, MAX_DOMAIN, check_domain};

/// 220 (RFC 5321 4.2: our name comes first).
pub(super) fn greeting(session: &Smtp) -> Reply {
    let protocol = if session.kind == Kind::Lmtp { "LMTP" } else { "ESMTP" };
    Reply::made(220, "", format!("{} {protocol} Mailcote", session.shared.settings.hostname))
}

/// HELO (RFC 5321 4.1.1.1).
pub(super) fn helo(session: &mut Smtp, argument: &str) -> Then {
    if argument.is_empty() {
        return Then::Reply(reply::HELO_NEEDS_NAME);
    }
    session.reset();
    session.hello = Some(Hello { name: name(argument), extended: false });
    Then::Reply(Reply::made(250, "", session.shared.settings.hostname.clone()))
}

/// EHLO, and LHLO (RFC 2033 4.1), which is the same.
pub(super) fn ehlo(session: &mut Smtp, argument: &str) -> Then {
    if argument.is_empty() {
        return Then::Reply(reply::HELO_NEEDS_NAME);
    }
    // RFC 5321 4.1.4: EHLO in the middle is a RSET too.
    session.reset();
    session.hello = Some(Hello { name: name(argument), extended: true });
    let settings = &session.shared.settings;
    let mut text = format!(
        "{}\nPIPELINING\nSIZE {}\n8BITMIME\nSMTPUTF8\nCHUNKING\nENHANCEDSTATUSCODES\nHELP\nLIMITS MAILMAX={} RCPTMAX={}",
        settings.hostname, settings.max_message_size, settings.max_transactions, settings.max_recipients
    );
    if settings.starttls.is_on() && session.tls.is_none() {
        text.push_str("\nSTARTTLS");
    }
    let mechanisms = auth::mechanisms(session);
    if !mechanisms.is_empty() {
        text.push_str("\nAUTH ");
        text.push_str(&mechanisms.join(" "));
    }
    Then::Reply(Reply::made(250, "", text))
}

/// The name as it may stand in a Received field: a domain or an address literal (RFC 5321 4.4).
fn name(argument: &str) -> Option<String> {
    if argument.len() > MAX_DOMAIN || !argument.is_ascii() {
        return None;
    }
    if argument.starts_with('[') {
        return Address::parse(&format!("x@{argument}")).ok().map(|address| address.domain);
    }
    check_domain(argument).is_ok().then(|| argument.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (given, want) in [
            ("mail.example.org", Some("mail.example.org")),
            ("MY_PC", Some("MY_PC")),
            ("[192.0.2.1]", Some("[192.0.2.1]")),
            ("[IPv6:2001:DB8::1]", Some("[IPv6:2001:db8::1]")),
            ("a b", None),
            ("(a)", None),
            ("[x]", None),
            ("é", None),
        ] {
            assert_eq!(name(given).as_deref(), want, "{given}");
        }
    }
}
