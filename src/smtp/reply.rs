//! Every reply the server gives: code, enhanced code (RFC 2034, RFC 3463), words.
//!
//! Owns the wording in one place, since administrators search their logs for it, and the way from an error
//! of the store to a reply. Replies contain nothing that the peer sent.

use std::borrow::Cow;
use std::fmt::Write;

use super::Settings;
use crate::mail::address::Invalid;
use crate::store;
use crate::wire::Out;
use crate::wire::dot::Flaw;

/// One reply. A text with `\n` in it is written as several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits.
    pub code: u16,
    /// RFC 3463; empty where RFC 2034 section 4 wants none (greeting, HELO, EHLO) and for 3xx.
    pub enhanced: &'static str,
    /// Words.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply with fixed words.
    pub const fn fixed(code: u16, enhanced: &'static str, text: &'static str) -> Reply {
        Reply { code, enhanced, text: Cow::Borrowed(text) }
    }

    /// A reply with words made up now.
    pub fn made(code: u16, enhanced: &'static str, text: String) -> Reply {
        Reply { code, enhanced, text: Cow::Owned(text) }
    }

    /// May the client try the same again later?
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Does it refuse for good?
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Write it (RFC 5321 4.2.1: every line but the last has a hyphen behind the code).
    pub fn write(&self, out: &mut Out) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            let space = if self.enhanced.is_empty() { "" } else { " " };
            // Writing into memory cannot fail.
            let _ = write!(out, "{}{mark}{}{space}{line}\r\n", self.code, self.enhanced);
        }
    }
}

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $code:literal $enhanced:literal $text:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: Reply = Reply::fixed($code, $enhanced, $text);)*
    };
}

replies! {
    /// RSET, NOOP.
    OK = 250 "2.0.0" "ok";
    SENDER_OK = 250 "2.1.0" "sender ok";
    RECIPIENT_OK = 250 "2.1.5" "recipient ok";
    SEND_DATA = 354 "" "send the message, end with a line with a single dot";
    BYE = 221 "2.0.0" "bye";
    START_TLS = 220 "2.0.0" "ready to start TLS";
    LOGGED_IN = 235 "2.7.0" "logged in";
    /// VRFY (RFC 5321 3.5.3: neither yes nor no).
    CANNOT_VERIFY = 252 "2.1.5" "send the mail to find out";

    SHUTTING_DOWN = 421 "4.3.2" "server is shutting down, try again later";
    TIMED_OUT = 421 "4.4.2" "you were silent for too long, closing";
    DISMISSED = 421 "4.7.0" "this account is closed";
    TOO_MANY_ERRORS = 421 "4.7.0" "too many errors, closing";
    NOT_SMTP = 421 "4.7.0" "this is a mail server, closing";
    ENDLESS_LINE = 421 "4.7.0" "a line without end, closing";
    TOO_MANY_SEATS = 421 "4.7.0" "too many connections of this user, closing";
    TOO_MANY_MESSAGES = 421 "4.7.0" "too many messages on one connection, connect again";
    LOCAL_ERROR = 451 "4.3.0" "local error, try again later";
    MAILBOX_BUSY = 451 "4.2.0" "mailbox cannot take mail now, try again later";
    READ_ONLY = 451 "4.3.0" "storage is read-only now, try again later";
    BUSY = 452 "4.3.1" "too much mail is coming in at once, try again later";
    DISK_FULL = 452 "4.3.1" "disk full, try again later";
    OVER_QUOTA = 452 "4.2.2" "mailbox is full, try again later";
    TOO_MANY_RECIPIENTS = 452 "4.5.3" "too many recipients, send the rest in another message";
    LOGIN_UNAVAILABLE = 454 "4.7.0" "logins cannot be checked now, try again later";

    UNKNOWN_COMMAND = 500 "5.5.1" "unknown command";
    BAD_CHARACTERS = 500 "5.5.2" "command contains control characters or is not UTF-8";
    BARE_LINE_END = 500 "5.5.2" "lines must end with CRLF and contain no other CR or LF";
    COMMAND_TOO_LONG = 500 "5.5.2" "command line is too long";
    AUTH_LINE_TOO_LONG = 500 "5.5.6" "authentication line is too long";
    NO_ARGUMENT_ALLOWED = 501 "5.5.4" "this command takes no argument";
    HELO_NEEDS_NAME = 501 "5.5.4" "give the name of your host";
    BAD_PARAMETER = 501 "5.5.4" "bad parameter";
    REPEATED_PARAMETER = 501 "5.5.4" "parameter given twice";
    BDAT_SYNTAX = 501 "5.5.4" "say BDAT octets [LAST], closing";
    MAIL_SYNTAX = 501 "5.5.4" "say MAIL FROM:<address>";
    RCPT_SYNTAX = 501 "5.5.4" "say RCPT TO:<address>";
    NULL_RECIPIENT = 501 "5.1.3" "a recipient must have an address";
    BAD_BASE64 = 501 "5.5.2" "not base64";
    AUTH_SYNTAX = 501 "5.5.4" "say AUTH mechanism [initial-response]";
    AUTH_MALFORMED = 501 "5.5.2" "malformed authentication exchange";
    AUTH_CANCELLED = 501 "5.7.0" "authentication cancelled";
    NOT_IMPLEMENTED = 502 "5.5.1" "command not implemented";
    NO_STARTTLS = 502 "5.5.1" "TLS is not available here";
    NO_AUTH_HERE = 502 "5.5.1" "no login on this port, use the submission port";
    SAY_HELLO = 503 "5.5.1" "say EHLO first";
    SAY_LHLO = 503 "5.5.1" "say LHLO first";
    MAIL_FIRST = 503 "5.5.1" "say MAIL first";
    NESTED_MAIL = 503 "5.5.1" "sender already given";
    NOT_IN_TRANSACTION = 503 "5.5.1" "not allowed while a message is under way";
    BDAT_BEGUN = 503 "5.5.1" "message was begun with BDAT, go on with BDAT or RSET";
    NO_RECIPIENTS = 503 "5.5.1" "no valid recipients";
    TLS_ALREADY = 503 "5.5.1" "TLS is already on";
    LOGGED_IN_ALREADY = 503 "5.5.1" "already logged in";
    UNKNOWN_MECHANISM = 504 "5.5.4" "unknown authentication mechanism";
    LOGIN_FIRST = 530 "5.7.0" "log in first";
    TLS_BEFORE_LOGIN = 530 "5.7.0" "start TLS, then log in";
    WRONG_CREDENTIALS = 535 "5.7.8" "wrong user or password";
    NEED_ENCRYPTION = 538 "5.7.11" "login needs TLS";
    UNKNOWN_USER = 550 "5.1.1" "no such user here";
    MISCONFIGURED = 550 "5.3.5" "the alias of this address is broken, tell the postmaster";
    NO_QUEUE_YET = 550 "5.3.3" "sending to other servers is not available yet";
    RELAY_DENIED = 550 "5.7.1" "relaying denied";
    NOT_YOUR_ADDRESS = 550 "5.7.1" "sender address does not belong to this login";
    NOT_YOUR_FROM = 550 "5.7.1" "From address of the message does not belong to this login";
    TOO_BIG = 552 "5.3.4" "message is too big";
    HEADER_TOO_BIG = 552 "5.3.4" "message header is too big";
    NEEDS_SMTPUTF8 = 553 "5.6.7" "address is not ASCII, but SMTPUTF8 was not given";
    TOO_MANY_HOPS = 554 "5.4.6" "too many Received fields, the message is in a loop";
    COMMANDS_BEFORE_TLS = 554 "5.7.0" "commands were sent between STARTTLS and TLS, closing";
    MESSAGE_BARE_CR = 550 "5.6.11" "message contains a CR without LF";
    MESSAGE_BARE_LF = 550 "5.6.11" "message contains an LF without CR";
    MESSAGE_NUL = 550 "5.6.0" "message contains a NUL character";
    UNKNOWN_PARAMETER = 555 "5.5.4" "unknown parameter";
}

/// 552 at MAIL says what would fit.
pub(super) fn too_big(settings: &Settings) -> Reply {
    Reply::made(
        TOO_BIG.code,
        TOO_BIG.enhanced,
        format!("message is too big, at most {} octets", settings.max_message_size),
    )
}

/// A bad MAIL or RCPT address. `syntax` is 5.1.7 for a sender and 5.1.3 for a recipient (RFC 3463 3.2).
pub(super) fn bad_address(invalid: Invalid, syntax: &'static str) -> Reply {
    match invalid {
        Invalid::NotAscii => NEEDS_SMTPUTF8,
        Invalid::Syntax(text) | Invalid::TooLong(text) => Reply::fixed(501, syntax, text),
    }
}

/// Why a message with bad line ends is refused.
pub(super) fn flawed(flaw: Flaw) -> Reply {
    match flaw {
        Flaw::BareCr => MESSAGE_BARE_CR,
        Flaw::BareLf => MESSAGE_BARE_LF,
        Flaw::Nul => MESSAGE_NUL,
    }
}

/// What the client is told when the store did not do it. Never a 5xx: a mailbox that cannot take mail now may
/// take it when somebody has looked after it, and a message that is tried again is not lost.
pub(super) fn for_store(error: &store::Error) -> Reply {
    use store::Error;
    match error {
        Error::Full(_) => DISK_FULL,
        Error::OverQuota => OVER_QUOTA,
        Error::ReadOnly(_) => READ_ONLY,
        Error::Io { .. } => LOCAL_ERROR,
        Error::Locked(_)
        | Error::NotFound
        | Error::Exists
        | Error::BadName(_)
        | Error::Cannot(_)
        | Error::Gone
        | Error::Limit(_) => MAILBOX_BUSY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Out::new();
        reply.write(&mut out);
        String::from_utf8(out.bytes().to_vec()).unwrap()
    }

    #[test]
    fn one_line_and_several() {
        assert_eq!(written(&OK), "250 2.0.0 ok\r\n");
        assert_eq!(written(&SEND_DATA), "354 send the message, end with a line with a single dot\r\n");
        assert_eq!(written(&Reply::fixed(250, "", "a\nb\nc")), "250-a\r\n250-b\r\n250 c\r\n");
        assert_eq!(written(&Reply::fixed(214, "2.0.0", "a\nb")), "214-2.0.0 a\r\n214 2.0.0 b\r\n");
    }

    #[test]
    fn the_store_never_makes_mail_bounce() {
        for error in [store::Error::OverQuota, store::Error::Full("/".into()), store::Error::Gone] {
            assert!(for_store(&error).is_temporary(), "{error}");
        }
    }
}
