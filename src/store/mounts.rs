//! File systems that must be mounted before a home is made on them.
//!
//! A home that is not there is made at its first use. If it is not there because its disk is not mounted, that would show its owner an
//! empty mailbox, give every folder a new UIDVALIDITY, and put new mail where nobody finds it when the disk is back. So what
//! `/etc/fstab` says is mounted somewhere must be mounted, and what the setting `mail.mount_point` names (for systems
//! that mount without fstab), before anything is made below it: until then the caller is told to try later.
//!
//! A directory counts as mounted if it is on another file system than its parent. Bind mounts need not be, and are not asked for. Looked
//! at only when a home is missing. The list is read once, at the start, before the process is confined to its own files; an fstab
//! that is there and cannot be read is logged, and asks for nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Error, Result};
use crate::fsio;

/// Where file systems are listed.
const FSTAB: &str = "/etc/fstab";
/// Bytes of it that are read.
const MAX_FSTAB: u64 = 1 << 20;

/// Directories that must be mount points.
#[derive(Debug, Clone, Default)]
pub struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// `configured`, and what this system's fstab says.
    pub fn read(configured: Option<&Path>) -> Mounts {
        Mounts::read_from(Path::new(FSTAB), configured)
    }

    fn read_from(table: &Path, configured: Option<&Path>) -> Mounts {
        let text = fsio::read(table, MAX_FSTAB).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                let file = table.display();
                tracing::warn!(%file, %error, "cannot be read: homes are made whether or not its file systems are mounted");
            }
            Vec::new()
        });
        let mut all = listed(&String::from_utf8_lossy(&text));
        all.extend(configured.map(Path::to_path_buf));
        Mounts(all)
    }

    /// The mount point above `path`, or `path` itself, on which nothing is mounted.
    pub fn missing(&self, path: &Path) -> Option<&Path> {
        let real = real(path);
        let missing = self.0.iter().find(|mount| real.starts_with(mount) && !is_mounted(mount));
        missing.map(PathBuf::as_path)
    }

    /// May something be made at `path`? An error if a file system that belongs above it is missing.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        self.missing(path).map_or(Ok(()), |mount| {
            Err(Error::io(mount, io::Error::new(io::ErrorKind::NotConnected, "file system is not mounted")))
        })
    }
}

/// The path with the symbolic links of what exists of it resolved.
fn real(path: &Path) -> PathBuf {
    let resolve = |above: &Path| Some((fs::canonicalize(above).ok()?, path.strip_prefix(above).ok()?.to_path_buf()));
    path.ancestors().find_map(resolve).map_or_else(|| path.to_path_buf(), |(above, rest)| above.join(rest))
}

/// Is `path` on another file system than what is above it? The root always is.
fn is_mounted(path: &Path) -> bool {
    let Some(parent) = path.parent() else { return true };
    match (fs::metadata(path), fs::metadata(parent)) {
        (Ok(path), Ok(parent)) => path.dev() != parent.dev(),
        _ => false,
    }
}

/// Mount points of an fstab(5), but for bind mounts.
fn listed(table: &str) -> Vec<PathBuf> {
    let entries = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entries = entries.filter(|fields| fields.len() >= 4 && !fields[0].starts_with('#'));
    let entries = entries.filter(|fields| !fields[3].split(',').any(|option| matches!(option, "bind" | "rbind")));
    entries.map(|fields| PathBuf::from(unescape(fields[1]))).filter(|path| path.is_absolute()).collect()
}

/// fstab(5) writes a blank as `\040` and a tab as `\011`.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fstab_says() {
        let table = "# <file system> <mount point> <type> <options>\n\
            UUID=1 / ext4 errors=remount-ro 0 1\n\
            /dev/sdb1 /srv/mail\\040boxes xfs defaults,noatime 0 2\n\
            /srv/a /srv/b none bind 0 0\n\
            /dev/sdc1 none swap sw 0 0\n\
            nfs:/x\t/home\tnfs4\tnoauto\n\
            broken /line\n";
        assert_eq!(listed(table), [Path::new("/"), Path::new("/srv/mail boxes"), Path::new("/home")]);
    }

    #[test]
    fn the_table_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("fstab");
        std::fs::write(&table, "/dev/x /srv/mail ext4 defaults\n").unwrap();
        let both = Mounts::read_from(&table, Some(Path::new("/data")));
        assert_eq!(both.0, [Path::new("/srv/mail"), Path::new("/data")]);
        assert!(Mounts::read_from(&dir.path().join("none"), None).0.is_empty());
    }

    #[test]
    fn only_what_lies_below_a_missing_file_system_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(base.join("mail")).unwrap();
        std::os::unix::fs::symlink(base.join("mail"), base.join("link")).unwrap();
        let mounts = Mounts(vec![PathBuf::from("/"), PathBuf::from("/proc"), base.join("mail"), base.join("gone")]);
        for (path, is_allowed) in [
            (base.join("mail/example.org/alice"), false),
            (base.join("link/example.org/alice"), false),
            (base.join("gone/x"), false),
            (base.join("mailbox"), true),
            (base.clone(), true),
            (PathBuf::from("/proc/nothing"), true),
        ] {
            assert_eq!(mounts.check(&path).is_ok(), is_allowed, "{}", path.display());
        }
    }
}
