//! What one session has told its client about the open mailbox.
//!
//! Owns: the UIDs that were told, in order, so that a message number means the same to both sides. Changes that anybody made
//! to the folder are found by [`View::collect`] and written by [`View::flush`]; between the two a sequence number is
//! never wrong, because `collect` changes the numbering and queues the announcements in one go, and nothing else is written until they
//! are out. Expunges wait as long as the protocol forbids them (RFC 3501 7.4.1): the UIDs stay in the list and
//! their numbers keep their meaning.
//!
//! How changes are found: the mailbox has a generation number, equal if nothing happened, so that asking costs
//! nothing. If something did, one pass over the messages in memory compares them with the list; a message
//! whose mod-sequence is higher than any seen before has new flags. So a view costs a few bytes a run of UIDs ([`Uids`]), and not a copy of
//! every flag.
//!
//! A client that keeps mod-sequences takes the highest that it was told for the point up to which it knows everything (RFC 7162 section 6).
//! Where that is not so, because an expunge is held back or a message changed again while it was told, the view knows
//! the true point, [`View::take_sync_point`], and the reply says it.

mod announce;
mod collect;
mod pick;
mod uids;
mod wants;

pub use collect::Own;
pub use pick::Picked;
pub use uids::Uids;
pub use wants::Wants;

use super::updates::Seen;
use crate::mail::Flags;
use crate::store::acl::Rights;
use crate::store::{Mailbox, Message, Reader};
use announce::Queue;

/// No mailbox has lived through so many changes.
const NEVER: u64 = u64::MAX;

/// What the client was told.
#[derive(Debug, Default)]
pub struct View {
    /// UIDs told, ascending; message number n is element n - 1.
    uids: Uids,
    /// UIDs that are \Recent in this session, ascending; some may not be told yet.
    recent: Vec<u32>,
    /// The number of the last RECENT response.
    recent_told: usize,
    /// The client knows no \Recent (IMAP4rev2): `recent` stays empty.
    no_recent: bool,
    /// This session leaves \Recent to others (EXAMINE).
    peek: bool,
    /// Names of the folder's keywords, as in the last FLAGS response.
    keywords: Vec<String>,
    /// Highest mod-sequence that was looked at: a message above it has flags that the client does not know.
    modseq: u64,
    /// The mailbox's generation at the last look.
    generation: u64,
    /// Messages of the list are gone, but that could not be told yet.
    held: bool,
    /// The search result variable (RFC 5182), see [`View::save`].
    saved: Vec<(u32, u32)>,
    /// Everything up to this mod-sequence was told, or is in the queue.
    synced: u64,
    /// What the client makes of this command's responses.
    tally: Tally,
    /// Keeps messages readable whose going was not told.
    reader: Reader,
    queue: Queue,
    /// What the user may not change here.
    denied: Rights,
    /// What others do is told so far.
    wants: Wants,
    /// The first of the messages that were found since [`View::take_new`].
    new_from: Option<u32>,
    /// UIDs of messages that this session made here, or removed, and that [`View::look`] has not found yet.
    made: Vec<u32>,
    removed: Vec<u32>,
}

/// What a client that keeps mod-sequences was told by the command in progress.
#[derive(Debug, Default)]
struct Tally {
    /// The highest mod-sequence.
    highest: u64,
    /// There were expunges, told as VANISHED.
    vanished: bool,
    /// An earlier reply named a sync point lower than what had been told.
    lowered: bool,
}

impl View {
    /// Look at a mailbox for the first time. Everything that is there counts as told: the caller says EXISTS, RECENT and FLAGS.
    pub fn open(mailbox: &Mailbox, peek: bool) -> View {
        let reader = mailbox.reader();
        let mut view = View { peek, reader, generation: mailbox.generation(), ..View::default() };
        mailbox.read_to(|messages, highest| {
            view.uids = messages.iter().map(|message| message.uid).collect();
            // Not the highest of the messages: a STORE that is at work will give it to others, too.
            (view.modseq, view.synced) = (highest, highest);
        });
        view.reader.knows(view.synced);
        view.keywords = mailbox.keywords();
        view.recent = mailbox.claim_recent(peek);
        view.recent_told = view.recent_count();
        view
    }

    /// Of a folder that has messages of these UIDs, and nothing else.
    #[cfg(test)]
    pub(super) fn of(uids: &[u32]) -> View {
        View { uids: uids.iter().copied().collect(), ..View::default() }
    }

    /// The user has these rights (RFC 4314).
    pub fn permit(&mut self, rights: Rights) {
        self.denied = Rights::ALL.without(rights);
    }

    /// The client speaks IMAP4rev2, which has no \Recent. The folder gives it to this session as before, so that the messages are not new
    /// for ever.
    pub fn deny_recent(&mut self) {
        (self.no_recent, self.recent_told) = (true, 0);
        self.recent.clear();
    }

    /// Number of messages told (EXISTS).
    pub fn count(&self) -> u32 {
        u32::try_from(self.uids.len()).unwrap_or(u32::MAX)
    }

    /// Number of told messages that are \Recent.
    pub fn recent_count(&self) -> usize {
        let last = self.uids.last().unwrap_or(0);
        self.recent.partition_point(|uid| *uid <= last)
    }

    /// Is a message \Recent in this session?
    pub fn is_recent(&self, uid: u32) -> bool {
        self.recent.binary_search(&uid).is_ok()
    }

    /// Names of the keyword bits, as far as they were told.
    pub fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// UID of a message number. It may be expunged meanwhile.
    pub fn uid(&self, number: u32) -> Option<u32> {
        self.uids.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Message number of a UID.
    pub fn number(&self, uid: u32) -> Option<u32> {
        self.uids.find(uid).and_then(|index| u32::try_from(index + 1).ok())
    }

    /// All UIDs told, ascending.
    pub fn uids(&self) -> &Uids {
        &self.uids
    }

    /// Number of the first message without \Seen (RFC 3501 7.1 UNSEEN).
    pub fn first_unseen(&self, mailbox: &Mailbox) -> Option<u32> {
        let unseen = |messages: &[Message]| {
            messages
                .iter()
                .filter(|message| !message.flags.has(Flags::SEEN))
                .find_map(|message| self.number(message.uid))
        };
        mailbox.read(unseen)
    }

    fn claim_recent(&mut self, uids: Vec<u32>) {
        if self.no_recent {
            return;
        }
        self.recent.extend(uids);
        self.recent.sort_unstable();
        self.recent.dedup();
    }

    /// The client was told `modseq` of a message in answer to its command.
    pub fn told_modseq(&mut self, modseq: u64) {
        self.tally.highest = self.tally.highest.max(modseq);
    }

    /// Messages were expunged by the command in progress, told of or not.
    pub fn expunged_some(&mut self) {
        self.tally.vanished = true;
    }

    /// How far it has looked.
    pub fn seen(&self) -> Seen {
        Seen { generation: self.generation, modseq: self.modseq }
    }

    /// Everything up to this mod-sequence was told.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// At the end of a command: the sync point, if the client would not find it by itself, or if it must be said (RFC 7162 3.2.7, section 6).
    pub fn take_sync_point(&mut self, qresync: bool) -> Option<u64> {
        let tally = std::mem::take(&mut self.tally);
        let lower = tally.highest > self.synced;
        self.tally.lowered = lower || tally.lowered && self.held;
        let say = lower || tally.lowered && !self.held || tally.vanished && qresync;
        say.then_some(self.synced)
    }

    /// The same folder was opened again, under another name: look at everything next time.
    pub fn reopened(&mut self, mailbox: &Mailbox) {
        self.generation = NEVER;
        self.reader = mailbox.reader();
        self.reader.knows(self.synced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::enabled::Enabled;
    use crate::wire::Out;

    fn message(uid: u32, flags: Flags, modseq: u64) -> Message {
        Message { uid, flags, keywords: 0, modseq }
    }

    /// Messages of these UIDs without flags; their mod-sequences are their UIDs.
    fn folder(uids: &[u32]) -> Vec<Message> {
        uids.iter().map(|uid| message(*uid, Flags::NONE, u64::from(*uid))).collect()
    }

    fn highest(messages: &[Message]) -> u64 {
        messages.iter().map(|message| message.modseq).max().unwrap_or(0)
    }

    fn view(uids: &[u32]) -> View {
        let mut view = View::default();
        view.look(&folder(uids), highest(&folder(uids)), true, Own::None);
        view.queue = Queue::default();
        view
    }

    fn told(view: &mut View, messages: &[Message]) -> String {
        told_to(view, messages, Enabled::default())
    }

    fn told_to(view: &mut View, messages: &[Message], enabled: Enabled) -> String {
        let mut out = Out::new();
        assert!(view.write_counts(false, enabled, &mut out));
        while !view.write_fetches(messages, false, enabled, &mut out) {}
        String::from_utf8_lossy(out.bytes()).replace("\r\n", "; ")
    }

    #[test]
    fn arrivals_and_expunges() {
        let mut view = view(&[1, 2, 3, 4, 5]);
        let now = folder(&[2, 4, 5, 6, 7]);
        assert!(view.look(&now, highest(&now), true, Own::None));
        assert_eq!(told(&mut view, &now), "* 3 EXPUNGE; * 1 EXPUNGE; * 5 EXISTS; ");
        assert_eq!(view.uids().iter().collect::<Vec<_>>(), [2, 4, 5, 6, 7]);
        assert_eq!(told(&mut view, &now), "", "once is enough");
    }

    #[test]
    fn expunges_wait_and_numbers_hold() {
        let mut view = view(&[1, 2, 3]);
        let now = folder(&[3, 4]);
        view.look(&now, highest(&now), false, Own::None);
        assert_eq!(told(&mut view, &now), "* 4 EXISTS; ");
        assert_eq!((view.number(3), view.uid(1), view.held), (Some(3), Some(1), true));
        view.look(&now, highest(&now), true, Own::None);
        assert_eq!(told(&mut view, &now), "* 2 EXPUNGE; * 1 EXPUNGE; ");
        assert_eq!((view.number(3), view.held), (Some(1), false));
    }

    #[test]
    fn a_message_that_comes_and_goes_between_two_looks_is_never_told() {
        let mut view = view(&[1, 2]);
        view.look(&folder(&[1, 2]), highest(&folder(&[1, 2])), true, Own::None);
        assert_eq!(told(&mut view, &folder(&[1, 2])), "");
    }

    #[test]
    fn a_uid_that_comes_back_below_others_is_not_told() {
        let mut view = view(&[1, 2, 3]);
        view.look(&folder(&[1, 3]), highest(&folder(&[1, 3])), true, Own::None);
        told(&mut view, &[]);
        view.look(&folder(&[1, 2, 3]), highest(&folder(&[1, 2, 3])), true, Own::None);
        assert_eq!(told(&mut view, &folder(&[1, 2, 3])), "");
        assert_eq!(view.uids().iter().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn flags_of_others_are_told_once() {
        let mut view = view(&[1, 2]);
        let now = [message(1, Flags::SEEN, 9), message(2, Flags::NONE, 2)];
        view.look(&now, highest(&now), false, Own::None);
        assert_eq!(told(&mut view, &now), "* 1 FETCH (FLAGS (\\Seen)); ");
        view.look(&now, highest(&now), false, Own::None);
        assert_eq!(told(&mut view, &now), "");
    }

    #[test]
    fn own_changes_are_echoed_or_silent() {
        let now = [message(1, Flags::SEEN, 9), message(2, Flags::SEEN, 8), message(3, Flags::NONE, 3)];
        let mut echo = view(&[1, 2, 3]);
        echo.look(&now, highest(&now), false, Own::Echo(&[1, 3]));
        let all = "* 1 FETCH (FLAGS (\\Seen)); * 2 FETCH (FLAGS (\\Seen)); * 3 FETCH (FLAGS ()); ";
        assert_eq!(told(&mut echo, &now), all);
        // Message 2 was changed by somebody else too: it is not as this session left it.
        let mut silent = view(&[1, 2, 3]);
        silent.look(
            &now,
            highest(&now),
            false,
            Own::Silent { known: &[(1, Flags::SEEN, 0), (2, Flags::DRAFT, 0)], conditional: false },
        );
        assert_eq!(told(&mut silent, &now), "* 2 FETCH (FLAGS (\\Seen)); ");
    }

    #[test]
    fn recent_is_counted_when_told() {
        let mut view = view(&[1]);
        view.claim_recent(vec![2, 3]);
        assert_eq!(view.recent_count(), 0);
        let now = folder(&[1, 2]);
        view.look(&now, highest(&now), true, Own::None);
        assert_eq!(told(&mut view, &now), "* 2 EXISTS; * 1 RECENT; ");
        view.look(&folder(&[1]), highest(&folder(&[1])), true, Own::None);
        assert_eq!(told(&mut view, &now), "* 2 EXPUNGE; * 0 RECENT; ");
    }

    /// `dovecot-keywords` may have gaps; RFC 3501 section 9 has one space between flags.
    #[test]
    fn a_keyword_without_a_name_leaves_no_gap() {
        let mut view = view(&[1]);
        view.keywords = vec!["a".into(), String::new(), "c".into()];
        let mut out = Out::new();
        view.write_flags(false, &mut out);
        let said = String::from_utf8_lossy(out.bytes()).into_owned();
        assert!(said.contains(" a c)\r\n") && said.contains(" a c \\*)") && !said.contains("  "), "{said}");
    }

    #[test]
    fn many_expunges_are_written_in_steps() {
        let uids: Vec<u32> = (1..=30_000).collect();
        let mut view = view(&uids);
        view.look(&[], 30_001, true, Own::None);
        let mut out = Out::new();
        assert!(!view.write_counts(false, Enabled::default(), &mut out));
        assert!(out.bytes().starts_with(b"* 30000 EXPUNGE\r\n"));
        out.clear();
        while !view.write_counts(false, Enabled::default(), &mut out) {
            out.clear();
        }
        assert!(out.bytes().ends_with(b"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n"));
    }

    #[test]
    fn many_flags_are_written_in_steps() {
        let uids: Vec<u32> = (1..=20_000).collect();
        let mut view = view(&uids);
        view.look(&folder(&uids), highest(&folder(&uids)), false, Own::Echo(&uids));
        let (mut out, mut steps, mut lines) = (Out::new(), 1, 0);
        while !view.write_fetches(&folder(&uids), true, Enabled::default(), &mut out) {
            lines += memchr::memchr_iter(b'\n', out.bytes()).count();
            out.clear();
            steps += 1;
        }
        assert_eq!(lines + memchr::memchr_iter(b'\n', out.bytes()).count(), 20_000);
        assert!(steps > 1 && view.queue.flags.is_empty());
    }
}
