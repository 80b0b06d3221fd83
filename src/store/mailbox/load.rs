//! Opening a folder: its uidlist, its journal, its keywords, and a first look at the directories.
//!
//! Owns the repair of `dovecot-uidlist`: a damaged one is set aside (`dovecot-uidlist.broken-<seconds>`) and written anew from what
//! could be read and the journal's copy, with the same UIDVALIDITY and UIDs; a missing one comes from the journal, from
//! Courier's `courierimapuiddb`, or is begun. Only if nothing at all knows the old UIDVALIDITY is there a new one.
//!
//! Fails with [`Error::NotFound`] if there is no such folder. A folder that we may not write is opened read-only; on a full disk
//! it is opened with UIDs in memory.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Instant;

use super::super::cache::Cache;
use super::super::journal::{self, Folder, Journal, Known, Record as Note, State as Memory};
use super::super::keywords::Keywords;
use super::super::lock::{Guard, Lock};
use super::super::process::Process;
use super::super::uidlist::{self, Damage, Found, Header, Record, UidList};
use super::super::watch::Which;
use super::super::{Error, FILE_MODE, Owner, Result, courier, filename, tree, uidvalidity};
use super::history::History;
use super::pending::Pending;
use super::refresh::{Effort, RETRY_FIRST};
use super::scan::Stamp;
use super::table::{Entry, Message, Table};
use super::{Disk, Mailbox, State};
use crate::mail::Flags;
use crate::{clock, fsio};

impl Mailbox {
    /// Open the folder in `dir`, of the account whose root Maildir is `root`.
    pub(in super::super) fn load(process: Arc<Process>, root: &Path, dir: PathBuf, owner: Owner) -> Result<Mailbox> {
        let _owner = owner.assume().map_err(|e| Error::io(&dir, e))?;
        complete(&dir)?;
        let (lock, read_only) = take_lock(&dir, process.coexist)?;
        let (journal, mut memory) = Journal::open(&dir)?;
        let (list, records, unwritten) = read_list(root, &dir, lock.as_ref(), &mut memory)?;
        if let Some(lock) = &lock
            && let Err(error) = courier::import_keywords(&dir, lock)
        {
            // The mail is readable without them; the next opening tries again.
            tracing::warn!(path = %dir.display(), %error, "cannot take over Courier's keywords");
        }
        let keywords = Keywords::read(&dir)?;
        drop(lock);
        let header = list.header().clone();
        let before = Before::new(&header, &records, &memory);
        let is_known = memory.folder.as_ref().is_some_and(|folder| is_same(folder, &header));
        let (table, unknown) = remembered(records, &memory);
        let state = State {
            next_uid: header.next_uid,
            highest_modseq: memory.highest_modseq,
            kept: BTreeMap::new(),
            history: History::new(std::mem::take(&mut memory.expunged), memory.forgotten),
            generation: 0,
            keywords: Vec::new(),
            table,
        };
        let disk = Disk {
            list,
            journal,
            keywords,
            high_keywords: std::mem::take(&mut memory.keywords),
            known: None,
            unclaimed: Default::default(),
            vanished: HashSet::new(),
            stale_list: unwritten.then(Instant::now),
            stale_journal: !is_known,
            begins_journal: !is_known,
            watch: None,
            retry: RETRY_FIRST,
            has_twins: false,
            left_new: false,
        };
        let mailbox = Mailbox {
            process,
            cache: Cache::new(&dir, header.uid_validity),
            dir,
            owner,
            uid_validity: header.uid_validity,
            guid: header.guid.clone(),
            read_only: AtomicBool::new(read_only),
            closed: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            quota: OnceLock::new(),
            lookout: OnceLock::new(),
            in_pop3: AtomicBool::new(false),
            passed_over: Mutex::default(),
            pending: Arc::new(Pending::default()),
            keeping: Default::default(),
            disk: Mutex::new(disk),
            state: RwLock::new(state),
        };
        mailbox.first_look(&header, &memory, &unknown, &before)?;
        Ok(mailbox)
    }

    /// Compare with the directories, and tell the journal what it did not know.
    fn first_look(&self, header: &Header, memory: &Memory, unknown: &[u32], before: &Before) -> Result<()> {
        let mut disk = self.lock_disk();
        self.refresh_locked(&mut disk, Effort::Scan)?;
        let begins = std::mem::take(&mut disk.begins_journal);
        let mut notes = Vec::new();
        let modseq = journal::next_modseq(self.state().highest_modseq);
        if begins {
            // Whatever was noted before is void now.
            let folder =
                Folder { uid_validity: self.uid_validity, next_uid: header.next_uid, guid: header.guid.clone() };
            notes.push(Note::Folder(folder));
        }
        let knows_all = !begins && before.knows_all;
        {
            let mut state = self.write_state();
            state.keywords = disk.keyword_names(state.table.used_letters());
            if !knows_all {
                state.history.forget(modseq);
                notes.push(Note::Modseq { highest: modseq, forgotten: modseq });
            }
            if !before.gone.is_empty() {
                state.history.add(modseq, &before.gone);
                notes.push(Note::Expunged { modseq, uids: before.gone.clone() });
            }
            if !unknown.is_empty() || !knows_all || !before.gone.is_empty() {
                state.highest_modseq = state.highest_modseq.max(modseq);
            }
            for uid in unknown {
                if let Some(message) = state.table.message_mut(*uid).filter(|message| message.modseq == 0) {
                    message.modseq = modseq;
                }
            }
            let recent: Vec<u32> = {
                let rows = state.table.messages().iter().zip(state.table.entries());
                // RFC 3501 2.3.2: who cannot tell whether a session was told says \Recent. So it is with what was appended with flags,
                // and so lies in cur/, once the journal knows how far it was told; files that others put there are theirs.
                let had_uid = |m: &Message| memory.recent_below > 0 && m.uid < header.next_uid;
                let is_recent =
                    |(m, e): &(&Message, &Entry)| m.uid >= memory.recent_below && (e.place == Which::New || had_uid(m));
                rows.filter(is_recent).map(|(message, _)| message.uid).collect()
            };
            for uid in recent {
                if let Some(entry) = state.table.entry_mut(uid) {
                    entry.recent = true;
                }
            }
        }
        self.set_saved(unknown, disk.stale_journal);
        if !disk.stale_journal {
            notes.extend(self.notes_of(unknown));
        }
        if (!notes.is_empty() || disk.stale_journal)
            && let Some(lock) = self.lock_files()?
        {
            self.write_notes(&mut disk, Some(&lock), &notes);
            self.merge_others(&mut disk, &lock)?;
        }
        self.clean_tmp();
        Ok(())
    }

    fn notes_of(&self, uids: &[u32]) -> Vec<Note> {
        let state = self.state();
        let rows = uids.iter().filter_map(|uid| state.table.get(*uid));
        rows.map(|(message, entry)| {
            let known = Known {
                base: entry.base().into(),
                modseq: message.modseq,
                saved: entry.saved().unwrap_or_else(clock::unix),
                flags: message.flags,
                keywords: message.keywords,
            };
            Note::Message { uid: message.uid, known }
        })
        .collect()
    }

    /// When messages that the journal does not know came: not now, but when their files came to be here. In a folder that
    /// we see for the first time a look at every file would cost more than this is worth: it is now.
    fn set_saved(&self, unknown: &[u32], at_once: bool) {
        let now = clock::unix();
        let saved = |entry: &Entry| {
            let path = self.path(entry.place, &entry.name);
            std::fs::symlink_metadata(path).map_or(now, |meta| meta.ctime())
        };
        let times: Vec<(u32, i64)> = {
            let state = self.state();
            let rows = unknown.iter().filter_map(|uid| state.table.get(*uid));
            rows.map(|(message, entry)| (message.uid, if at_once { now } else { saved(entry) })).collect()
        };
        let mut state = self.write_state();
        for (uid, time) in times {
            if let Some(entry) = state.table.entry_mut(uid) {
                entry.set_saved(time);
            }
        }
    }

    pub(super) fn set_read_only(&self) {
        if !self.read_only.swap(true, Ordering::Relaxed) {
            tracing::info!(path = %self.dir.display(), "folder is read-only");
        }
    }
}

/// A folder whose making a crash cut short, that a simple script made, or whose empty directories a backup lost gets what it lacks;
/// `cur/` or `new/` makes it a folder. Where nothing can be written it is served if both are there.
fn complete(dir: &Path) -> Result<()> {
    if !dir.join("cur").is_dir() && !dir.join("new").is_dir() {
        return Err(Error::NotFound);
    }
    match tree::complete(dir) {
        Err(e) if e.forbids_writing() || matches!(e, Error::Full(_)) => Stamp::take(dir).map(drop),
        result => result,
    }
}

/// The lock, and whether nothing can be written here. No lock on a full disk.
fn take_lock(dir: &Path, coexist: bool) -> Result<(Option<Lock>, bool)> {
    match Lock::take(dir, Guard::Folder, coexist) {
        Ok(lock) => Ok((Some(lock), false)),
        Err(Error::Full(_)) => Ok((None, false)),
        Err(e) if e.forbids_writing() => Ok((None, true)),
        Err(e) => Err(e),
    }
}

/// The list, its records, and whether it exists in memory only (nothing can be written now).
fn read_list(
    root: &Path,
    dir: &Path,
    lock: Option<&Lock>,
    memory: &mut Memory,
) -> Result<(UidList, Vec<Record>, bool)> {
    let (mut lock, mut aside) = (lock, None);
    let (header, records) = match UidList::read(dir)? {
        Found::Whole(list, records) => {
            let header = list.header();
            forget_other_validity(memory, header.uid_validity, &records);
            // The list is written first, and synced: it can lack what the journal has only if somebody cut or restored it, or if
            // the disk was full.
            if header.next_uid >= memory.next_uid {
                return Ok((list, records, false));
            }
            tracing::error!(path = %dir.display(), "dovecot-uidlist lacks UIDs that were given: completed from the journal");
            rebuilt(Some(Damage { line: 0, why: "", header: Some(header.clone()), records }), memory)
        }
        Found::Missing => match rebuilt(None, memory) {
            None => courier::uids(dir)?,
            ours => ours,
        },
        Found::Damaged(damage) => {
            tracing::error!(path = %dir.display(), line = damage.line, why = damage.why, "damaged dovecot-uidlist");
            if lock.is_some() {
                match uidlist::copy_aside(dir) {
                    Ok(path) => {
                        tracing::error!(path = %path.display(), "set aside; rebuilding from the journal");
                        aside = Some(path);
                    }
                    // Nothing can be set aside, so that nothing may be replaced.
                    Err(Error::Full(_)) => lock = None,
                    // A file system without links.
                    Err(_) => drop(uidlist::set_aside(dir)?),
                }
            }
            rebuilt(Some(damage), memory)
        }
    }
    .map_or_else(|| begun(root, dir, lock), Ok)?;
    forget_other_validity(memory, header.uid_validity, &records);
    let mut list = UidList::new(dir, header.clone());
    let mut unwritten = true;
    if let Some(lock) = lock {
        let result = list.rewrite(lock, header, records.iter(), FILE_MODE);
        if let (Err(_), Some(aside)) = (&result, aside) {
            // The damaged list stands where it was; the next opening reads what it can of it again.
            let _ = fsio::unlink(&aside);
        }
        match result {
            Ok(()) => unwritten = false,
            Err(Error::Full(path)) => tracing::warn!(path = %path.display(), "disk full: UIDs are kept in memory"),
            Err(e) => return Err(e),
        }
    }
    Ok((list, records, unwritten))
}

/// A journal that speaks of another UIDVALIDITY knows nothing of these messages.
fn forget_other_validity(memory: &mut Memory, uid_validity: u32, records: &[Record]) {
    let is_ours = match &memory.folder {
        Some(folder) => folder.uid_validity == uid_validity,
        // The one record that says it was damaged: then the same UIDs for the same files say it, too.
        None => {
            let both = |record: &Record| Some((memory.messages.get(&record.uid)?.base.clone(), record.base.clone()));
            let mut both = records.iter().filter_map(both).peekable();
            both.peek().is_some() && both.all(|(ours, listed)| filename::key(&ours) == filename::key(&listed))
        }
    };
    if !is_ours {
        memory.forget();
    }
}

/// What the journal and the readable part of a damaged list know. `None` if nobody knows the UIDVALIDITY.
pub(super) fn rebuilt(damage: Option<Damage>, memory: &Memory) -> Option<(Header, Vec<Record>)> {
    let (from_list, readable) = damage.map_or((None, Vec::new()), |damage| (damage.header, damage.records));
    let from_journal = memory.folder.as_ref().map(|folder| Header {
        uid_validity: folder.uid_validity,
        next_uid: folder.next_uid.max(1),
        guid: folder.guid.clone(),
        others: Vec::new(),
    });
    let mut records: BTreeMap<u32, Record> = BTreeMap::new();
    let mut header = match (from_list, from_journal) {
        // The list is the authority; an old journal of another folder is not asked.
        (Some(list), Some(journal)) if list.uid_validity != journal.uid_validity => list,
        (None, None) => return None,
        (list, journal) => {
            records.extend(memory.messages.iter().map(|(uid, known)| (*uid, Record::new(*uid, &known.base))));
            let guid = journal.as_ref().map_or(String::new(), |journal| journal.guid.clone());
            let mut header = list.or(journal)?;
            header.next_uid = header.next_uid.max(memory.next_uid);
            if header.guid.is_empty() {
                header.guid = guid;
            }
            header
        }
    };
    // The same file under two UIDs: the list's record is the one that clients were told.
    let in_list: HashSet<&[u8]> = readable.iter().map(|record| &*record.base).collect();
    records.retain(|_, record| !in_list.contains(&*record.base));
    records.extend(readable.into_iter().map(|record| (record.uid, record)));
    if let Some((last, _)) = records.last_key_value() {
        header.next_uid = header.next_uid.max(last + 1);
    }
    Some((header, records.into_values().collect()))
}

/// A folder that has never had UIDs from us or Dovecot.
fn begun(root: &Path, dir: &Path, lock: Option<&Lock>) -> Result<(Header, Vec<Record>)> {
    let uid_validity = match lock {
        Some(_) => match uidvalidity::next(root) {
            Ok(next) => next,
            Err(Error::Full(_)) => unwritten_validity(dir)?,
            Err(e) => return Err(e),
        },
        None => unwritten_validity(dir)?,
    };
    Ok((Header::new(uid_validity), Vec::new()))
}

/// A UIDVALIDITY that will be the same next time although it is written nowhere: from the directory's inode number.
fn unwritten_validity(dir: &Path) -> Result<u32> {
    let meta = std::fs::metadata(dir.join("cur")).map_err(|e| Error::io(dir, e))?;
    Ok(u32::try_from(meta.ino() & 0x7fff_ffff).unwrap_or(1).max(1))
}

/// Does a journal that speaks of `folder` speak of the folder with this uidlist?
fn is_same(folder: &Folder, header: &Header) -> bool {
    folder.uid_validity == header.uid_validity && folder.guid == header.guid
}

/// What became of messages while nobody wrote the journal.
struct Before {
    /// Messages that only the journal knows: the list was written without them, and a power cut took the journal's note of it.
    gone: Vec<u32>,
    /// Every UID that was given is known to list or journal; else some may have come and gone, and nobody knows when.
    knows_all: bool,
}

impl Before {
    fn new(header: &Header, records: &[Record], memory: &Memory) -> Before {
        let listed = |uid: u32| records.binary_search_by_key(&uid, |record| record.uid).is_ok();
        let gone = memory.messages.keys().copied().filter(|uid| !listed(*uid)).collect();
        let next = memory.next_uid.max(1);
        let later = records.len() - records.partition_point(|record| record.uid < next);
        Before { gone, knows_all: header.next_uid as usize <= next as usize + later }
    }
}

/// The table as list and journal know it, before the directories were looked at; and the UIDs that the journal does not know.
fn remembered(records: Vec<Record>, memory: &Memory) -> (Table, Vec<u32>) {
    let expunged: HashSet<u32> = memory.expunged.iter().map(|(_, uid)| *uid).collect();
    let mut table = Table::default();
    let mut unknown = Vec::new();
    // The line of an expunged message stays in the list until that is rewritten.
    for record in records.into_iter().filter(|record| !expunged.contains(&record.uid)) {
        let same = |known: &&Known| filename::key(&known.base) == filename::key(&record.base);
        let known = memory.messages.get(&record.uid).filter(same);
        let message = match known {
            Some(known) => {
                Message { uid: record.uid, flags: known.flags, keywords: known.keywords, modseq: known.modseq }
            }
            None => {
                unknown.push(record.uid);
                Message { uid: record.uid, flags: Flags::NONE, keywords: 0, modseq: 0 }
            }
        };
        let mut entry = Entry::new(&record.base, Which::Cur);
        entry.fields = record.fields;
        if let Some(known) = known {
            entry.set_saved(known.saved);
        }
        table.insert(message, entry);
    }
    (table, unknown)
}
