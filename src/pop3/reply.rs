//! Every refusal in one place, and what becomes of an error of the store.
//!
//! The codes in brackets are those of RFC 2449 8 (IN-USE), RFC 3206 (SYS/TEMP, SYS/PERM, AUTH) and RFC 6856 5 (UTF8).

use crate::account::Refusal;
use crate::store;
use crate::wire::Out;

/// A refusal: what stands behind `-ERR `.
pub type Text = &'static str;

pub const UNKNOWN: Text = "Unknown command";
pub const NOT_BEFORE_LOGIN: Text = "Log in first";
pub const NOT_AFTER_LOGIN: Text = "Already logged in";
pub const LINE_TOO_LONG: Text = "Command is longer than 255 octets";
pub const ENDLESS: Text = "This is not POP3";
pub const TOO_MANY_ERRORS: Text = "Too many errors";
pub const SHUTTING_DOWN: Text = "[SYS/TEMP] Server is stopping, try again later";

pub const NO_ARGUMENT: Text = "This command takes no argument";
pub const NEED_NUMBER: Text = "Give the number of one message";
pub const NEED_TWO_NUMBERS: Text = "Give the number of a message and how many lines of its body";
pub const NO_SUCH_MESSAGE: Text = "No such message";
pub const DELETED: Text = "Message is marked as deleted";
pub const GONE: Text = "Message is gone: another program removed it";
pub const NEEDS_UTF8: Text = "[UTF8] Message has UTF-8 in its header: say UTF8 before you log in";

pub const NEED_NAME: Text = "Give a user name";
pub const USER_FIRST: Text = "Say USER first";
pub const NEED_TLS: Text = "Logins need TLS here: say STLS first";
pub const UNKNOWN_MECHANISM: Text = "Unknown mechanism";
pub const AUTH_SYNTAX: Text = "Give a mechanism, and at most one initial response in base64";
pub const AUTH_LINE_TOO_LONG: Text = "Line is too long; the exchange is over";
pub const DISMISSED: Text = "[SYS/PERM] This account is closed";
pub const IN_USE: Text = "[IN-USE] Another POP3 session has this mailbox open";

pub const NEED_TLS_ELSEWHERE: Text = "Logins need TLS, which is not available here";
pub const NO_TLS: Text = "TLS is not available";
pub const TLS_ALREADY: Text = "TLS is in use already";
pub const STLS_AFTER_UTF8: Text = "STLS must come before UTF8";
pub const STLS_PIPELINED: Text = "Commands were sent behind STLS; they could be anybody's";
pub const UNKNOWN_LANGUAGE: Text = "There is no such language here";

/// Write a refusal.
pub fn err(out: &mut Out, text: impl AsRef<[u8]>) {
    out.put(b"-ERR ");
    out.line(text);
}

/// Write an acceptance.
pub fn ok(out: &mut Out, text: impl AsRef<[u8]>) {
    out.put(b"+OK ");
    out.line(text);
}

/// Why a login is refused. All wrong credentials look alike.
pub fn refusal(why: Refusal) -> Text {
    match why {
        Refusal::Credentials => "[AUTH] Wrong user name or password",
        Refusal::Malformed => "That is not what the mechanism prescribes",
        Refusal::Cancelled => "Cancelled",
        Refusal::TooMany => "[SYS/TEMP] Too many connections of this user",
        Refusal::Unavailable => "[SYS/TEMP] Logins cannot be checked now, try again later",
    }
}

/// What the client is told of an error of the store. The log has the path and the cause.
pub fn trouble(error: &store::Error) -> Text {
    match error {
        store::Error::Gone => GONE,
        store::Error::ReadOnly(_) => "[SYS/PERM] Mailbox is read-only",
        error if error.is_temporary() => "[SYS/TEMP] Mailbox cannot be used now, try again later",
        _ => "[SYS/PERM] Mailbox cannot be used",
    }
}
