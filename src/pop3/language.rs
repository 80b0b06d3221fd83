//! UTF8 and LANG (RFC 6856).
//!
//! There is one language, English, so that LANG only ever confirms it. What UTF8 changes is in `retrieve.rs`. UTF8 is
//! announced without USER: login names in UTF-8 would need SASLprep to be compared.

use super::reply;
use super::reply::ok;
use super::session::{Pop3, Then};
use crate::wire::Out;

/// `UTF8`
pub fn utf8(session: &mut Pop3, _: &[u8], out: &mut Out) -> Then {
    session.utf8 = true;
    ok(out, "UTF8 mode is on");
    Then::Done
}

/// `LANG [range]`, where the range is a basic language range (RFC 4647 2.1) or `*`.
pub fn lang(_: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    match argument.trim_ascii() {
        b"" => {
            ok(out, "Languages follow");
            out.line("en English");
            out.line(".");
        }
        range if range == b"*" || range.eq_ignore_ascii_case(b"en") => ok(out, "en Replies are in English"),
        _ => return Then::Refuse(reply::UNKNOWN_LANGUAGE),
    }
    Then::Done
}
