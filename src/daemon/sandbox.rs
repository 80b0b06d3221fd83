//! Landlock: from here on the process can open what the configuration names and nothing else, and run no program.
//!
//! Best effort: a kernel without Landlock, or one too old to allow renames between directories under it, leaves us unconfined; the
//! log says what is enforced. Rules name directories, not files, since files are replaced by rename. A
//! directory that comes to be named after start-up (a user's new home outside the usual place) needs a restart.
//!
//! With system users, mail can be in any home directory and user databases anywhere: then only running programs and
//! making devices are forbidden, and the owner's identity is what keeps users apart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, path_beneath_rules,
};
use tracing::{info, warn};

/// The newest set of file rights we know the meaning of.
const RIGHTS: ABI = ABI::V5;

/// What may be opened.
#[derive(Debug, Default)]
pub struct Paths {
    /// Directories to read.
    pub read: BTreeSet<PathBuf>,
    /// Directories to read and to change.
    pub write: BTreeSet<PathBuf>,
    /// Anything but running programs and making devices (system users).
    pub everywhere: bool,
}

impl Paths {
    /// Allow reading below `path`, and where a symbolic link there leads.
    pub fn read(&mut self, path: &Path) {
        self.read.extend([Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten());
    }

    /// Allow reading a file that may be replaced: what is in its directory, and in the one where it really is if it is a link.
    pub fn read_file(&mut self, file: &Path) {
        if let Some(directory) = file.parent() {
            self.read(directory);
        }
        let real = file.canonicalize().ok();
        self.read.extend(real.as_deref().and_then(Path::parent).map(Path::to_owned));
    }

    /// Allow changing below `path`.
    pub fn write(&mut self, path: &Path) {
        self.write.extend([Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten());
    }

    /// What the confinement means, for the log.
    fn in_words(&self) -> &'static str {
        if self.everywhere {
            "files can be used wherever their owners let us, for users of the system have their mail at home; no program can be run"
        } else {
            "only files below the directories that the configuration names can be used, and no program can be run"
        }
    }

    /// Certificates may be links into another tree (certbot's `live` into its `archive`), also those that come later. So
    /// besides the directory that a file is really in this grants the one above it, where that is laid out like ours: a
    /// directory of the same name for each certificate. A directory that is not there yet is granted by the one above it,
    /// unless that is a directory of the whole system.
    pub fn certificates(&mut self, certs: &Path) {
        self.read(certs);
        let above = certs.parent().filter(|above| above.components().count() > 2);
        if let Some(above) = above.filter(|_| !certs.is_dir()) {
            self.read(above);
        }
        let archive = certs.canonicalize().ok().and_then(|live| Some(live.parent()?.join("archive")));
        self.read.extend(archive.filter(|archive| archive.is_dir()));
        for directory in std::fs::read_dir(certs).into_iter().flatten().flatten() {
            for file in ["fullchain.pem", "privkey.pem"] {
                if let Ok(real) = directory.path().join(file).canonicalize()
                    && let Some(parent) = real.parent()
                {
                    self.read.insert(parent.to_owned());
                    let alike = parent.file_name() == Some(&directory.file_name());
                    self.read.extend(parent.parent().filter(|_| alike).map(Path::to_owned));
                }
            }
        }
    }
}

/// Confine this thread and every thread it makes.
pub fn enter(paths: &Paths) {
    match confine(paths) {
        Ok(RulesetStatus::FullyEnforced) => info!("confined by Landlock: {}", paths.in_words()),
        Ok(RulesetStatus::PartiallyEnforced) => {
            info!("confined by Landlock, as far as this kernel can: {}", paths.in_words());
        }
        Ok(RulesetStatus::NotEnforced) => warn!("not confined: this kernel has no (or too old a) Landlock"),
        Err(error) => warn!(%error, "not confined: Landlock failed"),
    }
}

fn confine(paths: &Paths) -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default()
        // The first Landlock forbids every rename between directories, hence every delivery: then rather none.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?;
    let status = if paths.everywhere {
        ruleset.add_rules(path_beneath_rules(["/"], changing() | AccessFs::IoctlDev))?.restrict_self()?
    } else {
        ruleset
            .add_rules(path_beneath_rules(&paths.read, AccessFs::ReadFile | AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(&paths.write, changing()))?
            .restrict_self()?
    };
    Ok(status.ruleset)
}

/// Everything one does with mail: no programs, no devices.
fn changing() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::MakeSock
        | AccessFs::Refer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_certificate_that_comes_later_is_granted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let lineage = |name: &str, archive: &str| {
            for (file, real) in [("fullchain.pem", "fullchain1.pem"), ("privkey.pem", "privkey1.pem")] {
                let (live, archive) = (root.join("live").join(name), root.join(archive));
                fs::create_dir_all(&live).unwrap();
                fs::create_dir_all(&archive).unwrap();
                fs::write(archive.join(real), "x").unwrap();
                std::os::unix::fs::symlink(archive.join(real), live.join(file)).unwrap();
            }
        };
        let granted = || {
            let mut paths = Paths::default();
            paths.certificates(&root.join("live"));
            paths
                .read
                .into_iter()
                .filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_owned()))
                .collect::<Vec<_>>()
        };
        let expected = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(granted(), expected(&["", "live"]), "nothing is there yet");
        lineage("one.test", "elsewhere/keys");
        assert_eq!(granted(), expected(&["elsewhere/keys", "live"]), "a directory that is not like ours, alone");
        lineage("two.test", "store/two.test");
        assert_eq!(granted(), expected(&["elsewhere/keys", "live", "store", "store/two.test"]));
        fs::create_dir(root.join("archive")).unwrap();
        assert!(granted().contains(&PathBuf::from("archive")), "certbot's, by its name");
    }

    #[test]
    fn opens_what_is_named_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let [mail, config, other] = ["mail", "config", "other"].map(|n| dir.path().join(n));
        for d in [&mail, &config, &other] {
            fs::create_dir(d).unwrap();
            fs::write(d.join("f"), "x").unwrap();
        }
        fs::create_dir(mail.join("new")).unwrap();
        let mut paths = Paths::default();
        paths.read(&config);
        paths.write(&mail);
        // Only this thread is confined.
        std::thread::spawn(move || {
            if confine(&paths).unwrap() == RulesetStatus::NotEnforced {
                eprintln!("this kernel has no Landlock: nothing to see here");
                return;
            }
            assert!(fs::read(config.join("f")).is_ok());
            assert!(fs::write(config.join("f"), "y").is_err());
            assert!(fs::read(other.join("f")).is_err());
            fs::write(mail.join("g"), "mail").unwrap();
            fs::rename(mail.join("g"), mail.join("new/g")).unwrap();
            fs::remove_file(mail.join("new/g")).unwrap();
            assert!(std::process::Command::new("/bin/true").status().is_err());
        })
        .join()
        .unwrap();
    }
}
