//! What a power cut leaves: only what was synced.
//!
//! Fed with the steps of `fsio`, each just before it happens. A file's data count from its last sync; a directory's entries from
//! the directory's last sync. A file that has a durable name but was never synced is there, and empty. This is harsher than
//! common file systems, which sync a new file's name along with it: a program that passes here needs none of their kindness.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mailcote::fsio::Step;

/// The disk as it would be after a cut.
pub struct Shadow {
    root: PathBuf,
    /// Data by inode.
    files: HashMap<u64, Vec<u8>>,
    /// Entries by the directory's inode: name, inode, is it a directory.
    directories: HashMap<u64, Vec<(OsString, u64, bool)>>,
}

impl Shadow {
    /// Everything that is in `root` now is durable.
    pub fn of(root: &Path) -> Shadow {
        let mut shadow = Shadow { root: root.to_owned(), files: HashMap::new(), directories: HashMap::new() };
        shadow.everything(root);
        shadow
    }

    /// Before `step` happens.
    pub fn before(&mut self, step: &Step<'_>) {
        match step {
            Step::SyncFile(path) => self.file(path),
            Step::SyncDir(path) => self.directory(path),
            Step::SyncFs(_) => self.everything(&self.root.clone()),
            _ => {}
        }
    }

    fn file(&mut self, path: &Path) {
        // Under this name or, if it was renamed since it was opened, not at all: then the old data stay.
        if let (Ok(meta), Ok(bytes)) = (fs::metadata(path), fs::read(path)) {
            self.files.insert(meta.ino(), bytes);
        }
    }

    fn directory(&mut self, path: &Path) {
        let (Ok(meta), Ok(entries)) = (fs::metadata(path), fs::read_dir(path)) else { return };
        let entries = entries.flatten().filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some((entry.file_name(), meta.ino(), meta.is_dir()))
        });
        self.directories.insert(meta.ino(), entries.collect());
    }

    fn everything(&mut self, from: &Path) {
        self.directory(from);
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.everything(&entry.path());
            } else {
                self.file(&entry.path());
            }
        }
    }

    /// Write the tree after the cut to `to`.
    pub fn write(&self, to: &Path) {
        let root = fs::metadata(&self.root).expect("the root").ino();
        fs::create_dir(to).expect("a directory for the shadow");
        self.write_directory(root, to, &mut HashMap::new());
    }

    fn write_directory(&self, inode: u64, to: &Path, written: &mut HashMap<u64, PathBuf>) {
        for (name, inode, is_directory) in self.directories.get(&inode).into_iter().flatten() {
            let path = to.join(name);
            if *is_directory {
                fs::create_dir(&path).expect("a shadow directory");
                self.write_directory(*inode, &path, written);
            } else if let Some(first) = written.get(inode) {
                // Two durable names of one file: a rename between directories of which one was synced.
                fs::hard_link(first, &path).expect("a second name");
            } else {
                fs::write(&path, self.files.get(inode).map_or(&[][..], Vec::as_slice)).expect("a shadow file");
                written.insert(*inode, path);
            }
        }
    }
}
