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

    /// Allow changing below `path`.
    pub fn write(&mut self, path: &Path) {
        self.write.extend([Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten());
    }

    /// Certificates may be links into another tree (certbot's `live` into its `archive`).
    pub fn certificates(&mut self, certs: &Path) {
        self.read(certs);
        for directory in std::fs::read_dir(certs).into_iter().flatten().flatten() {
            for file in ["fullchain.pem", "privkey.pem"] {
                if let Ok(real) = directory.path().join(file).canonicalize()
                    && let Some(parent) = real.parent()
                {
                    self.read.insert(parent.to_owned());
                }
            }
        }
    }
}

/// Confine this thread and every thread it makes.
pub fn enter(paths: &Paths) {
    match confine(paths) {
        Ok(RulesetStatus::FullyEnforced) => info!(everywhere = paths.everywhere, "confined by Landlock"),
        Ok(RulesetStatus::PartiallyEnforced) => info!(everywhere = paths.everywhere, "confined by Landlock, in part"),
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
