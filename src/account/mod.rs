//! Who exists: domains, users, aliases, passwords.
//!
//! [`Accounts`] reads `domains/NAME/users` and `domains/NAME/aliases`, notices changes without a restart, resolves an
//! address to recipients, and finds the user of a login name. [`Login`] is one login attempt in progress, the same for
//! every protocol: it runs the SASL exchange, asks for slow work, slows down failures, and counts seats.
//!
//! | file | what is in it |
//! |---|---|
//! | `lines`, `users`, `aliases` | the grammar of the two files; used by the commands that write them, too |
//! | `domain` | domain names in the form in which they are compared |
//! | `watched`, `served`, `domains`, `system` | the files in memory, the domains made from them, users of the system |
//! | `resolve` | from an address to users |
//! | `problems` | every mistake in the files, for `mailcote check` |
//! | `overrides` | limits that were set over IMAP |
//! | `password` | schemes |
//! | `oauth` | tokens, and what an authorization server says of them |
//! | `login`, `step`, `scram`, `keyring`, `slow`, `remember`, `seats` | login attempts |
//!
//! Refuses to guess: while a file cannot be read, the last good content stands, and whoever is not in it is told to
//! come back later. Writes the secret of [`Settings::secret_file`], at first start, and limits into [`Settings::quota_file`].

pub mod aliases;
pub mod domain;
mod domains;
mod keyring;
mod lines;
mod login;
mod oauth;
mod overrides;
pub mod password;
mod problems;
mod remember;
mod resolve;
mod scram;
mod seats;
mod served;
mod slow;
mod step;
mod system;
pub mod users;
mod watched;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use ring::rand::{SecureRandom, SystemRandom};

pub use lines::Problem;
pub use login::Login;
pub use oauth::OAuth;
pub use resolve::{MAX_EXPANSION, MAX_NESTING};
pub use seats::Seat;
pub use step::{Mechanism, Refusal, Step};

use crate::fsio;
use crate::mail::address::Address;
use crate::store::quota::Limits;
use crate::store::{Home, Layout};
use crate::wire::{Network, Secret};
use domains::Domains;
use oauth::Introspection;
use overrides::Overrides;
use remember::Remembered;
use seats::Seats;
use served::{Account, Found, Masters};
use slow::Slow;
use watched::USUAL;

/// What stands between a user's name and the master user's who logs in for him.
const MASTER_SEPARATOR: char = '*';

/// Bytes of [`Settings::secret_file`]: a key for HMAC-SHA-256.
const SECRET_LEN: usize = 32;

/// How often it is looked whether users with open sessions were removed.
pub const DISMISSAL_CHECK: Duration = Duration::from_secs(1);

/// A user who may log in and gets mail.
#[derive(Debug)]
pub struct User {
    /// Full address: the name as the users file writes it, and the domain in canonical form: `alice@example.org`.
    pub login: String,
    /// Where the mail is.
    pub home: Home,
    /// How much mail there may be, as far as the user's line says.
    pub quota: Limits,
}

/// [`Resolved::TryLater`] of a name that is unknown while a line of the aliases file has no readable name. Was logged when the
/// file was read: whoever tries many names does not fill the log.
pub const ALIAS_IN_DOUBT: &str = "a line of the aliases file is broken";
/// The same of the users file.
pub const USER_IN_DOUBT: &str = "a line of the users file is broken";

/// Why nobody can be known. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that a setting names is not what it must be; trying again changes nothing.
    #[error("{0}: {1}")]
    Setting(&'static str, String),
    /// The system refused.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Where mail for an address goes.
#[derive(Debug)]
pub enum Resolved {
    /// To these users here; never empty, no user twice.
    Local(Vec<Recipient>),
    /// Not our domain.
    Remote,
    /// Our domain, nobody of that name: 550 5.1.1.
    Unknown,
    /// Alias loop, too many members, or members elsewhere: a permanent error of ours, 5.4.6 or 5.3.5; the text says
    /// which.
    Broken(String),
    /// The files cannot be read now: 451. The text is for the log.
    TryLater(String),
}

/// One local recipient of an address.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Who.
    pub user: Arc<User>,
    /// `+detail` of the address, if the setting is on: the folder to deliver to, if it exists.
    pub detail: Option<String>,
}

/// Are SCRAM mechanisms announced?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scram {
    /// When every password on file can be used with them (SCRAM-SHA-256 or PLAIN): clients choose the strongest
    /// mechanism, and one that cannot work for a user locks him out.
    #[default]
    Auto,
    /// Always; users with other schemes must choose another mechanism.
    Always,
    /// Never.
    Never,
}

/// What accounts are told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of domain directories: `/etc/mailcote/domains`.
    pub domains: PathBuf,
    /// Maildir of a user whose line names none; `{domain}` and `{user}` are filled in.
    pub maildir: String,
    /// Layout of trees whose line names none.
    pub layout: Layout,
    /// What stands between user and detail (`+`); none: addresses have no detail.
    pub delimiter: Option<char>,
    /// Deliver to the folder that the detail names, if it exists?
    pub detail: bool,
    /// Domain of login names and of the bare `postmaster` without one; otherwise the only domain there is.
    pub default_domain: Option<String>,
    /// Address that gets mail for a postmaster whom no file names; otherwise the first user of the domain.
    pub postmaster: Option<String>,
    /// Domains whose users are those of the system (getpwnam): mail in `~/Maildir`, files are theirs.
    pub system_domains: Vec<String>,
    /// Clients in these networks are never slowed; loopback never is.
    pub exempt: Vec<Network>,
    /// May a client on this machine log in without TLS?
    pub clear_on_loopback: bool,
    /// Connections one user may have at a time, over all protocols.
    pub max_seats: usize,
    /// Are SCRAM mechanisms announced?
    pub scram: Scram,
    /// Users who may log in as anybody, `user*master`, in a file like a users file; none: nobody may.
    pub masters: Option<PathBuf>,
    /// File of the limits that administrators set over IMAP; none: they cannot.
    pub quota_file: Option<PathBuf>,
    /// How tokens are checked; none: there are no logins by token.
    pub oauth: Option<OAuth>,
    /// 32 random bytes, made at first start, from which the salts of SCRAM for users without one come; if none, they
    /// change with every start.
    pub secret_file: Option<PathBuf>,
}

/// Everybody.
pub struct Accounts {
    settings: Settings,
    domains: Domains,
    /// Of [`Settings::secret_file`].
    secret: Secret,
    slow: Slow,
    remembered: Remembered,
    masters: Option<Masters>,
    overrides: Option<Overrides>,
    introspection: Option<Introspection>,
    seats: Arc<Seats>,
    /// Versions of the users files when it was last looked who is gone.
    checked: Mutex<Vec<(String, u64)>>,
}

impl Accounts {
    /// Read every domain. Files that are broken are logged, and their users are told to try later. Fails only if a
    /// secret can neither be read nor made.
    pub fn new(settings: Settings) -> Result<Accounts, Error> {
        let secret = match settings.secret_file.as_deref() {
            Some(file) => read_secret(file)?.map_or_else(|| make_secret(file), Ok)?,
            None => Secret::new(random()?),
        };
        let no_token = |e: io::Error| Error::Setting("oauth.secret", e.to_string());
        let accounts = Accounts {
            domains: Domains::new(settings.clone()),
            secret,
            slow: Slow::new(settings.exempt.clone()),
            remembered: Remembered::new(random()?),
            masters: settings.masters.clone().map(|file| Masters::new(file, &settings)),
            overrides: settings.quota_file.clone().map(Overrides::new),
            introspection: match settings.oauth.clone() {
                Some(oauth) => Some(Introspection::new(oauth, random()?).map_err(no_token)?),
                None => None,
            },
            seats: Seats::new(settings.max_seats),
            checked: Mutex::default(),
            settings,
        };
        accounts.reload();
        Ok(accounts)
    }

    /// Look at every file again now (SIGHUP).
    pub fn reload(&self) {
        self.domains.expire();
        for domain in self.domains.all(USUAL).0.values() {
            domain.problems(Duration::ZERO);
        }
    }

    /// Names of the domains we serve, in canonical form, sorted.
    pub fn domains(&self) -> Vec<String> {
        self.domains.all(USUAL).0.keys().cloned().collect()
    }

    /// Every user on file, for start-up checks and admin commands.
    pub fn users(&self) -> Vec<Arc<User>> {
        let (served, _) = self.domains.all(USUAL);
        served.values().flat_map(|domain| domain.users(USUAL)).map(|account| account.user.clone()).collect()
    }

    /// Where does mail for `address` go?
    pub fn resolve(&self, address: &Address) -> Resolved {
        resolve::resolve(self, address)
    }

    /// May `user` send mail as `sender`? As his own address, with +detail too, whoever gets its mail by an alias of the
    /// same name; and as every address whose mail he gets: aliases that lead to him or list him, and all of a domain
    /// whose catch-all he is. Not as the latter while the files that say so are in doubt.
    pub fn may_send_as(&self, user: &User, sender: &Address) -> bool {
        if self.is_own(user, sender) {
            return true;
        }
        match self.resolve(sender) {
            Resolved::Local(recipients) => recipients.iter().any(|recipient| recipient.user.login == user.login),
            _ => false,
        }
    }

    /// Is `address` the user's own, with or without +detail?
    fn is_own(&self, user: &User, address: &Address) -> bool {
        let Some((name, at)) = user.login.rsplit_once('@') else { return false };
        let base = self.settings.delimiter.map_or(address.local.as_str(), |c| address.split_detail(c).0);
        domain::canonical(&address.domain) == at
            && [address.local.as_str(), base].iter().any(|local| local.to_lowercase() == name.to_lowercase())
    }

    /// The domain of a name without one.
    fn default_domain(&self, age: Duration) -> Option<String> {
        if let Some(name) = &self.settings.default_domain {
            return Some(domain::canonical(name));
        }
        let (served, _) = self.domains.all(age);
        if served.len() == 1 { served.keys().next().cloned() } else { None }
    }

    /// The user of this login, a full address; also one whose password is locked.
    pub fn user(&self, login: &str) -> Option<Arc<User>> {
        match self.login_account_within(login, USUAL) {
            Found::Yes(account) => Some(account.user.clone()),
            Found::No | Found::Later(_) => None,
        }
    }

    /// How much mail this user may have: what an administrator set last over IMAP, else what his line said when he was looked up.
    pub fn quota(&self, user: &User) -> Limits {
        let set = self.overrides.as_ref().and_then(|overrides| overrides.find(&user.login));
        set.unwrap_or(user.quota)
    }

    /// Can limits be set here?
    pub fn sets_quota(&self) -> bool {
        self.overrides.is_some()
    }

    /// Set them: durably, and from the next look on.
    pub fn set_quota(&self, user: &User, limits: Limits) -> io::Result<()> {
        match &self.overrides {
            Some(overrides) => overrides.set(&user.login, limits),
            None => Err(io::Error::other("there is no file for limits")),
        }
    }

    /// Forget, durably, the limits that were set for logins (in lower case) that are gone.
    pub fn forget_quota(&self, is_gone: impl Fn(&str) -> bool) -> io::Result<()> {
        self.overrides.as_ref().map_or(Ok(()), |overrides| overrides.forget(is_gone))
    }

    /// The account of a login name: a full address, or a user alone where it is clear of which domain. As the files
    /// say at this moment, which costs a `stat` or two: a password that was changed counts from then on, and the old
    /// one does not.
    fn login_account(&self, name: &str) -> Found<Arc<Account>> {
        self.login_account_within(name, Duration::ZERO)
    }

    /// End the sessions of users who are not on file any more, or whose login was locked; where a master user became somebody, it is the
    /// master's login that counts. Called every [`DISMISSAL_CHECK`]; costs a `stat` a file while nothing has changed.
    /// Files in doubt dismiss nobody.
    pub fn dismiss_removed(&self) {
        let (served, _) = self.domains.all(USUAL);
        let of_masters = self.masters.iter().map(|masters| (String::new(), masters.version(USUAL)));
        let of_domains = served.iter().map(|(name, domain)| (name.clone(), domain.version(USUAL)));
        let versions: Vec<(String, u64)> = of_domains.chain(of_masters).collect();
        {
            let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
            if *checked == versions {
                return;
            }
            *checked = versions;
        }
        for (login, master) in self.seats.vouched() {
            let is_gone = |found: Found<Arc<Account>>, needs_password: bool| match found {
                Found::Yes(account) => needs_password && account.password.is_none(),
                Found::No => true,
                Found::Later(_) => false,
            };
            let user = is_gone(self.login_account(&login), master.is_none());
            if user || master.as_ref().is_some_and(|name| is_gone(self.master(name), true)) {
                let sessions = self.seats.dismiss(&login, master.as_deref());
                tracing::info!(login, master, sessions, "removed or locked while logged in: the sessions are ended");
            }
        }
    }

    /// The account as it is on file now, if whoever vouched for it (a master user, else the user himself) may still log in
    /// with the password that he had in `account` or `master`.
    fn still(&self, account: &Account, master: Option<&Account>) -> Found<Arc<Account>> {
        let now = match self.login_account(&account.user.login) {
            Found::Yes(now) => now,
            other => return other,
        };
        let vouches = match master {
            None => now.has_password_of(account),
            Some(before) => match self.master(before.name()) {
                Found::Yes(master) => master.has_password_of(before),
                Found::No => false,
                Found::Later(reason) => return Found::Later(reason),
            },
        };
        if vouches { Found::Yes(now) } else { Found::No }
    }

    fn login_account_within(&self, name: &str, age: Duration) -> Found<Arc<Account>> {
        let (served, trouble) = self.domains.all(age);
        let (local, at) = match name.rsplit_once('@') {
            Some((local, at)) => (local, Some(domain::canonical(at))),
            None => (name, self.default_domain(age)),
        };
        match (at.and_then(|at| served.get(&at)), trouble) {
            (Some(domain), _) => domain.user(local, age),
            (None, Some(reason)) => Found::Later(reason),
            (None, None) => Found::No,
        }
    }

    /// A login name taken apart: who, and the master user who wants to be him, where there are master users.
    fn split_master<'a>(&self, name: &'a str) -> (&'a str, Option<&'a str>) {
        match name.rsplit_once(MASTER_SEPARATOR).filter(|_| self.masters.is_some()) {
            Some((name, master)) => (name, Some(master)),
            None => (name, None),
        }
    }

    /// The master user of this name.
    fn master(&self, name: &str) -> Found<Arc<Account>> {
        self.masters.as_ref().map_or(Found::No, |masters| masters.find(name))
    }

    /// Somebody's password, always the same one for a name: a login of a user who does not exist is checked against it,
    /// so that the check costs what checks cost here.
    fn decoy(&self, name: &str) -> Option<password::Stored> {
        let (served, _) = self.domains.all(USUAL);
        let at = name.rsplit_once('@').map(|(_, at)| domain::canonical(at)).or_else(|| self.default_domain(USUAL));
        let home = at.and_then(|at| served.get(&at)).or_else(|| served.values().next())?;
        let tag = password::mac(self.secret.expose(), name.as_bytes());
        home.any_password(usize::from(u16::from_be_bytes([tag[0], tag[1]])), USUAL)
    }

    /// Can every user who has a password log in with SCRAM?
    fn all_know_scram(&self) -> bool {
        let (served, _) = self.domains.all(USUAL);
        let counts = served.values().map(|domain| domain.passwords(USUAL));
        let (passwords, scram) = counts.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
        passwords > 0 && passwords == scram
    }
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(bytes)
}

/// The secret of this installation ([`Settings::secret_file`]), if it is there.
///
/// # Errors
/// It is there and cannot be read, or is not what it must be.
pub fn read_secret(file: &Path) -> Result<Option<Secret>, Error> {
    let wrong =
        |what: &dyn std::fmt::Display| Err(Error::Setting("auth.secret", format!("{}: {what}", file.display())));
    match fs::read(file) {
        Ok(bytes) if bytes.len() == SECRET_LEN => Ok(Some(Secret::new(bytes))),
        Ok(_) => wrong(&format!("is not {SECRET_LEN} bytes long; remove it to have it made anew")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => wrong(&e),
    }
}

fn make_secret(file: &Path) -> Result<Secret, Error> {
    let bytes: [u8; SECRET_LEN] = random()?;
    fsio::replace(file, &bytes, 0o600)
        .map_err(|e| io::Error::new(e.kind(), format!("auth.secret: {}: {e}", file.display())))?;
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod support;
