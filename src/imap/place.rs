//! From a mailbox name to the account and folder that it names, and what the user may do there (RFC 4314).
//!
//! The user's own folders have plain names. What other users of the domain share with him is below a prefix (RFC 2342's other users'
//! namespace), as Dovecot's `prefix = shared/%%u/` has it: `shared/bob@example.org/Work` is bob's folder Work. An owner who shares nothing with this
//! user is not even looked for, and a folder of the user's own that is called so is reached as long as no such owner has its name; but none is made there
//! (NO [CANNOT]), for NAMESPACE tells that these names are not his.
//!
//! One rule for all commands: without the right that a command needs, a user who may see the folder (`l`) is told NO [NOPERM]; any other is
//! told what he would be told if it did not exist (RFC 4314 section 6).
//!
//! Sharing works among virtual users only. The mail of a system user belongs to him, and the kernel keeps every other user's thread out
//! of it; to share it the server would have to act as one user on behalf of another, which is what that separation is there to prevent.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::context::{Access, Context, State};
use super::pattern::Pattern;
use super::reply::Reply;
use crate::account::User;
use crate::store::acl::shares::Shares;
use crate::store::acl::{Rights, Who};
use crate::store::{Error, Folder, Mailbox, Name, Owner, Store};

/// Owners whose folders one LIST looks at: each costs a directory to read and a file a folder.
const MAX_OWNERS: usize = 200;

/// How users share folders.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// Who shares with whom.
    pub shares: Arc<Shares>,
    /// First level of the names of other users' folders.
    pub prefix: String,
    /// Do `anyone` and `authenticated` in an ACL count?
    pub anyone: bool,
}

/// A folder that a name leads to.
pub struct Place {
    /// The account.
    pub store: Arc<Store>,
    /// The folder's name there.
    pub name: Name,
    /// Login of the owner, if that is somebody else.
    pub owner: Option<String>,
    /// What this user may do.
    pub rights: Rights,
}

/// An account, and a name in it.
type Located = (Arc<Store>, Name, Option<String>);

impl Place {
    /// Open the folder.
    pub fn mailbox(&self) -> crate::store::Result<Arc<Mailbox>> {
        self.store.mailbox(&self.name)
    }

    /// Refuse unless the user has all of these rights.
    pub fn require(&self, wanted: Rights) -> Result<(), Reply> {
        if self.rights.has(wanted) { Ok(()) } else { Err(self.refusal()) }
    }

    /// Refuse unless the user has one of these rights.
    pub fn require_any(&self, wanted: Rights) -> Result<(), Reply> {
        if self.rights.has_any(wanted) { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(&self) -> Reply {
        // RFC 4314 section 6: as if it did not exist.
        if self.rights.has(Rights::LOOKUP) { no_permission() } else { Error::NotFound.into() }
    }
}

/// NO for who may know that the mailbox exists.
pub fn no_permission() -> Reply {
    Reply::no("NOPERM", "You have no right to do that here")
}

impl Context {
    /// How this user can share folders; `None` if he cannot.
    pub fn sharing(&self) -> Option<&Sharing> {
        let access = self.access().ok()?;
        let sharing = self.shared.settings.sharing.as_ref()?;
        (access.user.home.owner == Owner::Daemon).then_some(sharing)
    }

    /// The folder of an existing name. [`Error::NotFound`] also where the user has no right at all.
    pub fn place(&self, name: &Name) -> Result<Place, Error> {
        let (store, name, owner) = self.locate(name)?;
        let rights = self.rights(&store, &name, owner.as_deref())?;
        if rights.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Place { store, name, owner, rights })
    }

    /// As [`Context::place`], with all of these rights.
    pub fn place_with(&self, name: &Name, wanted: Rights) -> Result<Place, Reply> {
        let place = self.place(name)?;
        place.require(wanted)?;
        Ok(place)
    }

    /// As [`Context::place_with`], for the target of APPEND, COPY or MOVE (RFC 3501 6.3.11: a missing one may be created).
    pub fn target(&self, name: &Name, wanted: Rights) -> Result<Place, Reply> {
        self.renew_limits()?;
        let missing = |error| match error {
            // Where CREATE would refuse, it is not advised.
            Error::NotFound if self.is_in_namespace(name) && self.place_for_new(name).is_err() => error.into(),
            other => Reply::target(other),
        };
        let place = self.place(name).map_err(missing)?;
        match place.rights {
            rights if rights.has(wanted) => Ok(place),
            rights if rights.has(Rights::LOOKUP) => Err(no_permission()),
            _ => Err(missing(Error::NotFound)),
        }
    }

    /// Take the limits of the user's own account as they are now: they may have been changed while he was logged in.
    pub fn renew_limits(&self) -> Result<(), Reply> {
        let (access, accounts) = (self.access()?, &self.shared.accounts);
        // Who is not found now is dismissed elsewhere, or his line is in doubt: what was known of him stands.
        if let Some(user) = accounts.user(&access.user.login) {
            access.store.set_limits(accounts.quota(&user));
        }
        Ok(())
    }

    /// Where a new folder of this name goes, if the user may make one there: `k` on the nearest folder above that exists (RFC 4314
    /// section 4), or it is his own account.
    pub fn place_for_new(&self, name: &Name) -> Result<(Arc<Store>, Name, Option<String>), Reply> {
        let (store, name, owner) = match self.locate(name) {
            // The same answer for owners and folders that are there and that are not.
            Err(Error::NotFound) => return Err(no_permission()),
            other => other?,
        };
        if owner.is_none() && self.is_in_namespace(&name) {
            return Err(Reply::no("CANNOT", "Names that begin so are those of other users' mailboxes"));
        }
        for above in std::iter::successors(name.parent(), Name::parent) {
            match self.rights(&store, &above, owner.as_deref()) {
                Ok(rights) if rights.has(Rights::CREATE) => return Ok((store, name, owner)),
                Ok(_) => return Err(no_permission()),
                Err(Error::NotFound | Error::BadName(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if owner.is_some() { Err(no_permission()) } else { Ok((store, name, None)) }
    }

    /// Look again what the user may do in the mailbox that is open, if it is somebody else's: rights that were taken away are gone
    /// at once, and [`Rights::NONE`] is left where he may not read it any more. More rights than at SELECT do not make it READ-WRITE.
    pub fn renew_rights(&mut self) -> Result<(), Error> {
        let State::Selected(_, selected) = &self.state else { return Ok(()) };
        if !self.may_be_elsewhere(&selected.name) {
            return Ok(());
        }
        let rights = match self.place(&selected.name) {
            Ok(place) if place.rights.has(Rights::READ) => place.rights,
            Ok(_) | Err(Error::NotFound) => Rights::NONE,
            Err(error) => return Err(error),
        };
        if let State::Selected(_, selected) = &mut self.state {
            selected.rights = rights;
            selected.read_only |= !rights.has_any(Rights::CHANGING);
            selected.view.permit(rights);
        }
        Ok(())
    }

    /// May the user still read the mailbox that is open, if one is?
    pub fn may_read_selected(&self) -> bool {
        !matches!(&self.state, State::Selected(_, selected) if !selected.rights.has(Rights::READ))
    }

    /// Is the name below the prefix of other users' folders, of one who shares with this user?
    pub fn is_elsewhere(&self, name: &Name) -> bool {
        matches!(self.locate(name), Ok((_, _, Some(_))) | Err(_))
    }

    /// Has the name the form of another user's folder?
    pub fn may_be_elsewhere(&self, name: &Name) -> bool {
        self.sharing().is_some_and(|sharing| foreign(&sharing.prefix, name).is_some())
    }

    /// Is the name the prefix of other users' folders, or below it?
    fn is_in_namespace(&self, name: &Name) -> bool {
        self.sharing().is_some_and(|sharing| in_namespace(&sharing.prefix, name))
    }

    /// What other users share with this one, as far as he may see it, with the levels above; nothing if no pattern asks for it.
    pub fn shared_folders(&self, patterns: &[Pattern]) -> Result<Vec<Folder>, Error> {
        let (Some(sharing), Ok(access)) = (self.sharing(), self.access()) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let owners = sharing.shares.owners(&access.user.login, sharing.anyone)?;
        if owners.len() > MAX_OWNERS {
            tracing::warn!(
                user = access.user.login,
                owners = owners.len(),
                "too many share with this user: some are not listed"
            );
        }
        for owner in owners.iter().take(MAX_OWNERS) {
            let Some((store, _)) = self.owner(owner) else { continue };
            // What is wrong with somebody else's mail does not keep this user's from being listed.
            let folders = store.folders().unwrap_or_else(|error| {
                tracing::warn!(owner, %error, "shared folders of this user cannot be listed");
                Vec::new()
            });
            for folder in folders.into_iter().filter(|folder| folder.exists) {
                let Ok(shown) = Name::parse(&format!("{}/{owner}/{}", sharing.prefix, folder.name)) else { continue };
                let is_asked = || {
                    let mut levels = std::iter::successors(Some(shown.clone()), Name::parent);
                    levels.any(|level| patterns.iter().any(|pattern| pattern.matches(&level)))
                };
                // The ACL is read only of what can be listed.
                let rights = || match self.rights(&store, &folder.name, Some(owner)) {
                    Ok(rights) => rights,
                    Err(error) => {
                        // Deleted a moment ago, or it cannot be read.
                        tracing::debug!(owner, folder = %folder.name, %error, "a shared folder is not listed");
                        Rights::NONE
                    }
                };
                if is_asked() && rights().has(Rights::LOOKUP) {
                    found.push(Folder { name: shown, role: None, exists: true });
                }
            }
        }
        let listed: HashSet<&Name> = found.iter().map(|folder| &folder.name).collect();
        let above: BTreeSet<Name> =
            found.iter().flat_map(|folder| std::iter::successors(folder.name.parent(), Name::parent)).collect();
        let missing = above.into_iter().filter(|name| !listed.contains(name));
        let missing: Vec<Folder> = missing.map(|name| Folder { name, role: None, exists: false }).collect();
        found.extend(missing);
        Ok(found)
    }

    /// What this user may do with a folder of an account.
    fn rights(&self, store: &Store, name: &Name, owner: Option<&str>) -> Result<Rights, Error> {
        let login = self.access().map(|access| access.user.login.as_str()).unwrap_or_default();
        let anyone = self.sharing().is_some_and(|sharing| sharing.anyone);
        store.rights(name, &Who { login, is_owner: owner.is_none(), anyone })
    }

    fn locate(&self, name: &Name) -> Result<Located, Error> {
        let Ok(Access { store, user, .. }) = self.access() else { return Err(Error::NotFound) };
        if let Some((owner, rest)) = self.sharing().and_then(|sharing| foreign(&sharing.prefix, name)) {
            let sharing = self.sharing().ok_or(Error::NotFound)?;
            let owner = owner.to_lowercase();
            let shares = || sharing.shares.owners(&user.login, sharing.anyone);
            if owner != user.login.to_lowercase() && shares()?.contains(&owner) {
                let (store, _) = self.owner(&owner).ok_or(Error::NotFound)?;
                return Ok((store, Name::parse(rest)?, Some(owner)));
            }
            // A full address of somebody who shares nothing, or of nobody: one answer.
            if owner.contains('@') && !store.exists(name)? {
                return Err(Error::NotFound);
            }
        }
        Ok((Arc::clone(store), name.clone(), None))
    }

    /// Is there a mailbox, whatever this user may do with it? Nobody may be told who could not list it before.
    pub(super) fn is_there(&self, name: &Name) -> bool {
        self.locate(name).and_then(|(store, name, _)| store.exists(&name)).unwrap_or(false)
    }

    /// The accounts of these users who share with this one, as far as they are there.
    pub(super) fn owners(&self, logins: &BTreeSet<String>) -> impl Iterator<Item = (String, Arc<Store>)> {
        let find = |login: &String| Some((login.clone(), self.owner(login)?.0));
        logins.iter().take(MAX_OWNERS).filter_map(find)
    }

    /// The account of another virtual user of the same domain, if it is there.
    fn owner(&self, login: &str) -> Option<(Arc<Store>, Arc<User>)> {
        let user = self.shared.accounts.user(login)?;
        let domain = |login: &str| login.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        let own = &self.access().ok()?.user;
        if user.home.owner != Owner::Daemon || domain(&user.login) != domain(&own.login) {
            return None;
        }
        // Looking must not make a home.
        if !user.home.maildir.is_dir() {
            return None;
        }
        match self.shared.stores.open(&user.home) {
            Ok(store) => {
                store.set_limits(self.shared.accounts.quota(&user));
                Some((store, user))
            }
            Err(error) => {
                tracing::warn!(user = user.login, %error, "shared folders of this user cannot be opened");
                None
            }
        }
    }
}

fn in_namespace(prefix: &str, name: &Name) -> bool {
    name.as_str().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Owner and folder of a name below `prefix`.
fn foreign<'a>(prefix: &str, name: &'a Name) -> Option<(&'a str, &'a str)> {
    name.as_str().strip_prefix(prefix)?.strip_prefix('/')?.split_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others() {
        let parse = |text: &str| {
            let name = Name::parse(text).unwrap();
            foreign("shared", &name).map(|(owner, rest)| format!("{owner} {rest}"))
        };
        assert_eq!(parse("shared/bob@demo.test/Work/x").as_deref(), Some("bob@demo.test Work/x"));
        for own in ["shared", "shared/bob@demo.test", "sharedx/bob@demo.test/x", "Work/shared/a/b", "INBOX"] {
            assert_eq!(parse(own), None, "{own}");
        }
    }
}
