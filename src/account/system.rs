//! Users of the operating system.
//!
//! Owns the question to getpwnam (files, LDAP, whatever the system is set up for). Refuses root and the system's own
//! accounts: their mail is for an alias to lead to a person. Blocks as long as the system's name service does.

use std::path::PathBuf;

use nix::unistd::{Uid, User, getuid};

use crate::store::Owner;

/// The first uid of people; below are the system's own accounts (login.defs(5), UID_MIN on every Linux we know).
const FIRST_UID: u32 = 1000;
/// `nobody`, who owns nothing.
const NOBODY: u32 = 65534;

/// What the system knows of a user.
#[derive(Debug)]
pub struct Known {
    /// The name as the system writes it.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    /// Who his files belong to.
    pub owner: Owner,
}

/// The system user of this name; `None` if there is none who gets mail. Fails with what the name service said.
pub fn lookup(name: &str) -> Result<Option<Known>, String> {
    let entry = User::from_name(name).map_err(|e| format!("name service, user {name}: {e}"))?;
    Ok(entry.and_then(|entry| known(entry, getuid())))
}

/// What matters of an entry, if it is a person's. `ours` is the daemon's own user.
fn known(entry: User, ours: Uid) -> Option<Known> {
    let uid = entry.uid.as_raw();
    // A daemon that somebody runs for himself may serve his own mail, whatever his uid.
    let person = (uid >= FIRST_UID && uid != NOBODY) || (uid != 0 && entry.uid == ours);
    person.then(|| Known {
        name: entry.name,
        home: entry.dir,
        owner: if entry.uid == ours { Owner::Daemon } else { Owner::User { uid, gid: entry.gid.as_raw() } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_daemons_get_no_mail() {
        for name in ["root", "nobody", "daemon", "no-such-user-here"] {
            assert!(lookup(name).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn whose_files_they_are() {
        let root = User::from_name("root").unwrap().unwrap();
        let with = |uid, ours| known(User { uid: Uid::from_raw(uid), ..root.clone() }, Uid::from_raw(ours));
        assert_eq!(with(1000, 0).map(|known| known.owner), Some(Owner::User { uid: 1000, gid: 0 }));
        assert_eq!(with(1000, 1000).map(|known| known.owner), Some(Owner::Daemon));
        assert_eq!(with(500, 500).map(|known| known.owner), Some(Owner::Daemon));
        for (uid, ours) in [(0, 0), (0, 1000), (999, 0), (NOBODY, 0)] {
            assert!(with(uid, ours).is_none(), "{uid} {ours}");
        }
    }
}
