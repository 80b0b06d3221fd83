//! The ENVELOPE of a message (RFC 3501 section 7.4.2): ten fields of its header, as written.
//!
//! Nothing is decoded and nothing is refused. White space inside a text is one space, so that folds do not show. Where
//! Date, Subject, In-Reply-To or Message-ID are there twice the last counts, as in Dovecot; address fields that are
//! there twice are taken together, so that no second From hides behind the first. Sender and Reply-To that name
//! nobody are From. At most [`MAX_ADDRESSES`] are read.

use super::address_list::{self, Mailbox};
use super::header::{self, Field};

/// Addresses of all fields together. A header block that is looked at ([`super::scan::MAX_HEADER`]) has no room for more that are real.
pub const MAX_ADDRESSES: usize = 20_000;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date.
    pub date: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<Mailbox>,
    /// Sender as it stands; see [`Envelope::senders`].
    pub sender: Vec<Mailbox>,
    /// Reply-To as it stands; see [`Envelope::reply_tos`].
    pub reply_to: Vec<Mailbox>,
    /// To.
    pub to: Vec<Mailbox>,
    /// Cc.
    pub cc: Vec<Mailbox>,
    /// Bcc.
    pub bcc: Vec<Mailbox>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// Read a header block.
    pub fn parse(block: &[u8]) -> Envelope {
        let mut envelope = Envelope::default();
        for field in header::fields(block) {
            envelope.take(&field);
        }
        envelope
    }

    /// Sender, or From.
    pub fn senders(&self) -> &[Mailbox] {
        if self.sender.is_empty() { &self.from } else { &self.sender }
    }

    /// Reply-To, or From.
    pub fn reply_tos(&self) -> &[Mailbox] {
        if self.reply_to.is_empty() { &self.from } else { &self.reply_to }
    }

    /// How many are in it.
    pub fn addresses(&self) -> usize {
        [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc].iter().map(|list| list.len()).sum()
    }

    fn take(&mut self, field: &Field<'_>) {
        let room = MAX_ADDRESSES.saturating_sub(self.addresses());
        let add = |list: &mut Vec<Mailbox>, field: &Field<'_>| {
            let found = address_list::parse(field.value());
            let most = address_list::MAX_ADDRESSES.saturating_sub(list.len()).min(room);
            list.extend(found.into_iter().take(most));
        };
        match field.name.to_ascii_lowercase().as_slice() {
            b"date" => self.date = Some(text(field)),
            b"subject" => self.subject = Some(text(field)),
            b"in-reply-to" => self.in_reply_to = Some(text(field)),
            b"message-id" => self.message_id = Some(text(field)),
            b"from" => add(&mut self.from, field),
            b"sender" => add(&mut self.sender, field),
            b"reply-to" => add(&mut self.reply_to, field),
            b"to" => add(&mut self.to, field),
            b"cc" => add(&mut self.cc, field),
            b"bcc" => add(&mut self.bcc, field),
            _ => {}
        }
    }
}

fn text(field: &Field<'_>) -> Vec<u8> {
    header::squeeze(field.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let e = Envelope::parse(
            b"Subject: a \n\t b\nSubject: =?utf-8?q?x?=\n  c\nDate:\nMESSAGE-ID : <a@b> \n\nSubject: z\n",
        );
        assert_eq!(e.subject.as_deref(), Some(&b"=?utf-8?q?x?= c"[..]));
        assert_eq!(e.date.as_deref(), Some(&b""[..]));
        assert_eq!(e.message_id.as_deref(), Some(&b"<a@b>"[..]));
        assert_eq!(e.in_reply_to, None);
    }

    #[test]
    fn nobody_hides_behind_the_first_from() {
        let e = Envelope::parse(b"From: a@b\nSender: \nFrom: c@d\nReply-To: e@f\n\n");
        assert_eq!(e.from.len(), 2);
        assert_eq!(e.senders(), e.from);
        assert_eq!(e.reply_tos()[0].mailbox.as_deref(), Some(&b"e"[..]));
    }

    #[test]
    fn addresses_are_bounded_in_all_fields_together() {
        let block = format!("From: {0}\nTo: {0}\nCc: {0}\nFrom: {0}\n\n", "a,".repeat(30_000));
        let e = Envelope::parse(block.as_bytes());
        assert_eq!((e.addresses(), e.from.len()), (MAX_ADDRESSES, address_list::MAX_ADDRESSES));
    }
}
