//! Every mistake in the files of the domains, for `mailcote check` and for commands that have just changed one.
//!
//! Owns what can only be seen with all files read: aliases that lead nowhere, round in a circle, or where somebody hardly
//! wants them to. Everything else was found by whoever read the file. Changes nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::aliases::Alias;
use super::lines::Problem;
use super::served::{Domain, Found};
use super::watched::USUAL;
use super::{Accounts, Resolved, User, domain};
use crate::mail::address::Address;

/// What is wrong with a member.
struct Wrong {
    message: String,
    warning: bool,
    /// Not with itself, but where it leads.
    further: bool,
}

impl Accounts {
    /// Every mistake in every file: what cannot be read, and aliases that lead nowhere. Sorted by file and line.
    pub fn problems(&self) -> Vec<(PathBuf, Problem)> {
        let mut all = self.domains.problems();
        for domain in self.domains.all(Duration::ZERO).0.values() {
            all.extend(domain.problems(USUAL));
            for alias in domain.aliases(USUAL) {
                all.extend(
                    self.problems_of(domain, &alias).into_iter().map(|problem| (domain.aliases_file(), problem)),
                );
            }
        }
        if let (Some(masters), Some(file)) = (&self.masters, &self.settings.masters) {
            all.extend(masters.problems().into_iter().map(|problem| (file.clone(), problem)));
        }
        all.extend(self.shared_maildirs());
        all.sort();
        all
    }

    /// Users who would read each other's mail. Somebody who wrote the same place twice may mean it; nobody means it who wrote none.
    fn shared_maildirs(&self) -> Vec<(PathBuf, Problem)> {
        let mut all = Vec::new();
        let mut seen: HashMap<PathBuf, (String, bool)> = HashMap::new();
        for domain in self.domains.all(USUAL).0.values() {
            for account in domain.users(USUAL) {
                let User { login, home, .. } = &*account.user;
                let usual = self.settings.maildir.replace("{domain}", &domain.name).replace("{user}", account.name());
                let is_usual = home.maildir == Path::new(&usual);
                if let Some((other, other_is_usual)) = seen.get(&home.maildir) {
                    let place = home.maildir.display();
                    let problem =
                        Problem::whole(format!("{login} has the Maildir of {other}, and so all his mail: {place}"));
                    let problem = if is_usual && *other_is_usual { problem } else { problem.as_warning() };
                    all.push((domain.dir.join("users"), problem));
                } else {
                    seen.insert(home.maildir.clone(), (login.clone(), is_usual));
                }
            }
        }
        all
    }

    /// The targets of an alias that takes all mail of the user of the same name, who is not among them.
    pub fn taken_over(&self, address: &Address) -> Option<String> {
        let (served, _) = self.domains.all(USUAL);
        let domain = served.get(&domain::canonical(&address.domain))?;
        match (domain.user(&address.local, USUAL), domain.alias(&address.local, USUAL)) {
            (Found::Yes(_), Found::Yes(alias)) if !alias.lists_itself() => Some(members(&alias)),
            _ => None,
        }
    }

    fn problems_of(&self, domain: &Arc<Domain>, alias: &Alias) -> Vec<Problem> {
        let name = &alias.name;
        let itself = Address { local: name.clone(), domain: domain.name.clone() };
        let here = |message: String| Problem::placed((alias.lines.0, 1), message);
        let mut all = Vec::new();
        if let Some(members) = self.taken_over(&itself).filter(|_| !name.is_empty()) {
            all.push(
                here(format!(
                    "there is a user {name}, too: the alias takes his mail, which goes to {members} only; \
                     to keep a copy for him, write {name}: {name}, {members}"
                ))
                .as_warning(),
            );
        }
        if alias.lists_itself() && matches!(domain.user(name, USUAL), Found::No) {
            all.push(here(format!("alias loop: {name} lists itself, and there is no user {name}")));
        }
        let whole = if name.is_empty() { Resolved::Unknown } else { self.resolve(&itself) };
        let before = all.len();
        for (member, place) in alias.members.iter().zip(&alias.places) {
            let own = member.domain == domain.name && member.local.to_lowercase() == *name;
            let wrong = if own { None } else { self.wrong_with(member) };
            // What is wrong further on is said once, of the alias as a whole.
            let wrong = wrong.filter(|wrong| !(wrong.further && matches!(whole, Resolved::Broken(_))));
            all.extend(wrong.map(|Wrong { message, warning, .. }| {
                let problem = Problem::placed(*place, message);
                if warning { problem.as_warning() } else { problem }
            }));
        }
        if let (Resolved::Broken(text), true) = (whole, all.len() == before) {
            all.push(here(text));
        }
        all
    }

    /// What is wrong with a member of an alias.
    fn wrong_with(&self, member: &Address) -> Option<Wrong> {
        let wrong = |message, warning, further| Some(Wrong { message, warning, further });
        match self.resolve(member) {
            Resolved::Unknown => wrong(format!("{member} does not exist"), false, false),
            Resolved::Broken(text) => wrong(format!("{member}: {text}"), false, true),
            Resolved::Remote => wrong(
                format!(
                    "{member} is elsewhere, and mail cannot be sent on to other domains by this server yet: \
                     all mail to the alias is refused until then"
                ),
                false,
                false,
            ),
            Resolved::Local(_) if !self.is_named(member) => {
                wrong(format!("{member} is neither a user nor an alias; the catch-all gets its mail"), true, false)
            }
            Resolved::Local(_) | Resolved::TryLater(_) => None,
        }
    }

    /// Is there a user or an alias of this name, so that it is not the catch-all that takes its mail?
    fn is_named(&self, address: &Address) -> bool {
        let (served, _) = self.domains.all(USUAL);
        let Some(domain) = served.get(&address.domain) else { return false };
        let base = self.settings.delimiter.map_or(address.local.as_str(), |c| address.split_detail(c).0);
        base.eq_ignore_ascii_case("postmaster")
            || [address.local.as_str(), base].into_iter().any(|local| {
                !matches!(domain.user(local, USUAL), Found::No) || !matches!(domain.alias(local, USUAL), Found::No)
            })
    }
}

/// The members as somebody would write them in the file.
fn members(alias: &Alias) -> String {
    let shown = |member: &Address| {
        let whole = member.to_string();
        whole.strip_suffix(&format!("@{}", alias.domain)).map_or(whole.clone(), ToOwned::to_owned)
    };
    alias.members.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::support::place;

    const USERS: &str = "alice:{PLAIN}a\nbob:{PLAIN}b\ncarol:{PLAIN}c\n";

    /// What is wrong with these aliases, a line each, without the path.
    fn told(aliases: &str) -> Vec<String> {
        let place = place(&[("demo.test", USERS, aliases)], |_| {});
        place.accounts.problems().into_iter().map(|(_, problem)| problem.to_string()).collect()
    }

    #[test]
    fn aliases() {
        for (aliases, expected) in [
            ("team: alice, bob\n", &[][..]),
            ("bob: bob, alice\ncarol: carol, team\nteam: alice, carol\n", &[]),
            (
                "Bob: alice\n",
                &[
                    "1:1: warning: there is a user bob, too: the alias takes his mail, which goes to alice only; to keep a copy for him, write bob: bob, alice",
                ],
            ),
            (
                "team: alice,\n   nobody, x@far.test\n",
                &[
                    "2:4: nobody@demo.test does not exist",
                    "2:12: x@far.test is elsewhere, and mail cannot be sent on to other domains by this server yet: all mail to the alias is refused",
                ],
            ),
            ("a: b\nb: a\n", &["1:1: alias loop: a@demo.test -> b@demo.test -> a@demo.test", "2:1: alias loop: b@"]),
            ("a: b\nb: a\n@: alice\n", &["1:1: alias loop: a@", "2:1: alias loop: b@"]),
            ("sales: sales\n@: alice\n", &["1:1: alias loop: sales lists itself, and there is no user sales"]),
            (
                "team: alise\n@: alice\n",
                &["1:7: warning: alise@demo.test is neither a user nor an alias; the catch-all"],
            ),
            ("@: ghost\n", &["1:4: ghost@demo.test: the alias leads to nobody"]),
            ("team: alice bob\n", &["1:7: \"alice bob\" is not one address; is a comma missing: alice, bob?"]),
        ] {
            let told = told(aliases);
            assert_eq!(told.len(), expected.len(), "{aliases:?}: {told:#?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.starts_with(expected), "{aliases:?}: {told}\nis not\n{expected}");
            }
        }
    }

    #[test]
    fn users_with_one_maildir() {
        let one = "alice:{PLAIN}a\nbob:{PLAIN}b\n";
        let two = "alice:{PLAIN}x\ncarol:{PLAIN}c::::::mail=maildir:/mail/bob\n";
        for (maildir, expected) in [
            ("/mail/{domain}/{user}", &[][..]),
            (
                "/mail/{user}",
                &[
                    "alice@two.test has the Maildir of alice@one.test, and so all his mail: /mail/alice",
                    "warning: carol@two.test has the Maildir of bob@one.test, and so all his mail: /mail/bob",
                ],
            ),
        ] {
            let place =
                place(&[("one.test", one, ""), ("two.test", two, "")], |settings| settings.maildir = maildir.into());
            let told: Vec<_> = place.accounts.problems().into_iter().map(|(_, problem)| problem.to_string()).collect();
            assert_eq!(told, expected, "{maildir}");
        }
    }

    #[test]
    fn users_lines() {
        let place = place(&[("demo.test", "Bob:{PLAIN}b\nalice\nbob:{PLAIN}c\nBob:{PLAIN}d\n", "")], |_| {});
        let told: Vec<String> = place.accounts.problems().into_iter().map(|(_, problem)| problem.to_string()).collect();
        assert_eq!(
            told,
            [
                "2:6: line has no colon after the name; to lock the login, write \"alice:\"",
                "3:1: user bob has a line before, line 1 (Bob); the first one counts: names that differ in case only are one user",
                "4:1: user Bob has a line before, line 1 (Bob); the first one counts",
            ]
        );
    }
}
