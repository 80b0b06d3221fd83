//! Who shares something with whom, so that LIST need not look at every account of a domain.
//!
//! One directory a domain with the file `shared-mailboxes` in it, in the format that Dovecot's `acl_shared_dict = file:` has:
//!
//! ```text
//! shared/shared-boxes/user/bob@example.org/alice@example.org
//! 1
//! shared/shared-boxes/anyone/alice@example.org
//! 1
//! ```
//!
//! alice shares at least one folder with bob. It is only a hint: what bob may do is in the folders' `dovecot-acl`, which are read before
//! anything is shown. A line too many costs a look; a line too few hides a folder. So lines are added, durably, before the SETACL that makes them
//! true is answered, and are taken away only when one owner has too many. A durable file rather than one made anew at each start, because making it means reading every folder of every account;
//! if it is deleted, or the rights came with a Dovecot's files, a folder is listed for another user only after the next SETACL for that user: nobody rebuilds it.
//!
//! Written whole, by rename, under a lock of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::lock::{Guard, Lock};
use super::super::tree::make_all;
use super::super::{Error, FILE_MODE, Home, Result};
use super::{FILE as ACL_FILE, Identifier};
use crate::fsio;
use crate::notice::Raiser;

/// The file's name.
const FILE: &str = "shared-mailboxes";
/// Bytes that are read: a hundred thousand lines.
const MAX_FILE: u64 = 16 << 20;
/// Users with whom one owner shares. Past it, those with whom he does not any more are forgotten: SETACL takes any name, and one user must not
/// fill the file of all.
const MAX_OF_OWNER: usize = 500;

type Stamp = (u64, u64, i64, i64);
/// Owners by the user with whom they share; those who share with anyone under the empty name.
type Owners = BTreeMap<String, BTreeSet<String>>;

/// The files of all domains.
#[derive(Debug)]
pub struct Shares {
    dir: PathBuf,
    known: Mutex<HashMap<String, (Stamp, Arc<Owners>)>>,
    listeners: Mutex<Vec<Raiser>>,
}

impl Shares {
    /// The files are below `dir`, which is made when it is needed.
    pub fn new(dir: PathBuf) -> Shares {
        Shares { dir, known: Mutex::default(), listeners: Mutex::default() }
    }

    /// Who shares something with `login`, or (`anyone`) with everybody of his domain.
    pub fn owners(&self, login: &str, anyone: bool) -> Result<BTreeSet<String>> {
        let Some(owners) = self.read(domain_of(login))? else { return Ok(BTreeSet::new()) };
        let login = login.to_lowercase();
        let all = owners.get("").filter(|_| anyone).into_iter().chain(owners.get(&login));
        Ok(all.flatten().filter(|owner| **owner != login).cloned().collect())
    }

    /// `owner` shares something with these, from now on. `so_far` finds with whom he does already; it is asked only when there are lines
    /// of too many. [`Error::Limit`] if those alone are too many.
    pub fn add(
        &self,
        owner: &str,
        with: &[Identifier],
        so_far: impl FnOnce() -> Result<Vec<Identifier>>,
    ) -> Result<()> {
        let (owner, domain) = (owner.to_lowercase(), domain_of(owner));
        let path = self.file(domain);
        let dir = path.parent().unwrap_or(&self.dir);
        make_all(dir)?;
        let _lock = Lock::take(dir, Guard::Shares, false)?;
        let mut owners = self.read(domain)?.as_deref().cloned().unwrap_or_default();
        let before = owners.clone();
        note(&mut owners, &owner, with);
        if with_how_many(&owners, &owner) > MAX_OF_OWNER && owners != before {
            owners.retain(|_, of| {
                of.remove(&owner);
                !of.is_empty()
            });
            note(&mut owners, &owner, &so_far()?);
            note(&mut owners, &owner, with);
            if with_how_many(&owners, &owner) > MAX_OF_OWNER {
                return Err(Error::Limit("folders are shared with too many users"));
            }
        }
        if owners == before && path.exists() {
            return Ok(());
        }
        let mut text = String::new();
        for (user, owners) in &owners {
            for owner in owners {
                match user.as_str() {
                    "" => text.push_str(&format!("shared/shared-boxes/anyone/{owner}\n1\n")),
                    user => text.push_str(&format!("shared/shared-boxes/user/{user}/{owner}\n1\n")),
                }
            }
        }
        fsio::replace(&path, text.as_bytes(), FILE_MODE).map_err(|e| Error::io(&path, e))?;
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for raiser in listeners {
            raiser.raise();
        }
        Ok(())
    }

    /// Raise `raiser` whenever somebody begins to share something with somebody, until its waiter is gone.
    pub fn listen(&self, raiser: Raiser) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(Raiser::is_alive);
        if !listeners.iter().any(|other| other.is_same(&raiser)) {
            listeners.push(raiser);
        }
    }

    fn file(&self, domain: &str) -> PathBuf {
        self.dir.join(domain).join(FILE)
    }

    /// The domain's file; `None` if there is none.
    fn read(&self, domain: &str) -> Result<Option<Arc<Owners>>> {
        let path = self.file(domain);
        let stamp: Stamp = match fs::metadata(&path) {
            Ok(meta) => (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&path, e)),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, owners)) = known.get(domain).filter(|(seen, _)| *seen == stamp) {
            return Ok(Some(Arc::clone(owners)));
        }
        let bytes = fsio::read(&path, MAX_FILE).map_err(|e| Error::io(&path, e))?;
        let owners = Arc::new(parse(&String::from_utf8_lossy(&bytes)));
        known.insert(domain.into(), (stamp, Arc::clone(&owners)));
        Ok(Some(owners))
    }
}

fn note(owners: &mut Owners, owner: &str, with: &[Identifier]) {
    for identifier in with {
        let key = match identifier {
            Identifier::User(login) => login.to_lowercase(),
            Identifier::Anyone | Identifier::Authenticated => String::new(),
            _ => continue,
        };
        owners.entry(key).or_default().insert(owner.to_owned());
    }
}

fn with_how_many(owners: &Owners, owner: &str) -> usize {
    owners.values().filter(|of| of.contains(owner)).count()
}

fn parse(text: &str) -> Owners {
    let mut owners = Owners::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("shared/shared-boxes/")) {
        let found = match line.split('/').collect::<Vec<_>>()[..] {
            ["user", user, owner] => Some((user, owner)),
            ["anyone" | "authenticated", owner] => Some(("", owner)),
            _ => None,
        };
        if let Some((user, owner)) = found {
            owners.entry(user.to_lowercase()).or_default().insert(owner.to_lowercase());
        }
    }
    owners
}

fn domain_of(login: &str) -> &str {
    login.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// With whom the folders at `home` are shared, as their files say. Makes nothing; a home that does not exist shares nothing.
pub fn shared_with(home: &Home) -> Result<Vec<Identifier>> {
    let _owner = home.owner.assume().map_err(|e| Error::io(&home.maildir, e))?;
    let mut found = Vec::new();
    for entry in walk(&home.maildir)? {
        let acl = super::read(&entry)?;
        found.extend(acl.entries.into_iter().filter(|entry| !entry.is_negative).map(|entry| entry.identifier));
    }
    Ok(found)
}

/// Directories at and below `root` that have a `dovecot-acl`, but for those of messages.
fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut next) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = next.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            // No folder of its owner's.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && dir != root => continue,
            Err(e) => return Err(Error::io(&dir, e)),
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == ACL_FILE {
                found.push(dir.clone());
            } else if !["cur", "new", "tmp"].iter().any(|m| name == *m) && entry.file_type().is_ok_and(|t| t.is_dir()) {
                next.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_by_those_they_share_with() {
        let dir = tempfile::tempdir().unwrap();
        let shares = Shares::new(dir.path().join("shared"));
        assert!(shares.owners("bob@demo.test", true).unwrap().is_empty() && !shares.file("demo.test").exists());
        let none = || Ok(Vec::new());
        shares.add("Alice@demo.test", &[Identifier::User("Bob@demo.test".into()), Identifier::Owner], none).unwrap();
        shares.add("carol@demo.test", &[Identifier::Anyone], none).unwrap();
        let owners = |login: &str, anyone| shares.owners(login, anyone).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(owners("bob@demo.test", true), ["alice@demo.test", "carol@demo.test"]);
        assert_eq!(owners("bob@demo.test", false), ["alice@demo.test"]);
        assert_eq!(owners("carol@demo.test", true), [""; 0], "not oneself");
        assert_eq!(owners("bob@other.test", true), [""; 0]);
        let text = fs::read_to_string(dir.path().join("shared/demo.test/shared-mailboxes")).unwrap();
        let want = "shared/shared-boxes/anyone/carol@demo.test\n1\n\
                    shared/shared-boxes/user/bob@demo.test/alice@demo.test\n1\n";
        assert_eq!(text, want);
    }

    #[test]
    fn who_listens_twice_is_raised_once() {
        let dir = tempfile::tempdir().unwrap();
        let shares = Shares::new(dir.path().join("shared"));
        let (one, other) = (crate::notice::Notice::new(), crate::notice::Notice::new());
        for _ in 0..3 {
            shares.listen(one.raiser());
            shares.listen(other.raiser());
        }
        assert_eq!(shares.listeners.lock().unwrap().len(), 2);
        shares.add("alice@demo.test", &[Identifier::User("bob@demo.test".into())], || Ok(Vec::new())).unwrap();
        assert!(one.take() && other.take());
        drop(other);
        shares.listen(one.raiser());
        assert_eq!(shares.listeners.lock().unwrap().len(), 1, "whose waiter is gone is forgotten");
    }

    #[test]
    fn one_owner_does_not_fill_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let shares = Shares::new(dir.path().join("shared"));
        let user = |n: usize| Identifier::User(format!("u{n}@demo.test"));
        let many: Vec<Identifier> = (0..MAX_OF_OWNER).map(user).collect();
        shares.add("carol@demo.test", &[user(7)], || panic!("few")).unwrap();
        shares.add("alice@demo.test", &many, || panic!("just enough")).unwrap();
        shares.add("alice@demo.test", &many[..1], || panic!("nothing new")).unwrap();
        let all = || Ok(many.clone());
        assert!(matches!(shares.add("alice@demo.test", &[user(MAX_OF_OWNER)], all), Err(Error::Limit(_))));
        let with = |login: &str| shares.owners(login, false).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(with("u3@demo.test"), ["alice@demo.test"], "nothing is lost by it");
        shares.add("alice@demo.test", &[user(MAX_OF_OWNER)], || Ok(vec![user(3)])).unwrap();
        assert_eq!(with("u3@demo.test"), ["alice@demo.test"]);
        assert_eq!(with(&format!("u{MAX_OF_OWNER}@demo.test")), ["alice@demo.test"]);
        assert_eq!(with("u4@demo.test"), [""; 0], "shared no more, so forgotten");
        assert_eq!(with("u7@demo.test"), ["carol@demo.test"]);
    }
}
