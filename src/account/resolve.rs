//! Where mail for an address goes.
//!
//! Owns the walk from an address through aliases to users. In this order, the first that is there counts: an alias of
//! the whole local part, a user of that name; the same for the part before the `+`; the catch-all `@`; and for
//! `postmaster` somebody who will read it (below). An alias that lists its own name means the user of that name, so
//! that `alice: alice, bob` sends bob a copy, also where a way leads back from bob to alice. An alias of a user's name
//! that does not list it takes his mail away; he may still send as himself ([`Accounts::may_send_as`]). Members that do not exist are logged and passed over as long as there are
//! others: mail to a team must not bounce because somebody left.
//!
//! Refuses, as [`Resolved::Broken`]: loops, more than [`MAX_NESTING`] aliases in a row, more than [`MAX_EXPANSION`]
//! addresses, members elsewhere (nothing can be sent there yet), and an alias that leads to nobody at all. A file in
//! doubt makes the whole answer [`Resolved::TryLater`], so that no member is lost. A line of `aliases` or `users` whose name cannot
//! be read puts only those names in doubt that are neither an alias nor a user: they wait, and the catch-all does not
//! get their mail; all others are served as usual.
//!
//! **Postmaster** is always accepted, in any case of letters (RFC 5321 4.5.1). If neither an alias nor a user nor a
//! catch-all takes it, it goes to the configured account, else to the first user of the domain, else to the first user
//! of the first domain. The bare `postmaster` without a domain is that of the default domain, or of the first one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::served::{Domain, Found};
use super::watched::{AGAIN, USUAL};
use super::{Accounts, Recipient, Resolved, User, domain};
use crate::mail::address::Address;

/// Aliases that lead to one another in a row.
pub const MAX_NESTING: usize = 16;
/// Addresses looked at for one address.
pub const MAX_EXPANSION: usize = 1000;

/// Why a walk ends early.
enum Stop {
    Broken(String),
    Later(String),
}

struct Walk<'a> {
    accounts: &'a Accounts,
    age: Duration,
    found: Vec<Recipient>,
    /// Logins of those.
    logins: HashSet<String>,
    /// Aliases that led here, and whether each lists its own name.
    path: Vec<(Address, bool)>,
    looked_at: usize,
    missing: Vec<String>,
}

/// See [`Accounts::resolve`].
pub fn resolve(accounts: &Accounts, address: &Address) -> Resolved {
    match walk(accounts, address, USUAL) {
        local @ Resolved::Local(_) => local,
        // Before somebody is told so, the files are looked at once more: an admin may have added him just now.
        _ => walk(accounts, address, AGAIN),
    }
}

fn walk(accounts: &Accounts, address: &Address, age: Duration) -> Resolved {
    let (served, trouble) = accounts.domains.all(age);
    let home = if address.domain.is_empty() && is_postmaster(&address.local) {
        accounts
            .default_domain(age)
            .and_then(|name| served.get(&name).cloned())
            .or_else(|| served.values().next().cloned())
    } else {
        served.get(&domain::canonical(&address.domain)).cloned()
    };
    let Some(home) = home else {
        return trouble.map_or(Resolved::Remote, Resolved::TryLater);
    };
    let mut walk = Walk {
        accounts,
        age,
        found: Vec::new(),
        logins: HashSet::new(),
        path: Vec::new(),
        looked_at: 0,
        missing: Vec::new(),
    };
    match walk.address(&home, &address.local, None) {
        Err(Stop::Broken(text)) => Resolved::Broken(text),
        Err(Stop::Later(text)) => Resolved::TryLater(text),
        Ok(false) => Resolved::Unknown,
        Ok(true) if walk.found.is_empty() => {
            Resolved::Broken(format!("the alias leads to nobody who exists: {}", walk.missing.join(", ")))
        }
        Ok(true) => {
            if !walk.missing.is_empty() {
                tracing::warn!(%address, missing = %walk.missing.join(", "), "alias has members who do not exist");
            }
            Resolved::Local(walk.found)
        }
    }
}

impl Walk<'_> {
    /// Collect who gets mail for `local` of `home`. False if there is no such address.
    fn address(&mut self, home: &Arc<Domain>, local: &str, detail: Option<&str>) -> Result<bool, Stop> {
        self.looked_at += 1;
        if self.looked_at > MAX_EXPANSION {
            return Err(Stop::Broken(format!("alias leads to more than {MAX_EXPANSION} addresses")));
        }
        if self.name(home, local, detail)? {
            return Ok(true);
        }
        let whole = Address { local: local.to_owned(), domain: home.name.clone() };
        let split = self.accounts.settings.delimiter.and_then(|c| {
            let (base, detail) = whole.split_detail(c);
            (base != local).then(|| (base.to_owned(), detail.map(ToOwned::to_owned)))
        });
        if let Some((base, own)) = &split
            && self.name(home, base, own.as_deref().or(detail))?
        {
            return Ok(true);
        }
        let is_postmaster = is_postmaster(split.as_ref().map_or(local, |(base, _)| base));
        let doubt = home.alias_in_doubt(self.age).or_else(|| home.user_in_doubt(self.age));
        if let (Some(reason), false) = (doubt, is_postmaster) {
            return Err(Stop::Later(reason));
        }
        if self.alias(home, "", None)? {
            return Ok(true);
        }
        if is_postmaster {
            let user = self.postmaster(home)?;
            self.add(user, None);
            return Ok(true);
        }
        Ok(false)
    }

    /// An alias or a user of exactly this name.
    fn name(&mut self, home: &Arc<Domain>, local: &str, detail: Option<&str>) -> Result<bool, Stop> {
        if self.alias(home, local, detail)? {
            return Ok(true);
        }
        match home.named_user(local, self.age) {
            Found::Yes(account) => {
                self.add(account.user.clone(), detail);
                Ok(true)
            }
            Found::No => Ok(false),
            Found::Later(reason) => Err(Stop::Later(reason)),
        }
    }

    /// Follow the alias of this name, if there is one; the empty name is the catch-all.
    fn alias(&mut self, home: &Arc<Domain>, local: &str, detail: Option<&str>) -> Result<bool, Stop> {
        let here = Address { local: local.to_lowercase(), domain: home.name.clone() };
        if self.path.last().is_some_and(|(last, _)| *last == here) {
            // It lists its own name: the user is meant.
            return Ok(false);
        }
        let alias = match home.alias(local, self.age) {
            Found::Yes(alias) => alias,
            Found::No => return Ok(false),
            Found::Later(reason) => return Err(Stop::Later(reason)),
        };
        if let Some(since) = self.path.iter().position(|(passed, _)| *passed == here) {
            if self.path[since..].iter().any(|(_, keeps)| *keeps) {
                // "bob: bob, team" and "team: alice, bob": it ends in his mailbox, and all others are being looked at.
                return Ok(true);
            }
            let names: Vec<String> = self.path.iter().map(|(passed, _)| passed).chain([&here]).map(shown).collect();
            return Err(Stop::Broken(format!("alias loop: {}", names.join(" -> "))));
        }
        if self.path.len() >= MAX_NESTING {
            return Err(Stop::Broken(format!("more than {MAX_NESTING} aliases lead to one another")));
        }
        let keeps = alias.lists_itself();
        self.path.push((here, keeps));
        for member in &alias.members {
            self.member(member, detail)?;
        }
        self.path.pop();
        Ok(true)
    }

    fn member(&mut self, member: &Address, detail: Option<&str>) -> Result<(), Stop> {
        let (served, trouble) = self.accounts.domains.all(self.age);
        match (served.get(&member.domain), trouble) {
            (Some(home), _) => {
                if !self.address(home, &member.local, detail)? {
                    self.missing.push(member.to_string());
                }
                Ok(())
            }
            (None, Some(reason)) => Err(Stop::Later(reason)),
            (None, None) => Err(Stop::Broken(format!(
                "an alias leads to {member}, and mail cannot be sent on to other domains by this server"
            ))),
        }
    }

    /// Who reads mail for the postmaster if nobody was named in the files.
    fn postmaster(&self, home: &Arc<Domain>) -> Result<Arc<User>, Stop> {
        let (served, _) = self.accounts.domains.all(self.age);
        if let Some(configured) = &self.accounts.settings.postmaster {
            let (local, at) = configured.rsplit_once('@').unwrap_or((configured, &home.name));
            match served.get(&domain::canonical(at)).map(|domain| domain.user(local, self.age)) {
                Some(Found::Yes(account)) => return Ok(account.user.clone()),
                Some(Found::Later(reason)) => return Err(Stop::Later(reason)),
                Some(Found::No) | None => {
                    tracing::warn!(account = %configured, "the configured postmaster is not a user here");
                }
            }
        }
        let first = |domain: &Arc<Domain>| domain.users(self.age).into_iter().next();
        let reader = first(home).or_else(|| served.values().find_map(first));
        reader
            .map(|account| account.user.clone())
            .ok_or_else(|| Stop::Later("there is no user to be postmaster".into()))
    }

    fn add(&mut self, user: Arc<User>, detail: Option<&str>) {
        if self.logins.insert(user.login.clone()) {
            let detail = detail.filter(|_| self.accounts.settings.detail).map(ToOwned::to_owned);
            self.found.push(Recipient { user, detail });
        }
    }
}

/// The catch-all is written as in the file.
fn shown(address: &Address) -> String {
    if address.local.is_empty() { format!("@{}", address.domain) } else { address.to_string() }
}

fn is_postmaster(local: &str) -> bool {
    local.eq_ignore_ascii_case("postmaster")
}

#[cfg(test)]
mod tests;
