//! Taking in what happened on disk.
//!
//! Two ways to know it. *Events*, where a watch is set: each names a file that came or went, and only that file is looked at,
//! so ten thousand messages moved in by `mv` cost ten thousand `lstat`s and no readdir. *Scans* otherwise: when the
//! times of the directories are not those that the table agrees with. An event is never believed alone: before anything
//! changes, the file itself is looked at, so that old events, events of our own changes, and events that crossed a scan do no harm.
//!
//! A file missing from one scan is not an expunge (readdir may skip a file that is renamed meanwhile): a second scan or a
//! delete event must say so.
//!
//! Fails with [`Error::NotFound`] once the folder is gone or replaced; the object is then closed. On any other error nothing is lost:
//! the next refresh reads the directories; while somebody waits, that is by the clock if by nothing else.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::filename::MessageName;
use super::super::watch::{Sink, Which};
use super::super::{Error, Result};
use super::pending::{Notes, What};
use super::scan::{self, Difference, File, Known, Stamp};
use super::table::{Table, base_of};
use super::{Disk, Mailbox};
use crate::notice::Raiser;

/// The watch is this late at most; then it is not believed, and the directories are read. Usually it is some 50 microseconds.
const WATCH_LAG: Duration = Duration::from_millis(100);

/// A refresh that failed is tried again after this time if somebody waits, then after twice as long, and so on.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// The longest time between two tries.
const RETRY_LAST: Duration = Duration::from_secs(60);

/// How much a refresh does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// What events and times ask for.
    Needed,
    /// The same for a session that has just opened the folder: a watch stays, since the session will want it.
    Revisit,
    /// Read the directories: a file was not where it should be.
    Scan,
}

impl Mailbox {
    /// Take in what happened on disk (events told us, or times of directories differ): new messages get UIDs, durably;
    /// vanished ones are expunged; changed names change flags.
    pub fn refresh(&self) -> Result<()> {
        let (_owner, mut disk) = self.enter()?;
        self.refresh_locked(&mut disk, Effort::Needed)
    }

    /// As [`Mailbox::refresh`], for a session that was woken and asks for nothing: if somebody is at work on the folder it does not wait, but
    /// is woken by `raiser` when they are done. So many sessions in IDLE on one busy folder do not hold many threads.
    pub fn refresh_if_free(&self, raiser: Raiser) -> Result<()> {
        let _owner = self.assume()?;
        let Some(mut disk) = self.lock_disk_if_free(raiser) else { return Ok(()) };
        if self.is_closed() {
            return Err(Error::NotFound);
        }
        self.refresh_locked(&mut disk, Effort::Needed)
    }

    /// As [`Mailbox::refresh`], when a session opens a folder that was kept open: nobody has looked for a while, so look at the
    /// shared files, too.
    pub(in super::super) fn revisit(&self) -> Result<()> {
        let (_owner, mut disk) = self.enter()?;
        let mut learned = self.merge_if_written(&mut disk)?;
        if disk.keywords.is_stale(&self.dir) {
            self.read_keywords(&mut disk);
            learned = true;
        }
        if learned {
            let mut state = self.write_state();
            state.keywords = disk.keyword_names(state.table.used_letters());
        }
        self.refresh_locked(&mut disk, Effort::Revisit)
    }

    pub(super) fn refresh_locked(&self, disk: &mut Disk, effort: Effort) -> Result<()> {
        self.release_kept();
        self.set_watch(disk);
        let stamp = self.stamp(disk)?;
        let scanned = Instant::now();
        let leaving = disk.watch.is_some() && effort != Effort::Revisit && !self.pending.has_listeners();
        let scan = effort == Effort::Scan || self.must_scan(disk, stamp, leaving);
        let mut notes = self.pending.take();
        let scan = scan || notes.rescan;
        let result = self.take_in(disk, &mut notes, scan);
        match &result {
            // The watch was asked for the last time: as good as a scan.
            Ok(scanned_now) if *scanned_now || leaving => {
                disk.known = Some(Known::after_scan(disk.known, stamp, scanned));
            }
            Ok(_) => {
                if let Some(known) = &mut disk.known
                    && disk.watch.is_some()
                {
                    known.move_to(stamp);
                }
            }
            Err(e) => {
                notes.rescan = true;
                self.pending.put_back(notes);
                self.try_again_later(disk, e);
            }
        }
        if result.is_ok() {
            disk.retry = RETRY_FIRST;
        }
        if leaving {
            disk.watch = None;
        }
        result.map(drop)
    }

    /// Somebody waits, and nothing may ever happen here that would wake him: the clock does.
    fn try_again_later(&self, disk: &mut Disk, error: &Error) {
        if !error.is_temporary() || !self.pending.has_listeners() || !self.pending.begin_retry() {
            return;
        }
        let sink: Arc<dyn Sink> = self.pending.clone();
        self.process.watch.look_later(&sink, disk.retry);
        disk.retry = RETRY_LAST.min(disk.retry * 2);
    }

    /// The times, if these are still the directories that we opened.
    fn stamp(&self, disk: &Disk) -> Result<Stamp> {
        let stamp = Stamp::take(&self.dir);
        let replaced = matches!((&stamp, &disk.known), (Ok(stamp), Some(known)) if !known.stamp().same_folder(stamp));
        if replaced || matches!(stamp, Err(Error::NotFound)) {
            self.close();
            return Err(Error::NotFound);
        }
        stamp
    }

    fn must_scan(&self, disk: &Disk, stamp: Stamp, leaving: bool) -> bool {
        let Some(known) = &disk.known else { return true };
        if !disk.is_watched() {
            return known.needs_scan(stamp);
        }
        // Two names of one file are there, and no event tells when one becomes the only one.
        disk.has_twins || (leaving || !known.is_settled_at(stamp)) && !self.process.watch.fence(WATCH_LAG)
    }

    /// True if the directories were read.
    fn take_in(&self, disk: &mut Disk, notes: &mut Notes, scan: bool) -> Result<bool> {
        if !scan {
            let difference = {
                let state = self.state();
                self.by_events(&state.table, notes)?
            };
            if let Some(difference) = difference {
                self.commit(disk, difference, &notes.durable)?;
                return Ok(false);
            }
        }
        let difference = self.by_scan()?;
        self.commit(disk, difference, &notes.durable)?;
        Ok(true)
    }

    fn by_scan(&self) -> Result<Difference> {
        let state = self.state();
        let first = scan::compare(&self.dir, &state.table)?;
        if first.missing.is_empty() {
            return Ok(first);
        }
        let mut second = scan::compare(&self.dir, &state.table)?;
        // Missing twice is gone. What only the second look misses has been there a moment ago: it waits for a third.
        let (gone, once): (Vec<u32>, Vec<u32>) =
            second.missing.iter().partition(|uid| first.missing.binary_search(uid).is_ok());
        if !once.is_empty() {
            self.pending.owe_rescan();
        }
        second.missing = gone;
        Ok(second)
    }

    /// What the events amount to; `None` if only a scan can tell.
    fn by_events(&self, table: &Table, notes: &Notes) -> Result<Option<Difference>> {
        let mut difference = Difference::default();
        let mut touched: HashMap<u32, Touched> = HashMap::new();
        let mut fresh: Vec<File> = Vec::new();
        let mut appeared: HashSet<(Which, &[u8])> = HashSet::new();
        for event in &notes.events {
            if MessageName::parse(&event.name).is_none() {
                continue;
            }
            let file = || File { name: event.name.clone(), place: event.place };
            if let Some(uid) = table.find_base(base_of(&event.name)) {
                let touched = touched.entry(uid).or_default();
                // A note of our own delivery may come behind later events: it settles nothing.
                touched.settled = event.what == What::Appeared
                    && self.is_current(table, uid, event.place, &event.name)
                    && !notes.durable.contains(&event.name);
                match event.what {
                    What::Appeared => touched.candidates.push(file()),
                    What::Removed => {}
                    What::MovedAway => touched.moved = true,
                }
            } else if event.what == What::Appeared && appeared.insert((event.place, &event.name)) {
                // A name that has come and gone again is found out below.
                fresh.push(file());
            }
        }
        for (uid, touched) in touched {
            if !touched.settled && !self.look_at(table, uid, touched, &mut difference)? {
                return Ok(None);
            }
        }
        for file in fresh {
            if self.exists(&file)? {
                match table.find_key(base_of(&file.name)).into_iter().find(|uid| difference.missing.contains(uid)) {
                    Some(uid) => {
                        difference.missing.retain(|missing| *missing != uid);
                        difference.renamed.push((uid, file));
                    }
                    None => difference.fresh.push(file),
                }
            }
        }
        difference.missing.sort_unstable();
        Ok(Some(difference))
    }

    fn is_current(&self, table: &Table, uid: u32, place: Which, name: &[u8]) -> bool {
        table.get(uid).is_some_and(|(_, entry)| entry.place == place && *entry.name == *name)
    }

    /// Where is the file of `uid` now? False if only a scan can tell.
    fn look_at(&self, table: &Table, uid: u32, touched: Touched, to: &mut Difference) -> Result<bool> {
        let Some((_, entry)) = table.get(uid) else { return Ok(true) };
        let current = File { name: entry.name.clone(), place: entry.place };
        let current_exists = self.exists(&current)?;
        for file in touched.candidates.into_iter().rev().filter(|file| *file != current) {
            if self.exists(&file)? {
                let list = if current_exists { &mut to.doubles } else { &mut to.renamed };
                list.push((uid, file));
                return Ok(true);
            }
        }
        if !current_exists {
            // Renamed to a name that we were not told yet, or away.
            if touched.moved {
                return Ok(false);
            }
            to.missing.push(uid);
        }
        Ok(true)
    }

    /// Is there a regular file of that name?
    pub(super) fn exists(&self, file: &File) -> Result<bool> {
        let path = self.path(file.place, &file.name);
        match fs::symlink_metadata(&path) {
            Ok(meta) => Ok(meta.is_file()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path, e)),
        }
    }
}

/// What events say of a message that we know.
#[derive(Default)]
struct Touched {
    /// Names that appeared for it, the latest last.
    candidates: Vec<File>,
    /// One of its names was renamed away.
    moved: bool,
    /// The last event brought the name that the table has: nothing to look at. So it is with all our own changes.
    settled: bool,
}
