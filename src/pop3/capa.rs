//! CAPA (RFC 2449 5) and STLS (RFC 2595 4).
//!
//! CAPA tells what holds at this moment: USER, SASL and STLS only while they would be accepted. Bytes that were sent
//! behind STLS in clear could be anybody's: they are thrown away and the connection is closed.

use super::login;
use super::reply::{self, err, ok};
use super::session::{Pop3, Then};
use crate::wire::{Input, Out, Tls, Want};

/// What holds always. PIPELINING: RFC 2449 6.6. IMPLEMENTATION names no version, since that helps attackers only.
const ALWAYS: &str =
    "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUTF8\r\nLANG\r\nIMPLEMENTATION Mailcote\r\n";

/// `CAPA`
pub fn capa(session: &mut Pop3, _: &[u8], out: &mut Out) -> Then {
    ok(out, "Capability list follows");
    out.put(ALWAYS);
    if session.maildrop.is_none() {
        let mechanisms = login::mechanisms(session);
        if !mechanisms.is_empty() {
            out.line("USER");
            out.line(format!("SASL {}", mechanisms.join(" ")));
        }
        if may_begin_tls(session).is_ok() {
            out.line("STLS");
        }
    }
    out.line(".");
    Then::Done
}

/// `STLS`
pub fn stls(session: &mut Pop3, _: &[u8], _: &mut Out) -> Then {
    match may_begin_tls(session) {
        Ok(()) => Then::Want(Want::StartTls),
        Err(text) => Then::Refuse(text),
    }
}

fn may_begin_tls(session: &Pop3) -> Result<(), reply::Text> {
    if session.tls.is_some() {
        Err(reply::TLS_ALREADY)
    } else if !session.shared.settings.stls.is_on() {
        Err(reply::NO_TLS)
    } else if session.utf8 {
        // RFC 6856 2.1.
        Err(reply::STLS_AFTER_UTF8)
    } else {
        Ok(())
    }
}

/// STLS was accepted, unless somebody slipped commands in behind it.
pub fn begin_tls(input: &mut Input, out: &mut Out) -> Want {
    if !input.is_empty() {
        input.discard();
        err(out, reply::STLS_PIPELINED);
        return Want::Close;
    }
    ok(out, "Begin TLS");
    Want::StartTls
}

/// Everything that was said in clear is forgotten (RFC 2595 4).
pub fn tls_started(session: &mut Pop3, tls: Tls) {
    session.tls = Some(tls);
    session.name = None;
    session.utf8 = false;
}
