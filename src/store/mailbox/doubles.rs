//! One base twice: two files that claim to be the same message.
//!
//! Most are ghosts: a file was renamed while the directories were read, and both names were seen. Two hard links to one file are left by
//! a power cut on file systems whose rename is not atomic across directories, and by programs that move with link and unlink:
//! one name is removed when both are older than [`SETTLED`]. Two different files are two messages: one gets a fresh name, and
//! with it a UID of its own; its flags stay.
//!
//! Fails only where the disk does; then nothing is lost, and the next scan finds the pair again.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::super::filename::{self, MessageName};
use super::super::watch::Which;
use super::super::{Error, Result};
use super::scan::{Difference, File};
use super::table::base_of;
use super::{Disk, Mailbox};
use crate::{clock, fsio};

/// Seconds that a second link must be old: a program that moves by link and unlink needs a moment between the two.
const SETTLED: i64 = 30;

/// What became of a pair.
enum Outcome {
    /// Only the first exists, or both are one file: the first counts.
    First,
    /// Both are one file, and somebody may be about to remove one: the first counts for now.
    Twins,
    /// Only the second exists.
    Second,
    /// Two messages; the second is called so now.
    Two(File),
    /// Both are gone.
    Neither,
}

impl Mailbox {
    /// Turn doubles into renamed and fresh files.
    pub(super) fn settle_doubles(&self, disk: &mut Disk, difference: &mut Difference) -> Result<()> {
        disk.has_twins = false;
        for (uid, second) in std::mem::take(&mut difference.doubles) {
            let renamed = difference.renamed.iter().position(|row| row.0 == uid);
            let current = match renamed {
                Some(at) => Some(difference.renamed[at].1.clone()),
                None => self.state().table.get(uid).map(|(_, e)| File { name: e.name.clone(), place: e.place }),
            };
            let Some(first) = current else { continue };
            match self.settle(&first, &second)? {
                Outcome::First => {}
                Outcome::Twins => disk.has_twins = true,
                Outcome::Second => {
                    difference.renamed.retain(|row| row.0 != uid);
                    difference.renamed.push((uid, second));
                }
                Outcome::Two(file) => difference.fresh.push(file),
                // The next look tells.
                Outcome::Neither => self.pending.rescan(),
            }
        }
        let mut fresh: Vec<File> = Vec::with_capacity(difference.fresh.len());
        let mut bases: HashMap<Box<[u8]>, usize> = HashMap::with_capacity(difference.fresh.len());
        for file in std::mem::take(&mut difference.fresh) {
            let Some(&at) = bases.get(base_of(&file.name)) else {
                bases.insert(base_of(&file.name).into(), fresh.len());
                fresh.push(file);
                continue;
            };
            match self.settle(&fresh[at], &file)? {
                Outcome::First => {}
                Outcome::Twins => disk.has_twins = true,
                Outcome::Second => fresh[at] = file,
                Outcome::Two(file) => fresh.push(file),
                Outcome::Neither => self.pending.rescan(),
            }
        }
        difference.fresh = fresh;
        Ok(())
    }

    fn settle(&self, first: &File, second: &File) -> Result<Outcome> {
        Ok(match (self.look(first)?, self.look(second)?) {
            (None, None) => Outcome::Neither,
            (Some(_), None) => Outcome::First,
            (None, Some(_)) => Outcome::Second,
            (Some(a), Some(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()) => {
                if clock::unix().saturating_sub(b.ctime()) > SETTLED && !self.is_read_only() {
                    // The one in cur/ may have flags: keep that.
                    let (extra, outcome) = match (first.place, second.place) {
                        (Which::New, Which::Cur) => (first, Outcome::Second),
                        _ => (second, Outcome::First),
                    };
                    let path = self.path(extra.place, &extra.name);
                    tracing::info!(path = %path.display(), "second name of one file removed");
                    fsio::unlink(&path).map_err(|e| Error::io(&path, e))?;
                    outcome
                } else {
                    Outcome::Twins
                }
            }
            (Some(_), Some(_)) if self.is_read_only() => Outcome::First,
            (Some(_), Some(_)) => Outcome::Two(self.give_fresh_name(second)?),
        })
    }

    fn give_fresh_name(&self, file: &File) -> Result<File> {
        let parsed = MessageName::parse(&file.name);
        let sizes = parsed.and_then(|name| Some((name.size()?, name.wire_size()?)));
        let unique = self.process.unique();
        let base = sizes.map_or_else(|| unique.clone(), |(size, wire)| filename::with_sizes(&unique, size, wire));
        let info = &file.name[base_of(&file.name).len()..];
        let name: Box<[u8]> = [base.as_bytes(), info].concat().into();
        let (from, to) = (self.path(file.place, &file.name), self.path(file.place, &name));
        tracing::warn!(from = %from.display(), to = %to.display(), "two messages had one name");
        fsio::rename_new(&from, &to).map_err(|e| Error::io(&from, e))?;
        Ok(File { name, place: file.place })
    }

    fn look(&self, file: &File) -> Result<Option<Metadata>> {
        let path = self.path(file.place, &file.name);
        match fs::symlink_metadata(&path) {
            Ok(meta) => Ok(Some(meta)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(&path, e)),
        }
    }
}
