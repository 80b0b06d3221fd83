//! How a view's queue of announcements is written.
//!
//! The order is fixed, since each line is read in the light of those before: keywords, then expunges from the highest number
//! down (or as VANISHED, RFC 7162 3.2.10), then the new counts, then flags. A long queue is written in steps.

use super::View;
use super::collect::Tell;
use crate::imap::enabled::Enabled;
use crate::imap::response;
use crate::mail::Flags;
use crate::store::acl::Rights;
use crate::store::keywords::MAX_KEYWORDS;
use crate::store::{Mailbox, Message};
use crate::wire::Out;

/// UIDs in one VANISHED response: a line of some 10 KB at most.
const VANISHED_A_LINE: usize = 1000;

/// Announcements that are decided but not written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub keywords: bool,
    /// Message numbers of EXPUNGE responses, the first to be written last, and UIDs.
    pub expunged: Vec<(u32, u32)>,
    pub exists: bool,
    /// UIDs of FETCH responses, and how many of them are written.
    pub flags: Vec<(u32, Tell)>,
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

    /// Numbers and UIDs of messages whose EXPUNGE is queued, ascending; the numbers are those that the client knows.
    pub fn leaving(&self) -> &[(u32, u32)] {
        &self.queue.expunged
    }

    /// Write queued announcements until the output is full. Returns whether all are written. With `with_uid`, FETCH
    /// responses have the UID (RFC 3501 6.4.8: in answers to UID commands).
    pub fn flush(
        &mut self,
        mailbox: &Mailbox,
        read_only: bool,
        with_uid: bool,
        enabled: Enabled,
        out: &mut Out,
    ) -> bool {
        let fetches = |view: &mut View, out: &mut Out| {
            view.queue.flags.is_empty() || mailbox.read(|messages| view.write_fetches(messages, with_uid, enabled, out))
        };
        self.write_counts(read_only, enabled, out) && fetches(self, out)
    }

    /// Queue the flags of `uids` (ascending): the client that comes back does not know them (RFC 7162 3.2.5.1).
    pub fn queue_flags(&mut self, uids: impl Iterator<Item = u32>) {
        let queued: Vec<u32> = self.queue.flags.iter().map(|(uid, _)| *uid).collect();
        self.queue.flags.extend(uids.filter(|uid| queued.binary_search(uid).is_err()).map(|uid| (uid, Tell::Flags)));
    }

    /// Write everything but flags.
    pub(super) fn write_counts(&mut self, read_only: bool, enabled: Enabled, out: &mut Out) -> bool {
        if std::mem::take(&mut self.queue.keywords) {
            self.write_flags(read_only, out);
        }
        // RFC 7162 3.2.10; RFC 9586 section 3.4: without QRESYNC, too, if there are no message numbers.
        if enabled.qresync || enabled.uidonly {
            while !self.queue.expunged.is_empty() {
                let rest = self.queue.expunged.split_off(self.queue.expunged.len().min(VANISHED_A_LINE));
                let uids = std::mem::replace(&mut self.queue.expunged, rest).into_iter().map(|(_, uid)| uid);
                out.line(format!("* VANISHED {}", response::set(uids)));
                self.tally.vanished = true;
                if out.full() {
                    return false;
                }
            }
        }
        while let Some((number, _)) = self.queue.expunged.pop() {
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
            // RFC 4314 5.1.1: what the user's rights allow.
            let rights = Rights::ALL.without(self.denied);
            let system = rights.flags().names().map(|name: &str| name);
            let keywords = keywords().chain(more).filter(|_| rights.keywords());
            response::list(out.buffer(), system.chain(keywords));
        }
        out.line("] Flags that last");
    }

    /// Write queued FETCH responses until the output is full; returns whether all are written.
    pub(super) fn write_fetches(
        &mut self,
        messages: &[Message],
        with_uid: bool,
        enabled: Enabled,
        out: &mut Out,
    ) -> bool {
        for (uid, tell) in &self.queue.flags[self.queue.flags_written..] {
            if out.full() {
                return false;
            }
            self.queue.flags_written += 1;
            let found = messages.binary_search_by_key(uid, |message| message.uid);
            let (Ok(found), Some(number)) = (found, self.number(*uid)) else {
                continue;
            };
            let message = &messages[found];
            if *tell == Tell::Modseq && !enabled.condstore {
                continue;
            }
            response::fetch_head(out.buffer(), number, *uid, enabled.uidonly);
            // RFC 7162 3.2.4: always both, whatever caused the response. RFC 9051 7.5.2: in IMAP4rev2 always the UID.
            if !enabled.uidonly && (with_uid || enabled.condstore || enabled.rev2) {
                out.put(format!("UID {uid} "));
            }
            if *tell == Tell::Flags {
                out.put("FLAGS ");
                let recent = self.is_recent(*uid);
                response::flags(out.buffer(), message.flags, recent, message.keywords, &self.keywords);
            }
            if enabled.condstore {
                let space = if *tell == Tell::Flags { " " } else { "" };
                out.put(format!("{space}MODSEQ ({})", message.modseq));
                self.tally.highest = self.tally.highest.max(message.modseq);
            }
            out.line(")");
        }
        self.queue = Queue::default();
        true
    }
}
