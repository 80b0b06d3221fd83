//! What happened to a folder since somebody last looked, and who wants to know.
//!
//! Owns the notes that the watch and our own deliveries leave for the next refresh, and the raisers of the sessions that
//! wait. It reads no disk and decides nothing. Bounded: past [`MAX_EVENTS`] the notes become one note, "read the directories".
//!
//! A raiser is raised when the first note is left after a refresh took the notes: a session that was woken will
//! refresh, and so take whatever comes after the first, too. Never fails; leaves nothing on disk.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::watch::{Seen, Sink, Which};
use crate::notice::Raiser;

/// Notes kept between two refreshes. Some 100 bytes each; a readdir is cheaper than applying more than that.
const MAX_EVENTS: usize = 20_000;

/// A name that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) place: Which,
    pub(super) name: Box<[u8]>,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// There is a file of that name now.
    Appeared,
    /// The file was removed.
    Removed,
    /// The file was renamed; the other half may be among the notes, or still on its way.
    MovedAway,
}

/// Everything that was noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) events: Vec<Event>,
    /// Events may have been lost: read the directories.
    pub(super) rescan: bool,
    /// Names that we delivered ourselves and that are on the disk for good.
    pub(super) durable: HashSet<Box<[u8]>>,
    /// Somebody was told to look and has not looked yet.
    told: bool,
}

impl Notes {
    fn merge(&mut self, later: Notes) {
        self.events.extend(later.events);
        self.rescan |= later.rescan;
        self.durable.extend(later.durable);
    }
}

/// Notes and listeners of one folder. Its locks are the last ones in the order: nothing else is locked under them.
#[derive(Default)]
pub(super) struct Pending {
    notes: Mutex<Notes>,
    /// The clock will say `Look` after a failed refresh.
    retries: AtomicBool,
    listeners: Mutex<Vec<Raiser>>,
}

impl Pending {
    /// Take all notes.
    pub(super) fn take(&self) -> Notes {
        std::mem::take(&mut self.lock())
    }

    /// Put back what a refresh could not deal with; what came meanwhile stays behind it.
    pub(super) fn put_back(&self, before: Notes) {
        let mut notes = self.lock();
        let after = std::mem::replace(&mut *notes, before);
        // Nobody was told of these: the next note raises.
        notes.told = after.told;
        notes.merge(after);
    }

    /// We delivered `name` into `new/`; it is synced.
    pub(super) fn delivered(&self, name: &[u8]) {
        self.note(|notes| {
            notes.durable.insert(name.into());
            notes.events.push(Event { place: Which::New, name: name.into(), what: What::Appeared });
        });
    }

    /// Something happened that only reading the directories tells.
    pub(super) fn rescan(&self) {
        self.note(|notes| notes.rescan = true);
    }

    /// The next refresh, whenever that is, shall read the directories.
    pub(super) fn owe_rescan(&self) {
        self.lock().rescan = true;
    }

    fn note(&self, add: impl FnOnce(&mut Notes)) {
        let first = {
            let mut notes = self.lock();
            add(&mut notes);
            if notes.events.len() > MAX_EVENTS {
                notes.events = Vec::new();
                notes.durable = HashSet::new();
                notes.rescan = true;
            }
            !std::mem::replace(&mut notes.told, true)
        };
        if first {
            self.raise();
        }
    }

    /// A refresh has failed: shall the clock be asked? Not if it was already.
    pub(super) fn begin_retry(&self) -> bool {
        !self.retries.swap(true, Ordering::AcqRel)
    }

    /// Raise everybody, forgetting those who are gone. True if somebody is there.
    pub(super) fn raise(&self) -> bool {
        // Raised outside the lock: a waker is foreign code.
        let listeners = self.listeners().clone();
        let gone = listeners.iter().filter(|raiser| !raiser.raise()).count();
        if gone > 0 {
            self.listeners().retain(Raiser::is_alive);
        }
        gone < listeners.len()
    }

    /// Add a listener.
    pub(super) fn listen(&self, raiser: Raiser) {
        let mut listeners = self.listeners();
        listeners.retain(Raiser::is_alive);
        listeners.push(raiser);
    }

    /// Does anybody wait?
    pub(super) fn has_listeners(&self) -> bool {
        self.listeners().iter().any(Raiser::is_alive)
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Raiser>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Pending {
    fn seen(&self, which: Which, seen: Seen<'_>) {
        let event = |name: &[u8], what| Event { place: which, name: name.into(), what };
        match seen {
            // Dot files are no messages (`.nfs...`, editors' swap files).
            Seen::Appeared(name) | Seen::Removed(name) | Seen::MovedAway(name) if name.starts_with(b".") => {}
            Seen::Appeared(name) => self.note(|notes| notes.events.push(event(name, What::Appeared))),
            Seen::Removed(name) => self.note(|notes| notes.events.push(event(name, What::Removed))),
            Seen::MovedAway(name) => self.note(|notes| notes.events.push(event(name, What::MovedAway))),
            Seen::DirectoryGone | Seen::Rescan => self.rescan(),
            // Whoever is raised compares the times of the directories.
            Seen::Look => {
                self.retries.store(false, Ordering::Release);
                self.raise();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Notice;

    #[test]
    fn one_wake_up_until_somebody_looks() {
        let pending = Pending::default();
        let notice = Notice::new();
        pending.listen(notice.raiser());
        pending.seen(Which::New, Seen::Appeared(b"a"));
        assert!(notice.take());
        pending.seen(Which::New, Seen::Removed(b"a"));
        assert!(!notice.take(), "was told already");
        assert_eq!(pending.take().events.len(), 2);
        pending.seen(Which::New, Seen::Appeared(b"b"));
        assert!(notice.take());
    }

    #[test]
    fn too_many_notes_become_a_rescan() {
        let pending = Pending::default();
        for n in 0..=MAX_EVENTS {
            pending.seen(Which::Cur, Seen::Appeared(n.to_string().as_bytes()));
        }
        let notes = pending.take();
        assert!(notes.rescan && notes.events.is_empty());
    }

    #[test]
    fn listeners_that_are_gone_are_forgotten() {
        let pending = Pending::default();
        let notice = Notice::new();
        pending.listen(notice.raiser());
        assert!(pending.has_listeners() && pending.raise());
        drop(notice);
        assert!(!pending.raise());
        assert!(pending.listeners().is_empty());
    }

    #[test]
    fn what_we_delivered_is_known_to_be_durable() {
        let pending = Pending::default();
        pending.delivered(b"m");
        assert!(pending.take().durable.contains(&b"m"[..]));
    }
}
