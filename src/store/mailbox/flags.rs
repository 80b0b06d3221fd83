//! Flags and keywords.
//!
//! A change is one rename of the message's file (keywords `a` to `z` and flags are letters of its name), wholly there or
//! wholly not after a power cut; the directory is synced within a second by [`super::super::dirsync`]. Keywords past the 26th live
//! in the journal, which is synced before the call returns.
//!
//! Another program may have renamed a file since we looked: the directories are looked at again and the change is made to what
//! is there now, so neither change is lost. A message that is gone is passed over.

use std::collections::BTreeMap;
use std::io;

use super::super::acl::Rights;
use super::super::filename::MessageName;
use super::super::journal::{self, Record as Note};
use super::super::keywords::{Keywords, LETTERS, MAX_KEYWORDS, MAX_NAME};
use super::super::watch::Which;
use super::super::{Error, FILE_MODE, Result};
use super::refresh::Effort;
use super::table::{LETTER_BITS, Message};
use super::write::flag_notes;
use super::{Disk, MAX_LOOKS, Mailbox};
use crate::fsio;
use crate::mail::Flags;

/// How STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
    /// `FLAGS` by one who may change only what these rights allow: all else stays.
    ReplaceAs(Rights),
}

/// What became of one message.
enum Outcome {
    /// Its flags are these now.
    Changed(Message),
    /// They were so already, or it is gone.
    Same,
    /// It has changed since the moment that the client named.
    Refused,
}

impl Change {
    /// Flags and keyword bits that were `old`, after this change with `with`.
    pub fn apply(self, old: (Flags, u128), with: (Flags, u128)) -> (Flags, u128) {
        match self {
            Change::Add => (old.0.with(with.0), old.1 | with.1),
            Change::Remove => (old.0.without(with.0), old.1 & !with.1),
            Change::Replace => with,
            Change::ReplaceAs(rights) => {
                let kept = old.0.without(rights.flags());
                (kept.with(with.0.both(rights.flags())), if rights.keywords() { with.1 } else { old.1 })
            }
        }
    }
}

impl Mailbox {
    /// Change flags of `uids` (sorted). Names in `keywords` get a place in the table if they have none. Messages that are gone
    /// are passed over. With `unchanged_since`, messages with a higher modseq are left alone and returned.
    pub fn store_flags(
        &self,
        uids: &[u32],
        change: Change,
        flags: Flags,
        keywords: &[String],
        unchanged_since: Option<u64>,
    ) -> Result<Vec<u32>> {
        let (_owner, mut disk) = self.enter_to_change()?;
        if unchanged_since.is_some() {
            // RFC 7162 3.1.3: what others did before this counts.
            self.refresh_locked(&mut disk, Effort::Needed)?;
        }
        // What is told of a message is all its keywords: those past the 26th that others have set meanwhile must not be undone.
        self.merge_if_written(&mut disk)?;
        let keywords = self.number_keywords(&mut disk, keywords, change != Change::Remove)?;
        let mut modseq = journal::next_modseq(self.highest_modseq());
        let (mut refused, mut changed) = (Vec::new(), Vec::new());
        let mut failure = None;
        for &uid in uids {
            let apply = |old: &Message| {
                let allowed = unchanged_since.is_none_or(|limit| old.modseq <= limit);
                allowed.then(|| change.apply((old.flags, old.keywords), (flags, keywords)))
            };
            match self.change_one(&mut disk, uid, &mut modseq, apply) {
                Ok(Outcome::Changed(message)) => changed.push(message),
                Ok(Outcome::Refused) => refused.push(uid),
                Ok(Outcome::Same) => {}
                Err(e) => {
                    // A name without room for flags says nothing about the other messages.
                    let is_last = !is_too_long(&e);
                    failure = failure.or(Some(e));
                    if is_last {
                        break;
                    }
                }
            }
        }
        self.finish_flags(&mut disk, modseq, &changed)?;
        failure.map_or(Ok(refused), Err)
    }

    /// Rename one message's file to the flags that `change` wants, if it wants any.
    fn change_one(
        &self,
        disk: &mut Disk,
        uid: u32,
        modseq: &mut u64,
        change: impl Fn(&Message) -> Option<(Flags, u128)>,
    ) -> Result<Outcome> {
        for _ in 0..=MAX_LOOKS {
            let (old, name, place) = match self.state().table.get(uid) {
                Some((message, entry)) => (message.clone(), entry.name.clone(), entry.place),
                None => return Ok(Outcome::Same),
            };
            // Asked again after every look at the disk: what it found may be a change that counts.
            let Some((flags, keywords)) = change(&old) else { return Ok(Outcome::Refused) };
            if (flags, keywords) == (old.flags, old.keywords) {
                return Ok(Outcome::Same);
            }
            let letters = (keywords & LETTER_BITS) as u32;
            let Some(new_name) = MessageName::parse(&name).map(|parsed| parsed.with(flags, letters)) else {
                return Ok(Outcome::Same);
            };
            // Flags live in names in cur/: a message in new/ moves there.
            if *new_name != *name || place != Which::Cur {
                let from = self.path(place, &name);
                let (old, new) = (self.subdirectory(place), self.subdirectory(Which::Cur));
                let rename = || fsio::rename_new(&from, &self.path(Which::Cur, &new_name));
                match self.process.syncs.moving(&old, &new, rename) {
                    Ok(()) => disk.left_new |= place == Which::New,
                    Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                        self.refresh_locked(disk, Effort::Scan)?;
                        // Sessions may know all up to what it found: this change must be above that.
                        *modseq = (*modseq).max(journal::next_modseq(self.highest_modseq()));
                        continue;
                    }
                    Err(e) => return Err(Error::io(&from, e)),
                }
            }
            let message = Message { uid, flags, keywords, modseq: *modseq };
            let mut state = self.write_state();
            state.table.rename(uid, &new_name, Which::Cur);
            if let Some(old) = state.table.message_mut(uid) {
                *old = message.clone();
            }
            return Ok(Outcome::Changed(message));
        }
        Err(Error::Locked(self.dir.clone()))
    }

    fn finish_flags(&self, disk: &mut Disk, modseq: u64, changed: &[Message]) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        self.process.syncs.soon(&self.subdirectory(Which::Cur), self.owner);
        if disk.left_new {
            self.process.syncs.soon(&self.subdirectory(Which::New), self.owner);
        }
        self.own_change(disk);
        // Files and table are changed, whatever becomes of the notes: sessions must see it.
        let mut modseq = modseq;
        let noted = self.note_flags(disk, &mut modseq, changed);
        disk.stale_journal |= noted.is_err();
        self.tell(disk, self.write_state(), modseq);
        noted
    }

    /// Note in the journal what `changed`; their mod-sequence may have to be a greater one for it.
    fn note_flags(&self, disk: &mut Disk, modseq: &mut u64, changed: &[Message]) -> Result<()> {
        let lock = self.lock_files()?;
        if let Some(lock) = &lock {
            self.merge_others(disk, lock)?;
        }
        let mut changed = changed.to_vec();
        if self.highest_modseq() >= *modseq {
            // Clients of another process know all up to there, and ask for what changed later (RFC 7162 3.1.4.1).
            *modseq = journal::next_modseq(self.highest_modseq());
            let mut state = self.write_state();
            for message in &mut changed {
                message.modseq = *modseq;
                if let Some(known) = state.table.message_mut(message.uid) {
                    known.modseq = *modseq;
                }
            }
        }
        let notes = flag_notes(changed.iter());
        let only_journal = changed.iter().any(|message| message.keywords & !LETTER_BITS != 0);
        match (&lock, only_journal) {
            (Some(lock), true) => self.promise_notes(disk, lock, &notes)?,
            _ => self.write_notes(disk, lock.as_ref(), &notes),
        }
        Ok(())
    }

    /// Numbers of keywords, as bits. Names that have none get one if `add`, durably; else they are passed over.
    pub(super) fn number_keywords(&self, disk: &mut Disk, names: &[String], add: bool) -> Result<u128> {
        if names.is_empty() {
            return Ok(0);
        }
        let find = |disk: &Disk, name: &str| {
            let high = || disk.high_keywords.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| *row.0);
            disk.keywords.find(name).or_else(|| high().map(usize::from))
        };
        let bits = |disk: &Disk| names.iter().filter_map(|name| find(disk, name)).fold(0, |all, n| all | 1_u128 << n);
        if disk.keywords.is_stale(&self.dir) {
            self.read_keywords(disk);
        }
        if !add || names.iter().all(|name| find(disk, name).is_some()) {
            return Ok(bits(disk));
        }
        let lock = self.lock_files()?.ok_or_else(|| Error::Full(self.dir.clone()))?;
        self.merge_others(disk, &lock)?;
        disk.keywords = Keywords::read(&self.dir)?;
        // Believed only when they are on the disk: a name that only we know would be a letter without a name after a restart.
        let (mut table, mut high) = (disk.keywords.clone(), disk.high_keywords.clone());
        let used = self.state().table.used_letters();
        let (mut lettered, mut notes) = (false, Vec::new());
        for name in names {
            let is_high = |high: &BTreeMap<u8, String>| high.values().any(|known| known.eq_ignore_ascii_case(name));
            if table.find(name).is_some() || is_high(&high) {
                continue;
            }
            if name.len() > MAX_NAME {
                return Err(Error::Limit("keyword is too long"));
            }
            if table.add(name, used).is_some() {
                lettered = true;
                continue;
            }
            let free = (LETTERS..MAX_KEYWORDS).find_map(|n| u8::try_from(n).ok().filter(|n| !high.contains_key(n)));
            let number = free.ok_or(Error::Limit("the mailbox has 128 keywords already"))?;
            high.insert(number, name.clone());
            notes.push(Note::Keyword { number, name: name.clone() });
        }
        if lettered {
            table.write(&self.dir, &lock, FILE_MODE)?;
            disk.keywords = table;
        }
        self.promise_notes(disk, &lock, &notes)?;
        disk.high_keywords = high;
        Ok(bits(disk))
    }

    /// Read `dovecot-keywords` again; what we have stays if it cannot be read.
    pub(super) fn read_keywords(&self, disk: &mut Disk) {
        match Keywords::read(&self.dir) {
            Ok(keywords) => disk.keywords = keywords,
            Err(e) => tracing::warn!(path = %self.dir.display(), error = %e, "cannot read dovecot-keywords"),
        }
    }
}

/// Has a file no room in its name?
fn is_too_long(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.raw_os_error() == Some(nix::errno::Errno::ENAMETOOLONG as i32))
}

impl Disk {
    /// Names by number, for sessions: empty where a number has neither name nor use.
    pub(super) fn keyword_names(&self, used: u32) -> Vec<String> {
        let mut names: Vec<String> = (0..LETTERS)
            .map(|n| match self.keywords.name(n) {
                Some(name) => name.to_owned(),
                None if used & 1 << n != 0 => self.keywords.shown(n),
                None => String::new(),
            })
            .collect();
        for (number, name) in &self.high_keywords {
            names.resize(names.len().max(usize::from(*number) + 1), String::new());
            names[usize::from(*number)].clone_from(name);
        }
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        names
    }
}
