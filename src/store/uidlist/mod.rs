//! `dovecot-uidlist`: which message has which UID. The format is Dovecot's (version 3), so that a folder can go from
//! Dovecot to us and back, or be used by both at once.
//!
//! ```text
//! 3 V<uidvalidity> N<next uid> G<32 hex digits> [<letter><value> ...]
//! <uid>[ <letter><value> ...] :<base>
//! ```
//!
//! UIDs strictly ascend. The next UID is the greater of N and the last record's UID plus one, so an append leaves the
//! header alone. The file only grows, or is replaced by rename; it is never edited in place, since readers take no lock and see
//! a change by inode and size. A last line without its end is one that is being written, or was cut by a crash: it is not read.
//! Fields and header letters that we do not know are written back as they were.
//!
//! Version 1 (`1 <uidvalidity> <next uid>`, `<uid> <base>`) is read too; Courier's `courierimapuiddb` is that format, see
//! [`super::courier`]. The next write makes it version 3.
//!
//! What is malformed is reported with what could be read before it ([`Damage`]); the caller calls [`set_aside`] and rebuilds the
//! list from the journal's second copy, so nobody's UID changes. Dovecot deletes such a file instead.
//!
//! Writing asks for the folder's [`Lock`]. Leaves `dovecot-uidlist.tmp` if a rewrite is cut short; the next one replaces it.

mod file;
mod format;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) use self::file::create;
use self::file::{Place, read_from};
pub use self::file::{copy_aside, set_aside};
pub use self::format::{Damage, Header, MAX_UID, Record, is_guid, new_guid};
use self::format::{Fault, Reader, parse_header, parse_record, render_header};
use super::lock::Lock;
use super::{Error, Result};
use crate::fsio;

/// The file's name.
pub const FILE: &str = "dovecot-uidlist";
/// What reading found.
#[derive(Debug)]
pub enum Found {
    /// There is no list.
    Missing,
    /// All of it.
    Whole(UidList, Vec<Record>),
    /// Not what it should be.
    Damaged(Damage),
}

/// What [`UidList::refresh`] found.
#[derive(Debug)]
pub enum Change {
    /// Nothing.
    Same,
    /// These were added at the end; what was known before stands.
    Added(Vec<Record>),
    /// The file was replaced; this is all of it.
    Replaced(Vec<Record>),
    /// There is none any more.
    Missing,
    /// Not what it should be.
    Damaged(Damage),
}

/// An open list: the header and the place up to which it was read. The records belong to the caller.
#[derive(Debug)]
pub struct UidList {
    path: PathBuf,
    header: Header,
    place: Place,
    last_uid: u32,
    /// Records in the file, dead ones included.
    records: usize,
    /// Must the next write replace the file? (Version 1, no G, repaired order, a cut last line.)
    must_rewrite: bool,
}

impl UidList {
    /// Read the list of the folder in `dir`.
    pub fn read(dir: &Path) -> Result<Found> {
        Self::load(&dir.join(FILE))
    }

    /// Read a list of this format, whatever its name.
    pub(super) fn load(path: &Path) -> Result<Found> {
        let Some((bytes, mut place)) = read_from(path, None)? else { return Ok(Found::Missing) };
        let mut reader = Reader { bytes: &bytes, line: 0 };
        let (version, header) = match reader.next().ok_or("no header").and_then(parse_header) {
            Ok(parsed) => parsed,
            Err(why) => {
                return Ok(Found::Damaged(Damage { line: 1, why, header: None, records: Vec::new() }));
            }
        };
        let mut list = UidList { path: path.into(), header, place, last_uid: 0, records: 0, must_rewrite: false };
        let mut records = Vec::new();
        if let Err(why) = list.take_records(&mut reader, version, &mut records) {
            list.drop_doubles(&mut records);
            let line = reader.line;
            // What stands behind the fault is not believed, but its UIDs were given: no other message may get them.
            for record in reader.filter_map(|line| parse_record(line, version).ok()) {
                list.header.next_uid = list.header.next_uid.max(record.uid + 1);
            }
            return Ok(Found::Damaged(Damage { line, why, header: Some(list.header), records }));
        }
        place.end = place.size - reader.bytes.len() as u64;
        list.place = place;
        list.must_rewrite |= version != 3 || list.header.guid.is_empty();
        if list.header.guid.is_empty() {
            list.header.guid = new_guid();
        }
        list.drop_doubles(&mut records);
        Ok(Found::Whole(list, records))
    }

    /// A list that is not on disk yet; the first write makes it, in place of what stands there at this moment.
    pub fn new(dir: &Path, mut header: Header) -> UidList {
        if header.guid.is_empty() {
            header.guid = new_guid();
        }
        let path = dir.join(FILE);
        let place = std::fs::metadata(&path).map_or(Place::NOWHERE, |now| Place {
            device: now.dev(),
            inode: now.ino(),
            end: 0,
            size: now.len(),
        });
        UidList { path, header, place, last_uid: 0, records: 0, must_rewrite: true }
    }

    /// The header, `next_uid` brought up to date with the records.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Is the file still the one that was read, and no longer? One stat.
    pub fn is_current(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|now| self.is_unchanged(&now))
    }

    /// Look whether somebody else has written. One stat if not.
    pub fn refresh(&mut self) -> Result<Change> {
        match std::fs::metadata(&self.path) {
            Ok(now) if self.is_unchanged(&now) => return Ok(Change::Same),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(&self.path, e)),
            _ => {}
        }
        let Some((bytes, place)) = read_from(&self.path, Some(self.place))? else { return Ok(Change::Missing) };
        let grown =
            (place.device, place.inode) == (self.place.device, self.place.inode) && place.size >= self.place.end;
        if !grown {
            return self.reload();
        }
        let mut reader = Reader { bytes: &bytes, line: self.records + 1 };
        let mut records = Vec::new();
        if self.take_records(&mut reader, 3, &mut records).is_err() {
            // Perhaps a new file that has the old one's inode: judge it from its beginning.
            return self.reload();
        }
        self.place = Place { end: place.size - reader.bytes.len() as u64, ..place };
        Ok(if records.is_empty() { Change::Same } else { Change::Added(records) })
    }

    /// As [`UidList::is_current`]; a list that was not there must not be there.
    fn is_as_read(&self) -> Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(now) => Ok(self.is_unchanged(&now)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) => Err(Error::io(&self.path, e)),
        }
    }

    fn is_unchanged(&self, now: &std::fs::Metadata) -> bool {
        (now.dev(), now.ino(), now.len()) == (self.place.device, self.place.inode, self.place.size)
    }

    fn reload(&mut self) -> Result<Change> {
        let seen = self.header.clone();
        Ok(match Self::load(&self.path)? {
            Found::Missing => Change::Missing,
            Found::Damaged(damage) => Change::Damaged(damage),
            Found::Whole(mut list, records) => {
                if list.header.uid_validity == seen.uid_validity && list.header.next_uid < seen.next_uid {
                    // UIDs that were given must not be given again, whatever the file says now.
                    list.header.next_uid = seen.next_uid;
                    list.must_rewrite = true;
                }
                *self = list;
                Change::Replaced(records)
            }
        })
    }

    fn take_records(&mut self, reader: &mut Reader<'_>, version: u32, to: &mut Vec<Record>) -> Fault<()> {
        for line in reader.by_ref() {
            let record = parse_record(line, version)?;
            if record.uid <= self.last_uid {
                return Err("UIDs do not ascend");
            }
            self.last_uid = record.uid;
            self.header.next_uid = self.header.next_uid.max(record.uid + 1);
            self.records += 1;
            to.push(record);
        }
        Ok(())
    }

    /// One base under two UIDs: the newer UID stays, as in Dovecot.
    fn drop_doubles(&mut self, records: &mut Vec<Record>) {
        let mut newest: HashMap<&[u8], u32> = HashMap::with_capacity(records.len());
        for record in &*records {
            newest.insert(&record.base, record.uid);
        }
        if newest.len() < records.len() {
            let keep: Vec<bool> = records.iter().map(|r| newest[&*r.base] == r.uid).collect();
            drop(newest);
            let mut keep = keep.into_iter();
            records.retain(|_| keep.next().unwrap_or(true));
            self.must_rewrite = true;
        }
    }

    /// Must the next change be a [`UidList::rewrite`]? So it is when the file is not as we would write it, or when a quarter
    /// of its records are dead, `live` being the messages that still exist.
    pub fn wants_rewrite(&self, live: usize) -> bool {
        self.must_rewrite || self.place.end < self.place.size || live < self.records - self.records / 4
    }

    /// Add records at the end, synced. The caller holds the lock, has refreshed since it took it, and asked
    /// [`UidList::wants_rewrite`]; the UIDs begin at the header's `next_uid`.
    pub fn append(&mut self, lock: &Lock, records: &[Record]) -> Result<()> {
        debug_assert!(records.is_sorted_by_key(|r| r.uid) && records.iter().all(|r| r.uid >= self.header.next_uid));
        let Some(last) = records.last() else { return Ok(()) };
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.render(&mut bytes));
        let fail = |e| Error::io(&self.path, e);
        let file = fsio::open_to_append(&self.path).map_err(fail)?;
        if !lock.is_ours() || !self.is_unchanged(&file.metadata().map_err(fail)?) {
            return Err(Error::Locked(self.path.clone()));
        }
        let written = fsio::write(&file, &self.path, &bytes).and_then(|()| fsio::sync_data(&file, &self.path));
        if let Err(e) = written {
            // Taken back: whoever reads these lines would tell UIDs that may not be on the disk. If even that fails, the next
            // rewrite replaces the file.
            let _ = fsio::truncate(&file, &self.path, self.place.size);
            return Err(fail(e));
        }
        self.place.size += bytes.len() as u64;
        self.place.end = self.place.size;
        self.last_uid = last.uid;
        self.header.next_uid = last.uid + 1;
        self.records += records.len();
        Ok(())
    }

    /// Replace the file by `header` and `records`, synced. The caller holds the lock and has refreshed since it took it.
    pub fn rewrite<'a>(
        &mut self,
        lock: &Lock,
        header: Header,
        records: impl Iterator<Item = &'a Record>,
        mode: u32,
    ) -> Result<()> {
        // Somebody who does not heed our lock may have given UIDs since we looked: they must not be written over.
        if !lock.is_ours() || !self.is_as_read()? {
            return Err(Error::Locked(self.path.clone()));
        }
        // Dovecot takes a list without a GUID for broken, and removes it.
        let guid = if header.guid.is_empty() { new_guid() } else { header.guid };
        let header = Header { guid, ..header };
        let mut bytes = render_header(&header);
        let (mut count, mut last_uid) = (0, 0);
        for record in records {
            record.render(&mut bytes);
            count += 1;
            last_uid = record.uid;
        }
        let fail = |e| Error::io(&self.path, e);
        fsio::replace(&self.path, &bytes, mode).map_err(fail)?;
        let now = std::fs::metadata(&self.path).map_err(fail)?;
        let size = bytes.len() as u64;
        self.place = Place { device: now.dev(), inode: now.ino(), end: size, size };
        self.header = Header { next_uid: header.next_uid.max(last_uid + 1), ..header };
        (self.records, self.last_uid, self.must_rewrite) = (count, last_uid, false);
        Ok(())
    }
}
