//! What another account may read, tried out as that account.
//!
//! Modes, groups and access control lists are the kernel's to understand, so it is asked: for the length of the question this process has
//! the account's groups, and this thread its identity for file access. Only root may. Nothing is changed on disk.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, User, getgroups, initgroups, setgroups};

use crate::store::Owner;

/// Gives this process its groups back.
struct Groups(Vec<Gid>);

impl Drop for Groups {
    fn drop(&mut self) {
        if let Err(error) = setgroups(&self.0) {
            tracing::warn!(%error, "cannot take our own groups back");
        }
    }
}

/// Which of `files` and directories are there and cannot be read by `user`, and why.
///
/// # Errors
/// We cannot take on the account's identity.
pub fn refused(user: &User, files: &[PathBuf]) -> io::Result<Vec<(PathBuf, io::Error)>> {
    if user.uid.is_root() {
        return Ok(Vec::new());
    }
    let name = CString::new(user.name.as_str())?;
    let _groups = Groups(getgroups()?);
    initgroups(&name, user.gid)?;
    let _identity = Owner::User { uid: user.uid.as_raw(), gid: user.gid.as_raw() }.assume()?;
    let looked = files.iter().map(|file| (file, File::open(file).err()));
    let refused = looked.filter_map(|(file, e)| Some((file.clone(), e?)));
    Ok(refused.filter(|(_, e)| e.kind() != io::ErrorKind::NotFound).collect())
}
