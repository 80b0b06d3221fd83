//! One message's file: open it, its size on the wire, its date, its stored UIDL; and POP3's exclusive use of a folder.
//!
//! Another program may rename a file between our look at the table and our open: then the directories are looked at
//! again, a bounded number of times, before the message counts as gone. Changes nothing on disk but the sizes that had to be counted,
//! which go into the uidlist (`W`) with its next rewrite, or when the folder is closed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::fcntl::OFlag;

use super::super::cache::digest::is_settled;
use super::super::filename::{self, MessageName};
use super::super::uidlist::{Record, is_guid};
use super::super::{Error, Result};
use super::refresh::Effort;
use super::table::{Entry, NO_DATE};
use super::{MAX_LOOKS, Mailbox};

/// Bytes read at a time while lines are counted.
const COUNT_CHUNK: usize = 64 * 1024;

impl Mailbox {
    /// Open a message's file for reading. [`Error::Gone`] if it was expunged.
    pub fn open(&self, uid: u32) -> Result<File> {
        let _owner = self.assume()?;
        self.with_file(uid, |path| {
            // Not blocking: a FIFO that somebody put there must not stop us.
            let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
        })
    }

    /// RFC822.SIZE: size with CRLF line ends. From the name or the uidlist; else counted once and remembered, as soon as the file is at rest.
    pub fn wire_size(&self, uid: u32) -> Result<u64> {
        self.wire_size_and_rest(uid).map(|(size, _)| size)
    }

    /// As [`Mailbox::wire_size`], and whether the file was at rest: a size that was counted while somebody was writing must not be kept.
    pub fn wire_size_and_rest(&self, uid: u32) -> Result<(u64, bool)> {
        let of_name = |entry: &Entry| MessageName::parse(&entry.name).and_then(|name| name.size());
        let known = self.state().get(uid).map(|(_, entry)| (known_size(entry), of_name(entry))).ok_or(Error::Gone)?;
        let (None, named) = known else { return Ok((known.0.unwrap_or_default(), true)) };
        let file = self.open(uid)?;
        let counted = file.metadata().and_then(|before| {
            let size = count(&file)?;
            Ok((size, named == Some(before.len()) || is_settled(&file, &before)?))
        });
        let (size, is_whole) = counted.map_err(|e| Error::io(&self.dir, e))?;
        if is_whole && let Some(entry) = self.write_state().table.entry_mut(uid) {
            let mut record = Record { uid, base: Box::default(), fields: entry.fields.take() };
            record.set_field(b'W', size.to_string().as_bytes());
            entry.fields = record.fields;
            self.counted.store(true, Ordering::Relaxed);
        }
        Ok((size, is_whole))
    }

    /// Bytes of its file, which need not be readable.
    pub fn disk_size(&self, uid: u32) -> Result<u64> {
        let _owner = self.assume()?;
        self.with_file(uid, |path| fs::symlink_metadata(path).map(|meta| meta.len()))
    }

    /// INTERNALDATE, seconds since 1970 (mtime of the file).
    pub fn internal_date(&self, uid: u32) -> Result<i64> {
        let known = self.state().get(uid).map(|(_, entry)| entry.date).ok_or(Error::Gone)?;
        if known != NO_DATE {
            return Ok(known);
        }
        let _owner = self.assume()?;
        let date = self.with_file(uid, |path| fs::symlink_metadata(path).map(|meta| meta.mtime()))?;
        if let Some(entry) = self.write_state().table.entry_mut(uid) {
            entry.date = date;
        }
        Ok(date)
    }

    /// When the message came into this folder (RFC 8514), seconds since 1970; `None` if nobody knows.
    pub fn save_date(&self, uid: u32) -> Result<Option<i64>> {
        self.state().get(uid).map(|(_, entry)| entry.saved()).ok_or(Error::Gone)
    }

    /// What names the content (RFC 8474 EMAILID): the same for a message and its copies, and for nothing else.
    ///
    /// From the message's GUID, which is the `G` field of its uidlist record (Dovecot's name for it: a copy has that of its original) or the
    /// unique part of its file's name. Both outlive every cache; Dovecot may move and copy the message and keeps them.
    pub fn email_id(&self, uid: u32) -> Result<String> {
        let state = self.state();
        let (_, entry) = state.get(uid).ok_or(Error::Gone)?;
        Ok(format!("M{}", guid_digest(&guid(entry))))
    }

    /// POP3 UIDL stored for the message (`P` of the uidlist), if any.
    pub fn stored_uidl(&self, uid: u32) -> Option<String> {
        let state = self.state();
        let (_, entry) = state.get(uid)?;
        let record = Record { uid, base: entry.base().into(), fields: entry.fields.clone() };
        // An empty value means the file's base.
        let text = match record.field(b'P')? {
            [] => entry.base(),
            value => value,
        };
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// Do something with the path of `uid`, looking for the file again if it is not there. The caller has taken on the owner's identity.
    fn with_file<T>(&self, uid: u32, mut use_path: impl FnMut(&Path) -> io::Result<T>) -> Result<T> {
        for look in 0..=MAX_LOOKS {
            let path = {
                let state = self.state();
                match state.table.get(uid) {
                    Some((_, entry)) => self.path(entry.place, &entry.name),
                    None => state.kept.get(&uid).ok_or(Error::Gone)?.path.clone(),
                }
            };
            match use_path(&path) {
                Ok(value) => return Ok(value),
                Err(e) if e.kind() == io::ErrorKind::NotFound && look < MAX_LOOKS => self.look_again(look)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), "file name keeps changing");
                }
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        Err(Error::Gone)
    }

    fn look_again(&self, look: usize) -> Result<()> {
        let (_owner, mut disk) = self.enter()?;
        // An event may be on its way that tells the new name; if that does not help, read the directories.
        self.refresh_locked(&mut disk, if look == 0 { Effort::Needed } else { Effort::Scan })
    }

    /// Put counted sizes into the uidlist, so that nobody has to count again.
    pub(super) fn save_counted_sizes(&self) {
        if !self.counted.load(Ordering::Relaxed) || self.is_closed() || self.is_read_only() {
            return;
        }
        let save = || -> Result<()> {
            let (_owner, mut disk) = self.enter()?;
            let Some(lock) = self.lock_files()? else { return Ok(()) };
            self.merge_others(&mut disk, &lock)?;
            disk.stale_list = Some(Instant::now());
            self.write_list(&mut disk, Some(&lock), Vec::new(), &[], true)
        };
        if let Err(e) = save() {
            tracing::warn!(path = %self.dir.display(), error = %e, "counted sizes not saved; they will be counted again");
        }
    }

    /// POP3's exclusive use: `None` if another POP3 session has it. Released on drop.
    pub fn lock_pop3(self: &Arc<Self>) -> Option<Pop3Lock> {
        (!self.in_pop3.swap(true, Ordering::AcqRel)).then(|| Pop3Lock(Arc::clone(self)))
    }
}

/// See [`Mailbox::lock_pop3`].
#[derive(Debug)]
pub struct Pop3Lock(Arc<Mailbox>);

impl Drop for Pop3Lock {
    fn drop(&mut self) {
        self.0.in_pop3.store(false, Ordering::Release);
    }
}

/// The `G` field, or the file's base.
pub(super) fn guid(entry: &Entry) -> Box<[u8]> {
    let record = Record { uid: 0, base: Box::default(), fields: entry.fields.clone() };
    record.field(b'G').filter(|guid| !guid.is_empty()).unwrap_or_else(|| entry.base()).into()
}

/// As a field of the uidlist, which ends at a space.
pub(super) fn guid_field(guid: &[u8]) -> Box<[u8]> {
    if guid.contains(&b' ') { guid_digest(guid).into_bytes().into() } else { guid.into() }
}

/// 32 hexadecimal digits; what has that form is left as it is.
fn guid_digest(guid: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(guid)
        && is_guid(text)
    {
        return text.to_ascii_lowercase();
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &filename::key(guid));
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn known_size(entry: &Entry) -> Option<u64> {
    let in_name = MessageName::parse(&entry.name).and_then(|name| name.wire_size());
    // RFC 9051 section 9, number64: a client need not understand a greater one, and no file has so many bytes.
    let in_name = in_name.filter(|size| i64::try_from(*size).is_ok());
    in_name.or_else(|| Record { uid: 0, base: Box::default(), fields: entry.fields.clone() }.number(b'W'))
}

/// Bytes with every LF that has no CR before it counted twice.
fn count(mut file: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; COUNT_CHUNK];
    let (mut total, mut last) = (0, 0);
    loop {
        let got = match file.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let bytes = &buffer[..got];
        total += got as u64;
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = if at == 0 { last } else { bytes[at - 1] };
            total += u64::from(before != b'\r');
        }
        last = bytes[got - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            to[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn sizes_on_the_wire() {
        for (stored, size) in
            [(&b""[..], 0), (b"\n", 2), (b"a\nb\n", 6), (b"a\r\nb\n", 6), (b"a\r\r\n", 4), (b"\r", 1), (b"\n\n", 4)]
        {
            assert_eq!(count(stored).unwrap(), size, "{}", stored.escape_ascii());
            assert_eq!(count(Slowly(stored)).unwrap(), size, "{} byte by byte", stored.escape_ascii());
        }
    }
}
