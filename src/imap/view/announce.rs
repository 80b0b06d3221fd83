//! How a view's queue of announcements is written.
//!
//! The order is fixed, since each line is read in the light of those before: keywords, then expunges from the highest number
//! down, then the new counts, then flags. A long queue is written in steps.

use super::View;
use crate::imap::response;
use crate::mail::Flags;
use crate::store::keywords::MAX_KEYWORDS;
use crate::store::{Mailbox, Message};
use crate::wire::Out;

/// Announcements that are decided but not written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub keywords: bool,
    /// Message numbers of EXPUNGE responses, the first to be written last.
    pub expunged: Vec<u32>,
    pub exists: bool,
    /// UIDs whose flags are to be told, and how many of them are written.
    pub flags: Vec<u32>,
    pub flags_written: usize,
}

impl Queue {
    fn is_empty(&self) -> bool {
        !self.keywords && self.expunged.is_empty() && !self.exists && self.flags.is_empty()
    }
}

impl View {
    /// Are there announcements to be written?
    pub fn has_news(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Write queued announcements until the output is full. Returns whether all are written. With `with_uid`, FETCH
    /// responses have the UID (RFC 3501 6.4.8: in answers to UID commands).
    pub fn flush(&mut self, mailbox: &Mailbox, read_only: bool, with_uid: bool, out: &mut Out) -> bool {
        let fetches = |view: &mut View, out: &mut Out| {
            view.queue.flags.is_empty() || mailbox.read(|messages| view.write_fetches(messages, with_uid, out))
        };
        self.write_counts(read_only, out) && fetches(self, out)
    }

    /// Write everything but flags.
    pub(super) fn write_counts(&mut self, read_only: bool, out: &mut Out) -> bool {
        if std::mem::take(&mut self.queue.keywords) {
            self.write_flags(read_only, out);
        }
        while let Some(number) = self.queue.expunged.pop() {
            out.line(format!("* {number} EXPUNGE"));
            if out.full() {
                return false;
            }
        }
        if std::mem::take(&mut self.queue.exists) {
            out.line(format!("* {} EXISTS", self.uids.len()));
        }
        let recent = self.recent_count();
        if recent != self.recent_told {
            self.recent_told = recent;
            out.line(format!("* {recent} RECENT"));
        }
        true
    }

    /// The FLAGS and PERMANENTFLAGS responses (RFC 3501 7.2.6, 7.1).
    pub fn write_flags(&self, read_only: bool, out: &mut Out) {
        let system = || Flags::TABLE.iter().map(|row| row.2);
        let keywords = || self.keywords.iter().map(String::as_str).filter(|name| !name.is_empty());
        out.put("* FLAGS ");
        response::list(out.buffer(), system().chain(keywords()));
        out.put("\r\n* OK [PERMANENTFLAGS ");
        if read_only {
            out.put("()");
        } else {
            // RFC 3501 7.1: `\*` says that new keywords can be made.
            let more = (keywords().count() < MAX_KEYWORDS).then_some("\\*");
            response::list(out.buffer(), system().chain(keywords()).chain(more));
        }
        out.line("] Flags that last");
    }

    /// Write queued FETCH responses until the output is full; returns whether all are written.
    pub(super) fn write_fetches(&mut self, messages: &[Message], with_uid: bool, out: &mut Out) -> bool {
        for uid in &self.queue.flags[self.queue.flags_written..] {
            if out.full() {
                return false;
            }
            self.queue.flags_written += 1;
            let found = messages.binary_search_by_key(uid, |message| message.uid);
            let (Ok(found), Some(number)) = (found, self.number(*uid)) else {
                continue;
            };
            out.put(format!("* {number} FETCH ("));
            if with_uid {
                out.put(format!("UID {uid} "));
            }
            out.put("FLAGS ");
            let message = &messages[found];
            let recent = self.is_recent(*uid);
            response::flags(out.buffer(), message.flags, recent, message.keywords, &self.keywords);
            out.line(")");
        }
        self.queue = Queue::default();
        true
    }
}
