//! Which annotations of an account were changed, for the sessions that want to be told (RFC 5464 section 4.4).
//!
//! Only names: a session that learns of a change asks for the value. One note an entry, with a number that grows and the session that made the
//! last change; so a thousand changes of one entry are one note, and no session can miss one however long it was away. Bounded by
//! [`MAX_NOTES`]; past it the oldest go.
//!
//! In memory only, and only what this process changed: no other program writes these files.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Entry;
use crate::notice::Raiser;
use crate::store::Name;

/// Notes kept: every entry of a hundred folders that are annotated as far as allowed.
const MAX_NOTES: usize = 20_000;

/// One changed entry: of a folder, or of the account (`None`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// Of which folder.
    pub of: Option<Name>,
    /// Which.
    pub entry: Entry,
}

/// The notes of one account.
#[derive(Default)]
pub struct Feed(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    last: u64,
    /// By entry: the change's number, and the session that made it.
    changed: BTreeMap<Changed, (u64, u64)>,
    listeners: Vec<Raiser>,
}

impl Feed {
    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.notes().last
    }

    /// What others than the session `me` changed after `since`, and the number to go on from.
    pub fn after(&self, since: u64, me: u64) -> (Vec<Changed>, u64) {
        let notes = self.notes();
        if notes.last == since {
            return (Vec::new(), since);
        }
        let new = notes.changed.iter().filter(|(_, (number, by))| *number > since && *by != me);
        (new.map(|(changed, _)| changed.clone()).collect(), notes.last)
    }

    /// Raise `raiser` on every change from now on, until its waiter is gone.
    pub fn listen(&self, raiser: Raiser) {
        let mut notes = self.notes();
        notes.listeners.retain(Raiser::is_alive);
        if !notes.listeners.iter().any(|other| other.is_same(&raiser)) {
            notes.listeners.push(raiser);
        }
    }

    pub(super) fn note<'a>(&self, of: Option<&Name>, entries: impl Iterator<Item = &'a Entry>, by: u64) {
        let raisers = {
            let mut notes = self.notes();
            notes.last += 1;
            let number = notes.last;
            for entry in entries {
                notes.changed.insert(Changed { of: of.cloned(), entry: entry.clone() }, (number, by));
            }
            if notes.changed.len() > MAX_NOTES {
                let oldest = number.saturating_sub(MAX_NOTES as u64 / 2);
                notes.changed.retain(|_, (number, _)| *number > oldest);
            }
            notes.listeners.retain(Raiser::is_alive);
            notes.listeners.clone()
        };
        for raiser in raisers {
            raiser.raise();
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;
    use crate::notice::Notice;

    #[test]
    fn others_are_told_once_and_the_doer_is_not() {
        let feed = Feed::default();
        let notice = Notice::new();
        feed.listen(notice.raiser());
        let entry: Entry = (Scope::Shared, "/comment".into());
        feed.note(None, [&entry].into_iter(), 7);
        feed.note(None, [&entry].into_iter(), 7);
        assert!(notice.take());
        let (told, next) = feed.after(0, 8);
        assert_eq!((told.len(), next), (1, 2));
        assert_eq!(feed.after(next, 8), (Vec::new(), 2));
        assert_eq!(feed.after(0, 7), (Vec::new(), 2));
    }
}
