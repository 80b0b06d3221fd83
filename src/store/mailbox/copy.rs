//! COPY and MOVE.
//!
//! A copy is a hard link where one file system and one owner allow it (a message file never changes), else a copy of the
//! bytes. It gets a name in the target's `tmp/` first, without any lock on the source, and then comes in as an APPEND does: all or none.
//!
//! A move within one file system is a rename of each file, with both folders locked; target synced, then source, so that a power cut
//! can leave a message in both but never in none; then UIDs. Else it is a copy, and then an expunge.
//!
//! Flags, keywords (by name) and dates are kept; UIDs are given in the order of the source. A message that is gone is passed over.

use std::fs::{File as OsFile, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::fcntl::OFlag;

use super::super::acl::Rights;
use super::super::filename::{self, MessageName};
use super::super::quota::size_of;
use super::super::watch::Which;
use super::super::{Error, FILE_MODE, Owner, Result};
use super::append::{Incoming, target};
use super::message::{guid, guid_field};
use super::refresh::Effort;
use super::{Disk, MAX_LOOKS, Mailbox, Working};
use crate::fsio;
use crate::mail::Flags;

/// Bytes after which a piece of a copy ends, where files cannot be linked.
const COPIED_AT_ONCE: u64 = 8 << 20;
/// Bytes that a copied file counts at least, since each is synced.
const SYNC_COST: u64 = 256 << 10;

/// A link or copy in the target's `tmp/`; removed if it does not become a message.
struct Parked {
    path: PathBuf,
    owner: Owner,
    placed: bool,
}

impl Drop for Parked {
    fn drop(&mut self) {
        if !self.placed
            && let Err(e) = self.owner.assume().and_then(|_owner| fsio::unlink(&self.path))
        {
            tracing::warn!(path = %self.path.display(), error = %e, "a copy stays in tmp/ until it is 36 hours old");
        }
    }
}

/// A copy under way. Dropped before it is finished, it leaves nothing.
#[derive(Default)]
pub struct Copying {
    sources: Vec<u32>,
    parked: Vec<Parked>,
    incoming: Vec<Incoming>,
}

/// What a copy takes along.
struct Original {
    flags: Flags,
    keywords: u128,
    base: String,
    info: Box<[u8]>,
    guid: Box<[u8]>,
}

impl Mailbox {
    /// Copy to another folder of the same or another account, flags, keywords and dates kept; returns (source, new) UIDs.
    pub fn copy(&self, uids: &[u32], to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        self.copy_as(uids, to, Rights::ALL)
    }

    /// As [`Mailbox::copy`], for one who has these rights in the target: other flags are lost (RFC 4314 section 4).
    pub fn copy_as(&self, uids: &[u32], to: &Mailbox, rights: Rights) -> Result<Vec<(u32, u32)>> {
        let (mut copying, mut left) = (Copying::default(), uids);
        while !left.is_empty() {
            left = &left[self.copy_some(&mut copying, left, to, rights)?..];
        }
        self.finish_copy(copying, to)
    }

    /// The part of a copy that can be done in pieces: files into the target's `tmp/`, in the order of the calls, without any folder's lock.
    /// Returns how many of `uids` this call has dealt with: not all if bytes had to be copied and they were many.
    pub fn copy_some(&self, copying: &mut Copying, uids: &[u32], to: &Mailbox, rights: Rights) -> Result<usize> {
        if to.is_read_only() {
            return Err(Error::ReadOnly(to.dir.clone()));
        }
        let mut bytes = 0;
        for (n, &uid) in uids.iter().enumerate() {
            if bytes >= COPIED_AT_ONCE {
                return Ok(n);
            }
            let Some((original, copy)) = self.park(uid, to, rights, &mut bytes)? else { continue };
            copying.incoming.push(Incoming {
                path: copy.path.clone(),
                base: original.base,
                info: original.info,
                flags: original.flags,
                keywords: original.keywords,
                guid: original.guid,
            });
            copying.parked.push(copy);
            copying.sources.push(uid);
        }
        Ok(uids.len())
    }

    /// The part that is one step, since all or none comes into the folder (RFC 3501 6.4.7): a rename of each file, two syncs, one append to
    /// the uidlist. Who changes the target meanwhile waits; who reads it does not. Returns (source, new) UIDs.
    pub fn finish_copy(&self, copying: Copying, to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        let Copying { sources, mut parked, mut incoming } = copying;
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.keywords();
        let (_owner, mut disk) = to.enter()?;
        for one in &mut incoming {
            one.keywords = to.same_keywords(&mut disk, &names, one.keywords)?;
        }
        let new = to.take_in_files(&mut disk, &incoming)?;
        parked.iter_mut().for_each(|copy| copy.placed = true);
        Ok(sources.into_iter().zip(new).collect())
    }

    /// Link or copy the file of `uid` into the `tmp/` of `to`; what was copied is added to `bytes`. `None` if the message is gone.
    fn park(&self, uid: u32, to: &Mailbox, rights: Rights, bytes: &mut u64) -> Result<Option<(Original, Parked)>> {
        for look in 0..=MAX_LOOKS {
            let Some((original, from)) = self.original(uid, to, rights) else { return Ok(None) };
            let path = to.dir.join("tmp").join(&original.base);
            let linked = match self.owner == to.owner {
                true => to.assume().and_then(|_owner| fsio::link(&from, &path).map_err(|e| Error::io(&path, e))),
                false => Err(Error::io(&path, io::ErrorKind::CrossesDevices.into())),
            };
            let result = match linked {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Err(source),
                // Another disk, too many links, links forbidden: any reason will do, the bytes can still be copied.
                Err(Error::Io { .. }) => {
                    self.copy_bytes(&from, to, &path).map(|copied| *bytes += copied.max(SYNC_COST))
                }
                Err(e) => return Err(e),
                Ok(()) => Ok(()),
            };
            match result {
                Ok(()) => return Ok(Some((original, Parked { path, owner: to.owner, placed: false }))),
                Err(e) if e.kind() == io::ErrorKind::NotFound && look < MAX_LOOKS => {
                    let (_owner, mut disk) = self.enter()?;
                    self.refresh_locked(&mut disk, Effort::Scan)?;
                }
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        Ok(None)
    }

    fn original(&self, uid: u32, to: &Mailbox, rights: Rights) -> Option<(Original, PathBuf)> {
        let state = self.state();
        let (message, entry) = state.table.get(uid)?;
        let unique = to.process.unique();
        let sizes = MessageName::parse(&entry.name).and_then(|name| Some((name.size()?, name.wire_size()?)));
        let base = sizes.map_or_else(|| unique.clone(), |(size, wire)| filename::with_sizes(&unique, size, wire));
        let info = entry.name[entry.base().len()..].into();
        // RFC 8474 5.1: a copy has the EMAILID of its original.
        let guid = guid_field(&guid(entry));
        let keywords = if rights.keywords() { message.keywords } else { 0 };
        let original = Original { flags: message.flags.both(rights.flags()), keywords, base, info, guid };
        Some((original, self.path(entry.place, &entry.name)))
    }

    /// Read as one owner, write as the other. Returns the size.
    fn copy_bytes(&self, from: &std::path::Path, to: &Mailbox, path: &std::path::Path) -> io::Result<u64> {
        let source = {
            let _owner = self.owner.assume()?;
            let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(from)?
        };
        let meta = source.metadata()?;
        let _owner = to.owner.assume()?;
        let file = fsio::create(path, FILE_MODE)?;
        fsio::copy_range(&source, 0, &file, path, meta.len())
            .and_then(|()| file.set_modified(meta.modified()?))
            .and_then(|()| fsio::sync_all(&file, path))
            .inspect_err(|_| {
                // The first error is the one to report.
                let _ = fsio::unlink(path);
            })?;
        Ok(meta.len())
    }

    /// Move, by rename where one file system allows it; returns (source, new) UIDs.
    pub fn move_to(&self, uids: &[u32], to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        self.move_as(uids, to, Rights::ALL)
    }

    /// As [`Mailbox::move_to`], for one who has these rights in the target: other flags are lost.
    pub fn move_as(&self, uids: &[u32], to: &Mailbox, rights: Rights) -> Result<Vec<(u32, u32)>> {
        for folder in [self, to] {
            if folder.is_read_only() {
                return Err(Error::ReadOnly(folder.dir.clone()));
            }
        }
        if !self.is_renamed_to(to)? {
            let copied = self.copy_as(uids, to, rights)?;
            self.remove_copied(&copied)?;
            return Ok(copied);
        }
        self.rename_as(uids, to, rights)
    }

    /// As [`Mailbox::move_as`], of the first of `uids`: at most so many, and fewer where bytes have to be copied. Returns also with how many
    /// it has dealt.
    pub fn move_some(
        &self,
        uids: &[u32],
        to: &Mailbox,
        rights: Rights,
        most: usize,
    ) -> Result<(usize, Vec<(u32, u32)>)> {
        let some = &uids[..uids.len().min(most)];
        if self.is_read_only() || self.is_renamed_to(to)? {
            return Ok((some.len(), self.move_as(some, to, rights)?));
        }
        let mut copying = Copying::default();
        let done = self.copy_some(&mut copying, some, to, rights)?;
        let copied = self.finish_copy(copying, to)?;
        self.remove_copied(&copied)?;
        Ok((done, copied))
    }

    /// Is a move to there a rename?
    fn is_renamed_to(&self, to: &Mailbox) -> Result<bool> {
        Ok(!std::ptr::eq(self, to) && self.owner == to.owner && self.shares_disk_with(to)?)
    }

    fn remove_copied(&self, copied: &[(u32, u32)]) -> Result<()> {
        let sources: Vec<u32> = copied.iter().map(|pair| pair.0).collect();
        self.remove(&sources).map(drop)
    }

    fn rename_as(&self, uids: &[u32], to: &Mailbox, rights: Rights) -> Result<Vec<(u32, u32)>> {
        let _owner = self.assume()?;
        let (mut here, mut there) = self.lock_both(to)?;
        self.refresh_locked(&mut here, Effort::Needed)?;
        let names = self.keywords();
        let (mut sources, mut incoming) = (Vec::new(), Vec::new());
        for &uid in uids {
            // Looked at once more, so that the rename below, which must not fail half-way for that, finds its file.
            let Some((original, path)) = self.present(&mut here, uid, to, rights)? else { continue };
            let keywords = to.same_keywords(&mut there, &names, original.keywords)?;
            let Original { base, info, guid, flags, .. } = original;
            let one = Incoming { path, base, info, flags, keywords, guid };
            incoming.push(one);
            sources.push(uid);
        }
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let change = self.quota.get().map(|quota| quota.begin());
        let kept = self.keep_moved(&sources, &incoming);
        let new = to.take_in_files(&mut there, &incoming).inspect_err(|_| drop_links(&kept))?;
        if let Some(change) = change {
            let files = incoming.iter().map(target);
            change.went(files.filter_map(|file| size_of(&to.subdirectory(file.place), &file.name)));
        }
        drop(there);
        let from = |place| incoming.iter().any(|one| one.path.starts_with(self.subdirectory(place)));
        self.sync_removed_from(&mut here, [from(Which::New), from(Which::Cur)])?;
        self.own_change(&mut here);
        let mut gone = sources.clone();
        gone.sort_unstable();
        self.forget(&mut here, &gone, kept);
        Ok(sources.into_iter().zip(new).collect())
    }

    /// Second names of files that are about to move, for sessions that will not have been told.
    fn keep_moved(&self, uids: &[u32], incoming: &[Incoming]) -> Vec<(u32, PathBuf)> {
        let mut kept = Vec::new();
        for (uid, one) in uids.iter().zip(incoming) {
            if !self.must_keep(kept.len()) {
                break;
            }
            let to = self.kept_path();
            match fsio::link(&one.path, &to) {
                Ok(()) => kept.push((*uid, to)),
                Err(error) => {
                    // A courtesy: without it a FETCH says that the message is gone.
                    tracing::debug!(path = %one.path.display(), %error, "a moved message cannot be kept readable");
                }
            }
        }
        kept
    }

    /// The original of `uid` and where its file is at this moment.
    fn present(&self, disk: &mut Disk, uid: u32, to: &Mailbox, rights: Rights) -> Result<Option<(Original, PathBuf)>> {
        for _ in 0..=MAX_LOOKS {
            let Some((original, path)) = self.original(uid, to, rights) else { return Ok(None) };
            match std::fs::symlink_metadata(&path) {
                Ok(_) => return Ok(Some((original, path))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.refresh_locked(disk, Effort::Scan)?,
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        Ok(None)
    }

    fn shares_disk_with(&self, to: &Mailbox) -> Result<bool> {
        let _owner = self.assume()?;
        let device = |folder: &Mailbox| {
            let dir = folder.dir.join("cur");
            OsFile::open(&dir).and_then(|dir| dir.metadata()).map(|meta| meta.dev()).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => Error::NotFound,
                _ => Error::io(&dir, e),
            })
        };
        Ok(device(self)? == device(to)?)
    }

    /// Both folders' locks, the one at the lower address first, so that two opposite moves do not wait for each other.
    fn lock_both<'a>(&'a self, to: &'a Mailbox) -> Result<(Working<'a>, Working<'a>)> {
        let (here, there) = if std::ptr::from_ref(self) < std::ptr::from_ref(to) {
            let here = self.lock_disk();
            (here, to.lock_disk())
        } else {
            let there = to.lock_disk();
            (self.lock_disk(), there)
        };
        if self.is_closed() || to.is_closed() {
            return Err(Error::NotFound);
        }
        Ok((here, there))
    }

    /// Bits here of the keywords that `bits` are by the source's `names`.
    fn same_keywords(&self, disk: &mut Disk, names: &[String], bits: u128) -> Result<u128> {
        if bits == 0 {
            return Ok(0);
        }
        let wanted = names.iter().enumerate().filter(|(n, name)| bits & 1 << n != 0 && !name.is_empty());
        let wanted: Vec<String> = wanted.map(|(_, name)| name.clone()).collect();
        self.number_keywords(disk, &wanted, true)
    }
}

/// The files did not move after all.
fn drop_links(kept: &[(u32, PathBuf)]) {
    for (_, path) in kept {
        if let Err(error) = fsio::unlink(path) {
            tracing::warn!(path = %path.display(), %error, "a second name stays in tmp/ until it is 36 hours old");
        }
    }
}
