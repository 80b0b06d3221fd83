//! `mailcote.journal`: what a folder must remember and no shared format can hold.
//!
//! Per folder: mod-sequences, save dates, keywords past the 26th, which UIDs were expunged when, how far \Recent was told,
//! and a second copy of the UID map, from which a damaged `dovecot-uidlist` is rebuilt. Without it nothing is wrong,
//! only forgotten; Dovecot and others ignore it. A delivery never touches it.
//!
//! The file is the line `mailcote.journal 1`, then records: length and CRC-32 of the body (4 bytes each, little-endian), then the
//! body ([`super::record`]). It only grows, one write a batch, or is replaced by rename when more than half of it is
//! history ([`Journal::compact`]). Opening a folder costs one read.
//!
//! What a cut or a bad disk leaves: a torn tail is not read, and cut off by the next append; a bad record between good ones is
//! passed over and logged; a file that does not begin as ours is renamed to `mailcote.journal.broken-<seconds>`.
//!
//! A mod-sequence is [`next_modseq`]: never lower than the clock, so that a lost journal cannot make HIGHESTMODSEQ go back.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::lock::Lock;
pub use super::record::{Folder, Known, Record};
use super::{Error, Result};
use crate::{clock, fsio};

/// The file's name.
pub const FILE: &str = "mailcote.journal";
/// First line; the number is the version.
const MAGIC: &[u8] = b"mailcote.journal 1\n";
/// Bytes of a record's body: a batch of a hundred thousand UIDs is far below.
const MAX_BODY: usize = 16 << 20;
/// Bytes of a journal that are read. Keeps a planted file from filling the memory.
const MAX_FILE: u64 = 512 << 20;
/// A journal below this many bytes is never worth a compaction.
const MIN_COMPACTION: u64 = 64 << 10;
/// Expunged UIDs that are remembered (for QRESYNC); older ones are forgotten, and clients of that age resynchronize whole.
pub const MAX_EXPUNGED: usize = 100_000;

/// The mod-sequence after `last`: the microseconds since 1970, or one more than `last` where the clock lags.
pub fn next_modseq(last: u64) -> u64 {
    u64::try_from(clock::now().as_micros()).unwrap_or(0).max(last + 1)
}

/// What the records of a journal amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// UIDVALIDITY, UIDNEXT and GUID, as in the uidlist's header.
    pub folder: Option<Folder>,
    /// Messages by UID.
    pub messages: BTreeMap<u32, Known>,
    /// Expunged UIDs with the mod-sequence of their going, oldest first.
    pub expunged: VecDeque<(u64, u32)>,
    /// Expunges up to this mod-sequence may be missing in `expunged`.
    pub forgotten: u64,
    /// Names of keywords 26 to 127.
    pub keywords: BTreeMap<u8, String>,
    /// UIDs below this were told to a session as \Recent.
    pub recent_below: u32,
    /// The greatest mod-sequence of all.
    pub highest_modseq: u64,
}

impl State {
    /// Take in one record. Later records win.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Folder(folder) => {
                if self.folder.as_ref().is_some_and(|f| f.uid_validity != folder.uid_validity) {
                    // Other UIDs altogether: nothing said so far is about them.
                    *self = State { highest_modseq: self.highest_modseq, ..State::default() };
                }
                self.folder = Some(folder);
            }
            Record::Message { uid, known } => {
                self.highest_modseq = self.highest_modseq.max(known.modseq);
                self.messages.insert(uid, known);
            }
            Record::Flags { modseq, flags, keywords, uids } => {
                self.highest_modseq = self.highest_modseq.max(modseq);
                for uid in uids {
                    if let Some(known) = self.messages.get_mut(&uid) {
                        (known.modseq, known.flags, known.keywords) = (modseq, flags, keywords);
                    }
                }
            }
            Record::Base { uid, base } => {
                if let Some(known) = self.messages.get_mut(&uid) {
                    known.base = base;
                }
            }
            Record::Expunged { modseq, uids } => {
                self.highest_modseq = self.highest_modseq.max(modseq);
                for uid in uids {
                    self.messages.remove(&uid);
                    self.expunged.push_back((modseq, uid));
                }
                while self.expunged.len() > MAX_EXPUNGED {
                    let dropped = self.expunged.pop_front().map_or(0, |(modseq, _)| modseq);
                    self.forgotten = self.forgotten.max(dropped);
                }
            }
            Record::Keyword { number, name } => drop(self.keywords.insert(number, name)),
            Record::Recent { below } => self.recent_below = self.recent_below.max(below),
            Record::Modseq { highest, forgotten } => {
                self.highest_modseq = self.highest_modseq.max(highest);
                self.forgotten = self.forgotten.max(forgotten);
            }
        }
    }

    /// The shortest list of records that amounts to this.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let modseq = Record::Modseq { highest: self.highest_modseq, forgotten: self.forgotten };
        let head = self.folder.clone().map(Record::Folder).into_iter();
        let head = head.chain([modseq, Record::Recent { below: self.recent_below }]);
        let keywords = self.keywords.iter().map(|(n, name)| Record::Keyword { number: *n, name: name.clone() });
        let messages = self.messages.iter().map(|(uid, known)| Record::Message { uid: *uid, known: known.clone() });
        let mut expunged: Vec<(u64, Vec<u32>)> = Vec::new();
        for (modseq, uid) in &self.expunged {
            match expunged.last_mut() {
                Some((last, uids)) if last == modseq => uids.push(*uid),
                _ => expunged.push((*modseq, vec![*uid])),
            }
        }
        let expunged = expunged.into_iter().map(|(modseq, uids)| Record::Expunged { modseq, uids });
        head.chain(keywords).chain(messages).chain(expunged)
    }
}

/// What [`Journal::refresh`] found.
#[derive(Debug)]
pub enum Update {
    /// Nothing.
    Same,
    /// Another process added these.
    Added(Vec<Record>),
    /// Another process replaced the file; this is all of it.
    Replaced(Box<State>),
}

/// Device and inode.
type FileId = (u64, u64);

/// An open journal: which file was read, and up to where. The [`State`] belongs to the caller.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Zero if there is no file yet.
    file: FileId,
    /// Bytes up to the end of the last good record.
    end: u64,
    /// Bytes in the file when it was read; more than `end` if the tail is torn.
    size: u64,
    /// What was seen of it, to guess what a compaction would leave.
    tally: Tally,
}

impl Journal {
    /// Read the journal of the folder in `dir`; none is an empty one.
    pub fn open(dir: &Path) -> Result<(Journal, State)> {
        let mut journal = Journal { path: dir.join(FILE), file: (0, 0), end: 0, size: 0, tally: Tally::default() };
        let state = journal.load()?;
        Ok((journal, state))
    }

    fn load(&mut self) -> Result<State> {
        (self.file, self.end, self.size, self.tally) = ((0, 0), 0, 0, Tally::default());
        let mut state = State::default();
        let Some((file, bytes)) = self.read(0)? else { return Ok(state) };
        (self.file, self.size) = (file, bytes.len() as u64);
        let Some(records) = bytes.strip_prefix(MAGIC) else {
            if MAGIC.starts_with(&bytes) {
                // Cut while the first line was written: an empty journal.
                return Ok(state);
            }
            let aside = fsio::beside(&self.path, &format!(".broken-{}", clock::unix()));
            tracing::error!(path = %self.path.display(), aside = %aside.display(), "not a journal of ours: set aside");
            fsio::rename(&self.path, &aside).map_err(|e| Error::io(&self.path, e))?;
            (self.file, self.size) = ((0, 0), 0);
            return Ok(state);
        };
        self.end = MAGIC.len() as u64;
        self.replay(records, |record| state.apply(record));
        Ok(state)
    }

    /// Read from `start` to the end; the file's identity with it. `None` if there is no file.
    fn read(&self, start: u64) -> Result<Option<(FileId, Vec<u8>)>> {
        let fail = |e| Error::io(&self.path, e);
        let mut file = match fsio::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail(e)),
        };
        let now = file.metadata().map_err(fail)?;
        if now.len() > MAX_FILE {
            return Err(Error::Limit("mailcote.journal is larger than 512 MiB"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(now.len().saturating_sub(start)).unwrap_or(0));
        file.seek(SeekFrom::Start(start)).map_err(fail)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(fail)?;
        Ok(Some(((now.dev(), now.ino()), bytes)))
    }

    /// Hand every good record of `bytes`, which begin at `self.end`, to `take`; move `self.end` behind the last.
    fn replay(&mut self, bytes: &[u8], mut take: impl FnMut(Record)) {
        let mut rest = bytes;
        while let Some((framed, after)) = frame(rest) {
            match framed.body().and_then(Record::decode) {
                Some(record) => {
                    self.tally.count(&record, rest.len() - after.len());
                    take(record);
                }
                // Bad inside, good behind: a bad sector or somebody's editor, not a torn tail.
                None if frame(after).is_some_and(|(next, _)| next.body().is_some()) => {
                    tracing::error!(path = %self.path.display(), offset = self.end, "bad journal record passed over");
                }
                None => break,
            }
            self.end += (rest.len() - after.len()) as u64;
            rest = after;
        }
        if !rest.is_empty() {
            tracing::warn!(path = %self.path.display(), bytes = rest.len(), "torn end of journal ignored");
        }
    }

    /// Look whether another process has written. One stat if not.
    pub fn refresh(&mut self) -> Result<Update> {
        let now = match fs::metadata(&self.path) {
            Ok(now) => ((now.dev(), now.ino()), now.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => ((0, 0), 0),
            Err(e) => return Err(Error::io(&self.path, e)),
        };
        if now == (self.file, self.size) {
            return Ok(Update::Same);
        }
        let tail = if now.0 == self.file && now.1 >= self.end && self.end > 0 { self.read(self.end)? } else { None };
        match tail {
            Some((file, bytes)) if file == self.file => {
                self.size = self.end + bytes.len() as u64;
                let mut records = Vec::new();
                self.replay(&bytes, |record| records.push(record));
                Ok(if records.is_empty() { Update::Same } else { Update::Added(records) })
            }
            _ => Ok(Update::Replaced(Box::new(self.load()?))),
        }
    }

    /// Add records in one write; with `sync`, durably. The caller holds the lock and has refreshed since it took it.
    pub fn append(&mut self, lock: &Lock, records: &[Record], sync: bool, mode: u32) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut bytes = if self.end == 0 { MAGIC.to_vec() } else { Vec::new() };
        for record in records {
            let before = bytes.len();
            put(record, &mut bytes)?;
            self.tally.count(record, bytes.len() - before);
        }
        let is_new = self.file == (0, 0);
        let fail = |e| Error::io(&self.path, e);
        let file = if is_new { fsio::open_append(&self.path, mode) } else { fsio::open_to_append(&self.path) }
            .map_err(fail)?;
        let now = file.metadata().map_err(fail)?;
        if !lock.is_ours() || now.len() != self.size || (!is_new && (now.dev(), now.ino()) != self.file) {
            return Err(Error::Locked(self.path.clone()));
        }
        if self.end < self.size {
            fsio::truncate(&file, &self.path, self.end).map_err(fail)?;
            self.size = self.end;
        }
        // After a failure (disk full) half a batch may stand there: a torn tail, which the next append cuts.
        let written = fsio::write(&file, &self.path, &bytes);
        self.file = (now.dev(), now.ino());
        if let Err(e) = written {
            self.size = file.metadata().map_err(fail)?.len();
            return Err(fail(e));
        }
        self.size += bytes.len() as u64;
        self.end = self.size;
        if sync {
            fsio::sync_data(&file, &self.path).map_err(fail)?;
            if is_new {
                fsio::sync_dir(self.path.parent().unwrap_or(Path::new("."))).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Is more than half of the file history, `live` being the messages that still exist?
    pub fn wants_compaction(&self, live: usize) -> bool {
        self.size > MIN_COMPACTION && self.size > 2 * self.tally.left(live)
    }

    /// Replace the file by the shortest one that amounts to `state`, durably. The caller holds the lock and has refreshed since.
    pub fn compact(&mut self, lock: &Lock, state: &State, mode: u32) -> Result<()> {
        if !lock.is_ours() {
            return Err(Error::Locked(self.path.clone()));
        }
        let mut bytes = MAGIC.to_vec();
        let mut tally = Tally::default();
        for record in state.records() {
            let before = bytes.len();
            put(&record, &mut bytes)?;
            tally.count(&record, bytes.len() - before);
        }
        let fail = |e| Error::io(&self.path, e);
        fsio::replace(&self.path, &bytes, mode).map_err(fail)?;
        let now = fs::metadata(&self.path).map_err(fail)?;
        self.file = (now.dev(), now.ino());
        self.size = bytes.len() as u64;
        (self.end, self.tally) = (self.size, tally);
        Ok(())
    }
}

/// What a journal holds, as far as a compaction would keep it.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Number and bytes of message records.
    messages: (u64, u64),
    /// UIDs in records of expunges, and the bytes of these.
    expunged: (u64, u64),
}

impl Tally {
    fn count(&mut self, record: &Record, bytes: usize) {
        let (kind, number) = match record {
            Record::Message { .. } => (&mut self.messages, 1),
            Record::Expunged { uids, .. } => (&mut self.expunged, uids.len() as u64),
            _ => return,
        };
        *kind = (kind.0 + number, kind.1 + bytes as u64);
    }

    /// About the bytes that a compaction would leave with `live` messages.
    fn left(self, live: usize) -> u64 {
        let average = |(number, bytes): (u64, u64)| bytes.div_ceil(number.max(1));
        let expunged = self.expunged.0.min(MAX_EXPUNGED as u64);
        (live as u64).saturating_mul(average(self.messages)) + expunged * average(self.expunged)
    }
}

/// A record as it lies in the file.
struct Framed<'a> {
    sum: u32,
    body: &'a [u8],
}

impl<'a> Framed<'a> {
    fn body(&self) -> Option<&'a [u8]> {
        (crc32fast::hash(self.body) == self.sum).then_some(self.body)
    }
}

/// Take one record off `bytes`; `None` if not all of it is there.
fn frame(bytes: &[u8]) -> Option<(Framed<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|n| (1..=MAX_BODY).contains(n))?;
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Framed { sum: u32::from_le_bytes(*sum), body }, rest))
}

fn put(record: &Record, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    record.encode(out);
    let (head, body) = out[start..].split_at_mut(8);
    let length = u32::try_from(body.len()).ok().filter(|n| *n as usize <= MAX_BODY);
    let length = length.ok_or(Error::Limit("too many messages in one change"))?;
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::lock::Guard;
    use super::*;
    use crate::mail::Flags;

    fn known(base: &str, modseq: u64) -> Known {
        Known { base: base.as_bytes().into(), modseq, saved: 1_795_299_995, flags: Flags::NONE, keywords: 0 }
    }

    fn sample() -> Vec<Record> {
        vec![
            Record::Folder(Folder { uid_validity: 7, next_uid: 4, guid: "4003e5279b1a026b0949000083ecc375".into() }),
            Record::Keyword { number: 26, name: "Twenty-seventh".into() },
            Record::Message { uid: 1, known: known("a", 10) },
            Record::Message { uid: 2, known: Known { saved: -5, ..known("b", 10) } },
            Record::Message { uid: 300, known: known("c", 11) },
            Record::Flags { modseq: 12, flags: Flags::SEEN, keywords: 1 << 127 | 1, uids: vec![1, 300] },
            Record::Expunged { modseq: 13, uids: vec![2] },
            Record::Base { uid: 300, base: b"c,U=300"[..].into() },
            Record::Recent { below: 2 },
        ]
    }

    fn written(records: &[Record]) -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, state) = Journal::open(dir.path()).unwrap();
        assert_eq!(state, State::default());
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        journal.append(&lock, records, true, 0o600).unwrap();
        (dir, journal)
    }

    fn state_of(records: &[Record]) -> State {
        let mut state = State::default();
        records.iter().cloned().for_each(|r| state.apply(r));
        state
    }

    #[test]
    fn replay_gives_the_state() {
        let (dir, _) = written(&sample());
        let (_, state) = Journal::open(dir.path()).unwrap();
        assert_eq!(state, state_of(&sample()));
        assert_eq!(state.messages.keys().copied().collect::<Vec<_>>(), [1, 300]);
        assert_eq!(state.messages[&300], Known { flags: Flags::SEEN, keywords: 1 << 127 | 1, ..known("c,U=300", 12) });
        assert_eq!(state.expunged, [(13, 2)]);
        assert_eq!((state.highest_modseq, state.recent_below), (13, 2));
        assert_eq!(state_of(&state.records().collect::<Vec<_>>()), state, "compaction loses nothing");
    }

    #[test]
    fn a_journal_cut_anywhere_keeps_what_was_whole() {
        let (dir, journal) = written(&sample());
        let path = dir.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        drop(journal);
        let mut kept = 0;
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let (mut journal, state) = Journal::open(dir.path()).unwrap();
            let whole = (0..=sample().len()).rfind(|n| state_of(&sample()[..*n]) == state).expect("a prefix");
            assert!(whole >= kept, "at {length}");
            kept = whole;
            // And it can be written to: the torn tail goes.
            let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
            journal.append(&lock, &[Record::Recent { below: 99 }], false, 0o600).unwrap();
            let (_, after) = Journal::open(dir.path()).unwrap();
            assert_eq!(after, State { recent_below: 99, ..state }, "at {length}");
        }
        assert_eq!(kept, sample().len() - 1);
    }

    #[test]
    fn a_bad_record_between_good_ones_is_passed_over() {
        let (dir, _) = written(&sample());
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(6).position(|w| w == b"Twenty").unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (_, state) = Journal::open(dir.path()).unwrap();
        let mut expected = state_of(&sample());
        expected.keywords.clear();
        assert_eq!(state, expected);
    }

    #[test]
    fn a_file_that_is_not_ours_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "mailcote.journal 9\nwhatever").unwrap();
        let (_, state) = Journal::open(dir.path()).unwrap();
        assert_eq!(state, State::default());
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1);
        assert!(names[0].to_str().unwrap().starts_with("mailcote.journal.broken-"), "{names:?}");
    }

    #[test]
    fn another_process_is_noticed() {
        let (dir, mut first) = written(&sample());
        let (mut second, mut state) = Journal::open(dir.path()).unwrap();
        assert!(matches!(first.refresh().unwrap(), Update::Same));
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        let more = [Record::Recent { below: 50 }];
        second.append(&lock, &more, false, 0o600).unwrap();
        assert!(matches!(first.append(&lock, &more, false, 0o600), Err(Error::Locked(_))), "must refresh first");
        let Update::Added(added) = first.refresh().unwrap() else { panic!() };
        assert_eq!(added, more);
        state.apply(more[0].clone());
        second.compact(&lock, &state, 0o600).unwrap();
        let Update::Replaced(replaced) = first.refresh().unwrap() else { panic!() };
        assert_eq!(*replaced, state);
        first.append(&lock, &[Record::Recent { below: 51 }], false, 0o600).unwrap();
        assert!(matches!(second.refresh().unwrap(), Update::Added(_)));
    }

    #[test]
    fn compaction_when_most_is_history() {
        let (dir, mut journal) = written(&sample());
        assert!(!journal.wants_compaction(0), "small files are left alone");
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        let mut state = state_of(&sample());
        let messages: Vec<_> =
            (301..1301).map(|uid| Record::Message { uid, known: known(&"x".repeat(80), 20) }).collect();
        messages.iter().cloned().for_each(|r| state.apply(r));
        journal.append(&lock, &messages, false, 0o600).unwrap();
        assert!(!journal.wants_compaction(1002));
        assert!(journal.wants_compaction(300));
        let uids: Vec<u32> = (301..1301).collect();
        let gone = Record::Expunged { modseq: 30, uids };
        state.apply(gone.clone());
        journal.append(&lock, &[gone], false, 0o600).unwrap();
        let before = fs::metadata(dir.path().join(FILE)).unwrap().len();
        journal.compact(&lock, &state, 0o600).unwrap();
        assert!(fs::metadata(dir.path().join(FILE)).unwrap().len() < before / 20);
        assert_eq!(Journal::open(dir.path()).unwrap().1, state);
    }

    #[test]
    fn a_long_memory_of_expunges_is_not_compacted_over_and_over() {
        let (dir, mut journal) = written(&sample());
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        let expunges: Vec<_> =
            (400..20_400).map(|uid| Record::Expunged { modseq: 1 << 50 | u64::from(uid), uids: vec![uid] }).collect();
        let state = state_of(&[sample(), expunges.clone()].concat());
        journal.append(&lock, &expunges, false, 0o600).unwrap();
        assert!(!journal.wants_compaction(0), "nothing but what is remembered");
        journal.compact(&lock, &state, 0o600).unwrap();
        assert!(!journal.wants_compaction(0));
        assert!(!Journal::open(dir.path()).unwrap().0.wants_compaction(0));
    }

    #[test]
    fn a_new_uidvalidity_voids_what_was() {
        let mut state = state_of(&sample());
        state.apply(Record::Folder(Folder { uid_validity: 8, next_uid: 1, guid: String::new() }));
        assert!(state.messages.is_empty() && state.expunged.is_empty());
        assert_eq!(state.highest_modseq, 13);
    }

    #[test]
    fn modseqs_follow_the_clock_and_never_fall() {
        let now = next_modseq(0);
        assert!(now > 1_600_000_000_000_000);
        assert_eq!(next_modseq(now + 1_000_000_000), now + 1_000_000_001);
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(0_u8..=255, 0..200)) {
            let mut file = Vec::new();
            let length = u32::try_from(bytes.len()).unwrap();
            file.extend_from_slice(&length.to_le_bytes());
            file.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            file.extend_from_slice(&bytes);
            if let Some((framed, _)) = frame(&file) {
                let _ = framed.body().and_then(Record::decode);
            }
        }
    }
}
