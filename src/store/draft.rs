//! A message being written: a file in `tmp/`.
//!
//! Owns the way from wire bytes to the file: CRLF becomes LF as it streams through, both sizes are counted (`S`, bytes on
//! disk; `W`, bytes on the wire), writes are gathered. Refuses nothing: limits of size are the protocol's.
//!
//! **What comes back is what came in.** Readers of a Maildir turn every LF *that has no CR before it* into CRLF. So a
//! CR is dropped before an LF only if the byte before it is not a CR: `a CR LF` is stored as `a LF`; `a CR CR LF` is stored
//! as it is, since `a CR LF` would come back with one CR. Lines of both kinds may stand in one file. The one thing that
//! cannot come back is an LF without CR (IMAP APPEND by a careless client; SMTP refuses it): it is a line end in a
//! Maildir and comes back as CRLF, as with every other Maildir server; `W` counts it so.
//!
//! Fails with [`Error::Full`] and friends; the draft is then good for nothing but being dropped. Leaves on disk: the
//! file in `tmp/` until it is delivered, appended or dropped; after a crash, until the cleaning of `tmp/` finds it 36 hours later.

use std::fs::{File, FileTimes};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Error, FILE_MODE, Owner, Result};
use crate::fsio;

/// Bytes gathered before they are written: one system call for most messages, and little enough for ten thousand drafts at once.
const GATHER: usize = 16 * 1024;

/// A message being written in `tmp/`. Dropped without being delivered or appended, it is removed.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    base: String,
    owner: Owner,
    /// `None` once it is closed.
    file: Option<File>,
    gathered: Vec<u8>,
    /// A CR that ended the last piece: what it becomes depends on the next byte.
    held_cr: bool,
    /// The byte before the held CR, or the last byte stored, was a CR.
    after_cr: bool,
    disk: u64,
    wire: u64,
    /// Bytes of the file that are known to be on the disk.
    synced: u64,
    /// A sync failed: Linux may have thrown the pages away, and a second sync of this file would not say so.
    lost: bool,
    /// The file has its name in a folder now; there is nothing to remove.
    placed: bool,
}

/// A place in a draft, between what is its own (Return-Path, Delivered-To) and what copies share.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    disk: u64,
    wire: u64,
}

impl Draft {
    /// Create `tmp/base`, exclusively; a symbolic link of that name is an error.
    pub(super) fn create(tmp: &Path, base: String, owner: Owner) -> Result<Draft> {
        let path = tmp.join(&base);
        let file = fsio::create(&path, FILE_MODE).map_err(|e| Error::io(&path, e))?;
        Ok(Draft {
            path,
            base,
            owner,
            file: Some(file),
            gathered: Vec::new(),
            held_cr: false,
            after_cr: false,
            disk: 0,
            wire: 0,
            synced: 0,
            lost: false,
            placed: false,
        })
    }

    /// Add wire bytes, in pieces cut anywhere; CRLF becomes LF on disk.
    pub fn write(&mut self, wire: &[u8]) -> Result<()> {
        let Some(&first) = wire.first() else { return Ok(()) };
        if self.held_cr {
            self.held_cr = false;
            if first != b'\n' || self.after_cr {
                self.store(b"\r");
                self.wire += 1;
                self.after_cr = true;
            }
        }
        let mut rest = wire;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            self.line(&rest[..at]);
            rest = &rest[at + 1..];
            if self.gathered.len() >= GATHER {
                self.write_out()?;
            }
        }
        self.piece(rest);
        if self.gathered.len() >= GATHER {
            self.write_out()?;
        }
        Ok(())
    }

    /// A line (or its last piece) that an LF ended; `text` is what stood before the LF.
    fn line(&mut self, text: &[u8]) {
        let bare = match text {
            [.., before, b'\r'] => *before == b'\r',
            [b'\r'] => self.after_cr,
            _ => true,
        };
        let kept = if bare { text } else { &text[..text.len() - 1] };
        self.store(kept);
        self.store(b"\n");
        // An LF that has a CR before it on disk goes out as it is, every other one as CRLF.
        let ends_in_cr = if kept.is_empty() { self.after_cr } else { kept.ends_with(b"\r") };
        self.wire += kept.len() as u64 + if ends_in_cr { 1 } else { 2 };
        self.after_cr = false;
    }

    /// Bytes after the last LF of a write.
    fn piece(&mut self, text: &[u8]) {
        let Some((&last, before)) = text.split_last() else { return };
        let kept = if last == b'\r' {
            self.held_cr = true;
            before
        } else {
            text
        };
        self.store(kept);
        self.wire += kept.len() as u64;
        if let Some(&byte) = kept.last() {
            self.after_cr = byte == b'\r';
        }
    }

    fn store(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
        self.disk += bytes.len() as u64;
    }

    fn write_out(&mut self) -> Result<()> {
        if !self.gathered.is_empty() {
            fsio::write(self.open()?, &self.path, &self.gathered).map_err(|e| Error::io(&self.path, e))?;
            self.gathered.clear();
            self.gathered.shrink_to(GATHER);
        }
        Ok(())
    }

    /// Everything written so far into the file, a last lone CR too.
    pub(super) fn finish(&mut self) -> Result<()> {
        if std::mem::take(&mut self.held_cr) {
            self.store(b"\r");
            self.wire += 1;
            self.after_cr = true;
        }
        self.write_out()
    }

    /// Make everything written so far durable, so that only names are left to change. A caller with several recipients prepares
    /// all drafts this way before the first is delivered. Once it failed the draft is lost: drop it.
    pub fn sync(&mut self) -> Result<()> {
        if self.lost {
            return Err(Error::io(&self.path, io::ErrorKind::Other.into()));
        }
        self.finish()?;
        if self.synced < self.disk {
            let synced = fsio::sync_all(self.open()?, &self.path);
            self.lost = synced.is_err();
            synced.map_err(|e| Error::io(&self.path, e))?;
            self.synced = self.disk;
        }
        Ok(())
    }

    /// [`Draft::sync`] the finished message and let go of the file, so that a message for a thousand recipients has not a thousand files
    /// open. What is left to do needs its name only.
    pub fn close(&mut self) -> Result<()> {
        self.sync()?;
        self.gathered = Vec::new();
        self.file = None;
        Ok(())
    }

    fn open(&self) -> Result<&File> {
        self.file.as_ref().ok_or(Error::Cannot("the draft is closed"))
    }

    /// Give the message an INTERNALDATE, in seconds since 1970. Call before [`Draft::sync`] and after the last write.
    pub fn set_date(&mut self, date: i64) -> Result<()> {
        self.finish()?;
        let when = match u64::try_from(date) {
            Ok(after) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(after)),
            Err(_) => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(date.unsigned_abs())),
        };
        let when = when.ok_or(Error::Cannot("date is out of range"))?;
        self.open()?.set_times(FileTimes::new().set_modified(when)).map_err(|e| Error::io(&self.path, e))?;
        // Every file system holds these; of others some keep the nearest that they can (ext4: 1901 to 2446) and say nothing.
        if !(0..=i64::from(i32::MAX)).contains(&date) {
            let kept = self.open()?.metadata().map_err(|e| Error::io(&self.path, e))?.mtime();
            if kept != date {
                return Err(Error::Cannot("the file system cannot keep a date so far away"));
            }
        }
        Ok(())
    }

    /// Bytes on the wire so far, a held CR counted.
    pub fn wire_size(&self) -> u64 {
        self.wire + u64::from(self.held_cr)
    }

    /// Bytes on disk so far, a held CR counted.
    pub fn disk_size(&self) -> u64 {
        self.disk + u64::from(self.held_cr)
    }

    /// Here ends what is this draft's own, at the end of a line; see [`super::Store::draft_from`].
    pub fn mark(&self) -> Mark {
        Mark { disk: self.disk, wire: self.wire }
    }

    /// Append everything after `mark` in `source`, byte for byte as stored. `self` must be at the end of a line.
    pub(super) fn copy_from(&mut self, source: &mut Draft, mark: Mark) -> Result<()> {
        source.finish()?;
        self.finish()?;
        let length = source.disk - mark.disk;
        fsio::copy_range(source.open()?, mark.disk, self.open()?, &self.path, length)
            .map_err(|e| Error::io(&self.path, e))?;
        self.disk += length;
        self.wire += source.wire - mark.wire;
        self.after_cr = source.after_cr;
        Ok(())
    }

    /// Where the file is now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The unique part of the name it will get, without sizes.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The file has got its name in a folder: there is nothing to remove any more.
    pub(super) fn placed(mut self) {
        self.placed = true;
    }
}

/// Rename `from`, a complete and synced file, to `to` in a folder's `new/` or `cur/`, which must not exist. If that folder lies on
/// another disk, the file is made anew in its own `tmp/`, synced, renamed, and `from` removed.
pub(super) fn place(from: &Path, to: &Path) -> Result<()> {
    match fsio::rename_new(from, to) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => carry_over(from, to).map_err(|e| Error::io(to, e)),
        result => result.map_err(|e| Error::io(to, e)),
    }
}

fn carry_over(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().and_then(Path::parent).ok_or(io::ErrorKind::InvalidInput)?;
    let copy = folder.join("tmp").join(from.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    let source = File::open(from)?;
    let meta = source.metadata()?;
    let file = fsio::create(&copy, FILE_MODE)?;
    fsio::copy_range(&source, 0, &file, &copy, meta.len())
        .and_then(|()| file.set_modified(meta.modified()?))
        .and_then(|()| fsio::sync_all(&file, &copy))
        .and_then(|()| fsio::rename_new(&copy, to))
        .inspect_err(|_| {
            // The first error is the one to report; what stays is cleaned after 36 hours.
            let _ = fsio::unlink(&copy);
        })?;
    fsio::unlink(from)
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        let removed = self.owner.assume().and_then(|_owner| fsio::unlink(&self.path));
        if let Err(e) = removed
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), error = %e, "an unfinished message stays in tmp/ until it is 36 hours old");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn draft(dir: &Path) -> Draft {
        Draft::create(dir, "1.M2P3.host".into(), Owner::Daemon).unwrap()
    }

    /// What a reader of the Maildir sends: every LF without a CR before it becomes CRLF.
    fn on_the_wire(stored: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in stored {
            if byte == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }

    #[test]
    fn comes_back_byte_for_byte_however_it_is_cut() {
        let cases: [(&str, &[u8], &[u8]); 11] = [
            ("ordinary", b"a\r\nb\r\n", b"a\nb\n"),
            ("no end", b"a\r\nb", b"a\nb"),
            ("empty lines", b"\r\n\r\n", b"\n\n"),
            ("two CR", b"a\r\r\nb\r\n", b"a\r\r\nb\n"),
            ("three CR", b"\r\r\r\n\r\n", b"\r\r\r\n\n"),
            ("lone CR inside", b"a\rb\r\n", b"a\rb\n"),
            ("lone CR at the end", b"a\r\nb\r", b"a\nb\r"),
            ("two CR at the end", b"a\r\r", b"a\r\r"),
            ("CR first", b"\rx\r\n", b"\rx\n"),
            ("CR LF CR", b"\r\n\r\r\n", b"\n\r\r\n"),
            ("NUL and 8 bit", b"\0\xff\r\n", b"\0\xff\n"),
        ];
        let dir = tempfile::tempdir().unwrap();
        for (name, wire, stored) in cases {
            for size in 1..=wire.len() {
                let mut draft = draft(dir.path());
                for piece in wire.chunks(size) {
                    draft.write(piece).unwrap();
                }
                assert_eq!(draft.wire_size(), wire.len() as u64, "{name} in pieces of {size}: wire size while open");
                draft.finish().unwrap();
                let file = fs::read(draft.path()).unwrap();
                assert_eq!(file, stored, "{name} in pieces of {size}");
                assert_eq!(on_the_wire(&file), wire, "{name} in pieces of {size}");
                assert_eq!((draft.disk_size(), draft.wire_size()), (stored.len() as u64, wire.len() as u64), "{name}");
            }
        }
    }

    #[test]
    fn a_lone_lf_counts_as_a_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut draft = draft(dir.path());
        draft.write(b"a\nb\r\n\n").unwrap();
        draft.finish().unwrap();
        assert_eq!(fs::read(draft.path()).unwrap(), b"a\nb\n\n");
        assert_eq!((draft.disk_size(), draft.wire_size()), (5, 8));
    }

    #[test]
    fn large_messages_are_written_in_pieces_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut draft = draft(dir.path());
        let line = [b"x".repeat(998), b"\r\n".to_vec()].concat();
        for _ in 0..500 {
            draft.write(&line).unwrap();
        }
        assert!(draft.gathered.capacity() < 4 * GATHER);
        draft.finish().unwrap();
        assert_eq!(fs::metadata(draft.path()).unwrap().len(), 999 * 500);
        assert_eq!((draft.disk_size(), draft.wire_size()), (999 * 500, 1000 * 500));
    }

    #[test]
    fn dropped_is_removed_and_placed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = draft(dir.path());
        let path = first.path().to_owned();
        assert!(path.exists());
        drop(first);
        assert!(!path.exists());
        draft(dir.path()).placed();
        assert!(path.exists());
    }

    #[test]
    fn an_existing_name_or_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("1.M2P3.host")).unwrap();
        assert!(Draft::create(dir.path(), "1.M2P3.host".into(), Owner::Daemon).is_err());
    }

    #[test]
    fn a_copy_has_its_own_head_and_the_same_rest() {
        let dir = tempfile::tempdir().unwrap();
        for body in [&b"body\r\nend\r\r\n"[..], &[b'y'; 200_000]] {
            let mut one = draft(dir.path());
            one.write(b"Delivered-To: a\r\n").unwrap();
            let mark = one.mark();
            one.write(body).unwrap();
            let mut two = Draft::create(dir.path(), "2.M2P3.host".into(), Owner::Daemon).unwrap();
            two.write(b"Delivered-To: bbbb\r\n").unwrap();
            two.copy_from(&mut one, mark).unwrap();
            let stored = fs::read(two.path()).unwrap();
            assert_eq!(on_the_wire(&stored), [b"Delivered-To: bbbb\r\n", body].concat());
            assert_eq!(two.wire_size(), 20 + body.len() as u64);
            assert_eq!(two.disk_size(), stored.len() as u64);
        }
    }

    #[test]
    fn the_date_becomes_the_mtime() {
        let dir = tempfile::tempdir().unwrap();
        for date in [0, 1_000_000_000, -86_400, -30 * 365 * 86_400] {
            let mut draft = draft(dir.path());
            draft.write(b"x\r\n").unwrap();
            draft.set_date(date).unwrap();
            draft.sync().unwrap();
            assert_eq!(fs::metadata(draft.path()).unwrap().mtime(), date);
        }
        // What the file system cannot keep is refused, not kept as something else.
        for date in [-62_167_219_200, 253_402_300_799, i64::MIN, i64::MAX] {
            let mut draft = draft(dir.path());
            draft.write(b"x\r\n").unwrap();
            let kept = draft.set_date(date).is_ok();
            assert!(!kept || fs::metadata(draft.path()).unwrap().mtime() == date, "{date}");
        }
    }
}
