//! A domain we serve, with its users and aliases.
//!
//! Owns the tables made from `domains/NAME/users` and `domains/NAME/aliases`. Every question is answered with yes, no,
//! or [`Found::Later`]: a file in doubt never makes somebody unknown.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::aliases::{self, Alias};
use super::lines::{Problem, lines};
use super::password::{self, Stored};
use super::users::{self, Line, Parsed};
use super::watched::{Known, Vanished, Watched};
use super::{ALIAS_IN_DOUBT, Settings, USER_IN_DOUBT, User, domain, system};
use crate::store::quota::Limits;
use crate::store::{Home, Layout, Owner};

mod masters;

pub use masters::Masters;

/// The answer to "is there such a one".
pub enum Found<T> {
    Yes(T),
    No,
    /// Cannot be said now; why, for the log.
    Later(String),
}

/// A user with what his line says.
#[derive(Debug)]
pub struct Account {
    /// Who he is to everybody else.
    pub user: Arc<User>,
    /// His password; `None` if the login is locked.
    pub password: Option<Stored>,
    /// Changes whenever the users file says something else.
    pub version: u64,
}

impl Account {
    /// The name without the domain.
    pub fn name(&self) -> &str {
        self.user.login.rsplit_once('@').map_or("", |(name, _)| name)
    }

    /// Is the password that was right for `before` still the one to log in with?
    pub fn has_password_of(&self, before: &Account) -> bool {
        self.password.is_some() && (self.version == before.version || self.password == before.password)
    }
}

/// Everybody in a users file.
pub struct UserTable {
    by_name: HashMap<String, Entry>,
    /// Keys in the order of the file.
    order: Vec<String>,
    /// A line is broken and nobody knows whose it is.
    nameless: bool,
    /// Users with a password, and how many of these can be used with SCRAM.
    passwords: (usize, usize),
    /// See [`Account::version`].
    version: u64,
    /// Of the file.
    digest: [u8; 32],
    problems: Vec<Problem>,
}

#[derive(Clone)]
enum Entry {
    Good(Arc<Account>),
    Broken,
}

struct AliasTable {
    by_name: HashMap<String, Option<Arc<Alias>>>,
    /// See [`Domain::alias_in_doubt`].
    nameless: bool,
    problems: Vec<Problem>,
}

/// How the users of a domain are made from their lines.
#[derive(Clone)]
struct Making {
    domain: String,
    maildir: String,
    layout: Layout,
    /// Asks for users of the system, if this domain's are.
    system: Option<Lookup>,
}

/// What finds a user of the system: [`system::lookup`], except in tests.
type Lookup = fn(&str) -> Result<Option<system::Known>, String>;

/// One domain.
pub struct Domain {
    /// Canonical name.
    pub name: String,
    /// Where its files are.
    pub dir: PathBuf,
    making: Making,
    users: Watched<UserTable>,
    aliases: Watched<AliasTable>,
}

impl Domain {
    /// The domain whose files are in `dir`.
    pub fn new(name: String, dir: PathBuf, settings: &Settings) -> Domain {
        let system = settings.system_domains.iter().any(|system| domain::canonical(system) == name);
        Self::with_lookup(name, dir, settings, system.then_some(system::lookup as Lookup))
    }

    fn with_lookup(name: String, dir: PathBuf, settings: &Settings, system: Option<Lookup>) -> Domain {
        let making =
            Making { domain: name.clone(), maildir: settings.maildir.clone(), layout: settings.layout, system };
        let (for_users, for_aliases) = (making.clone(), name.clone());
        Domain {
            users: Watched::new(dir.join("users"), Vanished::Keep, move |bytes, before| {
                UserTable::read(bytes, before, &for_users)
            }),
            aliases: Watched::new(dir.join("aliases"), Vanished::Empty, move |bytes, before| {
                AliasTable::read(bytes, before, &for_aliases)
            }),
            name,
            dir,
            making,
        }
    }

    /// The user of this name, in any case. Somebody unknown may be in a line that cannot be read.
    pub fn user(&self, local: &str, age: Duration) -> Found<Arc<Account>> {
        match (self.named_user(local, age), self.user_in_doubt(age)) {
            (Found::No, Some(reason)) => Found::Later(reason),
            (found, _) => found,
        }
    }

    /// The user whose line can be read and has this name, in any case: see [`Domain::user_in_doubt`].
    pub fn named_user(&self, local: &str, age: Duration) -> Found<Arc<Account>> {
        let Known { value, trouble } = self.users.get(age);
        let Some(table) = value else { return Found::Later(trouble.unwrap_or_default()) };
        match (table.by_name.get(&local.to_lowercase()), self.making.system) {
            (Some(Entry::Good(account)), Some(lookup)) => with_home(account, lookup),
            (Some(Entry::Good(account)), None) => Found::Yes(account.clone()),
            (Some(Entry::Broken), _) => Found::Later(format!("the line of {local} in the users file is broken")),
            (None, Some(lookup)) => self.system_user(local, lookup, trouble),
            (None, None) => trouble.map_or(Found::No, Found::Later),
        }
    }

    /// Why a name that is no user's may be one's all the same: a line of the users file whose name cannot be read.
    pub fn user_in_doubt(&self, age: Duration) -> Option<String> {
        let nameless = self.users.get(age).value.is_some_and(|table| table.nameless);
        nameless.then(|| USER_IN_DOUBT.to_owned())
    }

    /// A system user without a line gets mail and cannot log in.
    fn system_user(&self, local: &str, lookup: Lookup, trouble: Option<String>) -> Found<Arc<Account>> {
        let name = local.to_lowercase();
        if users::name(&name, &self.name).is_err() {
            return Found::No;
        }
        match (lookup(&name), trouble) {
            (Ok(Some(known)), _) => {
                let login = format!("{}@{}", known.name, self.name);
                let home = Home { maildir: known.home.join("Maildir"), layout: self.making.layout, owner: known.owner };
                Found::Yes(Arc::new(Account {
                    user: Arc::new(User { login, home, quota: Limits::default() }),
                    password: None,
                    version: 0,
                }))
            }
            (Ok(None), None) => Found::No,
            (Ok(None), Some(reason)) | (Err(reason), _) => Found::Later(reason),
        }
    }

    /// The alias of this name, in any case; the empty name is the catch-all. A line whose name cannot be read hides none that
    /// can: see [`Domain::alias_in_doubt`].
    pub fn alias(&self, local: &str, age: Duration) -> Found<Arc<Alias>> {
        let Known { value, trouble } = self.aliases.get(age);
        let Some(table) = value else { return Found::Later(trouble.unwrap_or_default()) };
        match table.by_name.get(&local.to_lowercase()) {
            Some(Some(alias)) => Found::Yes(alias.clone()),
            Some(None) => Found::Later(format!("the alias {local:?} is broken")),
            None => trouble.map_or(Found::No, Found::Later),
        }
    }

    /// Why a name that is neither an alias nor a user may be one all the same: a line of the aliases file whose name cannot be read.
    pub fn alias_in_doubt(&self, age: Duration) -> Option<String> {
        let nameless = self.aliases.get(age).value.is_some_and(|table| table.nameless);
        nameless.then(|| ALIAS_IN_DOUBT.to_owned())
    }

    /// Everybody in the users file, in its order.
    pub fn users(&self, age: Duration) -> Vec<Arc<Account>> {
        let Some(table) = self.users.get(age).value else { return Vec::new() };
        let good = |key: &String| match table.by_name.get(key) {
            Some(Entry::Good(account)) => Some(account.clone()),
            _ => None,
        };
        let accounts = table.order.iter().filter_map(good);
        if let Some(lookup) = self.making.system {
            let known = accounts.filter_map(|account| match with_home(&account, lookup) {
                Found::Yes(account) => Some(account),
                Found::No | Found::Later(_) => None,
            });
            return known.collect();
        }
        accounts.collect()
    }

    /// Another number for every reading of the users file; 0 if it could never be read.
    pub fn version(&self, age: Duration) -> u64 {
        self.users.get(age).value.map_or(0, |table| table.version)
    }

    /// How many users have a password, and how many of these can be used with SCRAM.
    pub fn passwords(&self, age: Duration) -> (usize, usize) {
        self.users.get(age).value.map_or((0, 0), |table| table.passwords)
    }

    /// Some user with a password, the same one for the same number.
    pub fn any_password(&self, number: usize, age: Duration) -> Option<Stored> {
        let table = self.users.get(age).value?;
        let count = table.order.len();
        let keys = table.order.iter().cycle().skip(number % count.max(1)).take(count);
        keys.filter_map(|key| table.by_name.get(key)).find_map(|entry| match entry {
            Entry::Good(account) => account.password.clone(),
            Entry::Broken => None,
        })
    }

    /// Every alias.
    pub fn aliases(&self, age: Duration) -> Vec<Arc<Alias>> {
        let Some(table) = self.aliases.get(age).value else { return Vec::new() };
        let mut all: Vec<_> = table.by_name.values().flatten().cloned().collect();
        all.sort_by_key(|alias| alias.lines);
        all
    }

    /// Path of the aliases file.
    pub fn aliases_file(&self) -> PathBuf {
        self.dir.join("aliases")
    }

    /// Every mistake in the two files.
    pub fn problems(&self, age: Duration) -> Vec<(PathBuf, Problem)> {
        let users = self.users.get(age);
        let aliases = self.aliases.get(age);
        let mut all = Vec::new();
        let mut add = |name: &str, trouble: Option<String>, problems: Option<&Vec<Problem>>| {
            let whole = trouble.map(Problem::whole);
            all.extend(
                whole.into_iter().chain(problems.into_iter().flatten().cloned()).map(|p| (self.dir.join(name), p)),
            );
        };
        add("users", users.trouble, users.value.as_ref().map(|table| &table.problems));
        add("aliases", aliases.trouble, aliases.value.as_ref().map(|table| &table.problems));
        all
    }
}

/// A system user's line says what the password is; the system says where his home is, today.
fn with_home(account: &Arc<Account>, lookup: Lookup) -> Found<Arc<Account>> {
    let name = account.name();
    match lookup(name) {
        Ok(Some(known)) => {
            let mut home = account.user.home.clone();
            home.owner = known.owner;
            home.maildir = known.home.join(&home.maildir);
            let user = Arc::new(User { login: account.user.login.clone(), home, quota: account.user.quota });
            Found::Yes(Arc::new(Account { user, password: account.password.clone(), version: account.version }))
        }
        Ok(None) => Found::Later(format!("{name} is in the users file but not a user of this system")),
        Err(e) => Found::Later(e),
    }
}

impl UserTable {
    fn read(bytes: &[u8], before: Option<&UserTable>, making: &Making) -> UserTable {
        static VERSION: AtomicU64 = AtomicU64::new(1);
        let digest = password::sha256(bytes);
        // A file that was read again because it was young, and says the same, changes nothing.
        let same = before.filter(|before| before.digest == digest).map(|before| before.version);
        let version = same.unwrap_or_else(|| VERSION.fetch_add(1, Ordering::Relaxed));
        let mut table = UserTable {
            by_name: HashMap::new(),
            order: Vec::new(),
            nameless: false,
            passwords: (0, 0),
            version,
            digest,
            problems: Vec::new(),
        };
        let mut seen: HashMap<String, (String, usize)> = HashMap::new();
        for (number, text) in lines(bytes) {
            let parsed = match text {
                Ok(text) => users::parse(number, text, &making.domain),
                Err(problem) => Parsed::Broken(None, problem),
            };
            match parsed {
                Parsed::Nothing => {}
                Parsed::User(line) => {
                    let key = line.name.to_lowercase();
                    if let Some((earlier, at)) = seen.get(&key) {
                        let case =
                            if *earlier == line.name { "" } else { ": names that differ in case only are one user" };
                        let message = format!(
                            "user {} has a line before, line {at} ({earlier}); the first one counts{case}",
                            line.name
                        );
                        table.problems.push(Problem::placed((number, 1), message));
                        continue;
                    }
                    seen.insert(key.clone(), (line.name.clone(), number));
                    table.order.push(key.clone());
                    table.by_name.insert(key, Entry::Good(Arc::new(making.account(line, version))));
                }
                Parsed::Broken(name, problem) => {
                    table.problems.push(problem);
                    if let Some(name) = &name {
                        seen.entry(name.to_lowercase()).or_insert((name.clone(), number));
                    }
                    table.broken(name, before);
                }
            }
        }
        let good = table
            .by_name
            .values()
            .filter_map(|entry| if let Entry::Good(account) = entry { Some(account) } else { None });
        let passwords: Vec<&Stored> = good.filter_map(|account| account.password.as_ref()).collect();
        table.passwords = (passwords.len(), passwords.iter().filter(|password| password.knows_scram()).count());
        for problem in &table.problems {
            tracing::warn!(domain = %making.domain, place = %problem, "line of the users file is not understood");
        }
        table
    }

    /// The line of `name` is not understood: what it said before stands.
    fn broken(&mut self, name: Option<String>, before: Option<&UserTable>) {
        let Some(name) = name else {
            self.nameless = true;
            return;
        };
        let key = name.to_lowercase();
        if !self.by_name.contains_key(&key) {
            let entry = before.and_then(|table| table.by_name.get(&key)).cloned().unwrap_or(Entry::Broken);
            self.order.push(key.clone());
            self.by_name.insert(key, entry);
        }
    }
}

impl Making {
    fn account(&self, line: Line, version: u64) -> Account {
        let default = PathBuf::from(self.maildir.replace("{domain}", &self.domain).replace("{user}", &line.name));
        // Of a system user the paths stay relative: they are joined to the home that the system tells.
        let home = match &line.home {
            Some(home) => home.clone(),
            None if self.system.is_some() => PathBuf::new(),
            None => default.parent().map(Path::to_path_buf).unwrap_or_default(),
        };
        let (mail, layout) = line.mail.unzip();
        let maildir = match mail {
            Some(path) => match path.strip_prefix('~') {
                Some(rest) => home.join(rest.trim_start_matches('/')),
                None => PathBuf::from(path),
            },
            None if line.home.is_some() || self.system.is_some() => home.join("Maildir"),
            None => default,
        };
        let home = Home { maildir, layout: layout.flatten().unwrap_or(self.layout), owner: Owner::Daemon };
        let user = Arc::new(User {
            login: format!("{}@{}", line.name, self.domain),
            home,
            quota: Limits { storage: line.quota, messages: line.quota_messages },
        });
        Account { user, password: line.password, version }
    }
}

impl AliasTable {
    fn read(bytes: &[u8], before: Option<&AliasTable>, domain: &str) -> AliasTable {
        let parsed = aliases::parse(bytes, domain);
        for problem in &parsed.problems {
            tracing::warn!(domain, place = %problem, "line of the aliases file is not understood");
        }
        let mut by_name = HashMap::new();
        for alias in parsed.aliases {
            by_name.insert(alias.name.clone(), Some(Arc::new(alias)));
        }
        for name in parsed.broken {
            let old = before.and_then(|table| table.by_name.get(&name)).cloned().flatten();
            by_name.entry(name).or_insert(old);
        }
        AliasTable { by_name, nameless: parsed.nameless, problems: parsed.problems }
    }
}

#[cfg(test)]
mod tests {
    use super::super::support;
    use super::*;

    /// A system with one person, `ann`, who has a home.
    fn system(name: &str) -> Result<Option<system::Known>, String> {
        match name {
            "ann" => {
                let owner = Owner::User { uid: 1001, gid: 100 };
                Ok(Some(system::Known { name: "ann".into(), home: "/home/ann".into(), owner }))
            }
            "slow" => Err("LDAP does not answer".into()),
            _ => Ok(None),
        }
    }

    fn told(domain: &Domain, name: &str) -> String {
        match domain.user(name, Duration::ZERO) {
            Found::Yes(account) => {
                let Home { maildir, owner, .. } = &account.user.home;
                let login = if account.password.is_some() { "may log in" } else { "no login" };
                format!("{} {} {owner:?} {login}", account.user.login, maildir.display())
            }
            Found::No => "no".into(),
            Found::Later(why) => format!("later: {why}"),
        }
    }

    #[test]
    fn users_of_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let settings = support::settings(dir.path());
        let new = || Domain::with_lookup("demo.test".into(), dir.path().into(), &settings, Some(system));
        let users = |text: &str| std::fs::write(dir.path().join("users"), text).unwrap();
        assert_eq!(told(&new(), "Ann"), "ann@demo.test /home/ann/Maildir User { uid: 1001, gid: 100 } no login");
        assert_eq!(told(&new(), "bob"), "no");
        assert_eq!(told(&new(), "../ann"), "no");
        assert_eq!(told(&new(), "slow"), "later: LDAP does not answer");
        users("ann:{PLAIN}x\nbob:{PLAIN}x\n");
        assert_eq!(told(&new(), "ann"), "ann@demo.test /home/ann/Maildir User { uid: 1001, gid: 100 } may log in");
        assert!(told(&new(), "bob").starts_with("later: bob is in the users file but not"), "{}", told(&new(), "bob"));
        users("ann:{PLAIN}x::::::mail=maildir:~/.mail\n");
        assert!(told(&new(), "ann").contains(" /home/ann/.mail "), "{}", told(&new(), "ann"));
        users("ann:{PLAIN}x::::/srv/ann\n");
        assert!(told(&new(), "ann").contains(" /srv/ann/Maildir User { uid: 1001"), "{}", told(&new(), "ann"));
        assert_eq!(new().users(Duration::ZERO).len(), 1);
    }
}
