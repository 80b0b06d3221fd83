//! ENVELOPE as IMAP writes it (RFC 3501 section 7.4.2, section 9 `envelope`).

use super::{nstring, string};
use crate::mail::address_list::Mailbox;
use crate::mail::envelope::Envelope;

/// Write `(date subject from sender reply-to to cc bcc in-reply-to message-id)`.
pub fn write(out: &mut Vec<u8>, envelope: &Envelope) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref());
    out.push(b' ');
    nstring(out, envelope.subject.as_deref());
    let (senders, reply_tos) = (envelope.senders(), envelope.reply_tos());
    for list in [&envelope.from, senders, reply_tos, &envelope.to, &envelope.cc, &envelope.bcc] {
        out.push(b' ');
        addresses(out, list);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, list: &[Mailbox]) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for mailbox in list {
        out.push(b'(');
        for (n, field) in [&mailbox.name, &mailbox.route, &mailbox.mailbox, &mailbox.host].into_iter().enumerate() {
            if n > 0 {
                out.push(b' ');
            }
            match field {
                Some(text) => string(out, text),
                None => out.extend_from_slice(b"NIL"),
            }
        }
        out.push(b')');
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &Envelope::parse(header.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    /// The example of RFC 3501 section 7.4.2.
    #[test]
    fn example_of_the_rfc() {
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nSubject: IMAP4rev1 WG mtg summary and minutes\n\
            From: Terry Gray <gray@cac.washington.edu>\nTo: imap@cac.washington.edu\n\
            Cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\n\
            Message-Id: <B27397-0100000@cac.washington.edu>\n\n";
        let gray = "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\"))";
        assert_eq!(
            written(header),
            format!(
                "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" \
                 {gray} {gray} {gray} ((NIL NIL \"imap\" \"cac.washington.edu\")) \
                 ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
                 \"<B27397-0100000@cac.washington.edu>\")"
            )
        );
    }

    #[test]
    fn nothing_and_oddities() {
        assert_eq!(written(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            written("To: G: \"a\\\"b\" <c@d>;\nSubject: é\n"),
            "(NIL {2}\r\né NIL NIL NIL ((NIL NIL \"G\" NIL)(\"a\\\"b\" NIL \"c\" \"d\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)"
        );
    }
}
