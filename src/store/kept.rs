//! Folders that stay open for a while after the last session has left them.
//!
//! A client that polls, or opens folder after folder, finds what the process knew: a few stats instead of reading the
//! uidlist, the journal and the directories. Bounded by [`MAX_FOLDERS`], by [`MAX_MESSAGES`] (some 20 MB) and by [`KEEP_FOR`]; the one
//! not used for the longest time goes first. A kept folder keeps its account open, so that the next session finds it there.
//!
//! Touches no disk by itself; a folder that goes may write what it still owes. Never fails.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Mailbox, Store};

/// Folders kept: all of somebody who has a thousand and asks for the STATUS of each, and then some. Each costs some KB and no open file.
const MAX_FOLDERS: usize = 2_048;
/// Messages in them, at 200 bytes each.
const MAX_MESSAGES: usize = 100_000;
/// Time since the last session opened it: longer than the interval of a client that polls.
const KEEP_FOR: Duration = Duration::from_secs(11 * 60);

/// The table of kept folders.
#[derive(Default)]
pub(super) struct Kept(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By turn: the least recently opened first.
    entries: BTreeMap<u64, Entry>,
    /// The turn of each folder, by the address of its object, which the entry keeps where it is.
    turns: HashMap<usize, u64>,
    next_turn: u64,
    /// In all entries.
    messages: usize,
}

struct Entry {
    opened: Instant,
    messages: usize,
    mailbox: Arc<Mailbox>,
    _store: Arc<Store>,
}

impl Kept {
    /// `mailbox` of `store` was opened.
    pub(super) fn touch(&self, store: Arc<Store>, mailbox: &Arc<Mailbox>) {
        let now = Instant::now();
        let messages = mailbox.read(<[_]>::len);
        let entry = Entry { opened: now, messages, mailbox: Arc::clone(mailbox), _store: store };
        // Dropped after the lock: a folder that goes may have something to write.
        let mut gone = Vec::new();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gone.extend(table.put(entry));
        while table.is_over(now) {
            gone.extend(table.take_oldest());
        }
        drop(table);
        drop(gone);
    }
}

impl Table {
    /// Add the latest entry; the one before of the same folder, if any.
    fn put(&mut self, entry: Entry) -> Option<Entry> {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.messages += entry.messages;
        let before = self.turns.insert(Arc::as_ptr(&entry.mailbox).addr(), turn);
        self.entries.insert(turn, entry);
        let before = self.entries.remove(&before?)?;
        self.messages -= before.messages;
        Some(before)
    }

    /// Has the oldest to go?
    fn is_over(&self, now: Instant) -> bool {
        let Some((_, oldest)) = self.entries.first_key_value() else { return false };
        let fits = self.entries.len() <= MAX_FOLDERS && self.messages <= MAX_MESSAGES;
        !fits || now - oldest.opened > KEEP_FOR || oldest.mailbox.is_closed()
    }

    fn take_oldest(&mut self) -> Option<Entry> {
        let (_, oldest) = self.entries.pop_first()?;
        self.turns.remove(&Arc::as_ptr(&oldest.mailbox).addr());
        self.messages -= oldest.messages;
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Home, Layout, Name, Owner, Settings, Stores};
    use super::*;

    #[test]
    fn the_one_not_opened_for_the_longest_time_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home { maildir: dir.path().join("m"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        let stores = Stores::new(Settings { hostname: "h".into(), ..Settings::default() }).unwrap();
        let store = stores.open(&home).unwrap();
        let names = ["A", "B", "C"].map(|text| Name::parse(text).unwrap());
        names.iter().for_each(|name| store.create(name, None).unwrap());
        let [a, b, c] = names.map(|name| store.mailbox(&name).unwrap());
        let kept = Kept::default();
        let order = |kept: &Kept| -> Vec<*const Mailbox> {
            let table = kept.0.lock().unwrap();
            assert_eq!(table.entries.len(), table.turns.len());
            assert_eq!(table.messages, table.entries.values().map(|entry| entry.messages).sum::<usize>());
            table.entries.values().map(|entry| Arc::as_ptr(&entry.mailbox)).collect()
        };
        for mailbox in [&a, &b, &c, &a] {
            kept.touch(Arc::clone(&store), mailbox);
        }
        assert_eq!(order(&kept), [&b, &c, &a].map(Arc::as_ptr));
        // A folder that is gone is not kept, once it is the oldest.
        b.close();
        kept.touch(Arc::clone(&store), &c);
        assert_eq!(order(&kept), [&a, &c].map(Arc::as_ptr));
        // Too many messages: the oldest goes, though no other is so large.
        let entry = |mailbox: &Arc<Mailbox>, messages| {
            let (mailbox, store) = (Arc::clone(mailbox), Arc::clone(&store));
            Entry { opened: Instant::now(), messages, mailbox, _store: store }
        };
        let put = |entry| drop(kept.0.lock().unwrap().put(entry));
        put(entry(&c, MAX_MESSAGES));
        kept.touch(Arc::clone(&store), &a);
        assert_eq!(order(&kept), [&c, &a].map(Arc::as_ptr), "as many as fit");
        put(entry(&a, 1));
        let later = store.mailbox(&Name::inbox()).unwrap();
        kept.touch(Arc::clone(&store), &later);
        assert_eq!(order(&kept), [&a, &later].map(Arc::as_ptr));
    }
}
