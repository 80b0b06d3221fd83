//! One login attempt, the same for every protocol.
//!
//! ```text
//!   sasl(..), password(..)      Challenge -> line(..)             every step leads to another Step;
//!                               Pause     -> resumed()            Granted and Refused are the last
//!                               Work      -> answered(..)
//! ```
//!
//! Owns the mechanisms PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS, and that every failure looks alike. Unknown
//! user, wrong password, locked login, no password for this mechanism: each costs a check (of somebody else's password
//! if need be), each answer comes a whole number of [`TICK`]s after the client had said everything, each is
//! [`Refusal::Credentials`], and the reason stands in our log only. Who failed often waits before the check (`slow`). A
//! login that was right a short time ago costs no check and no wait (`remember`).
//!
//! A login by token (`bearer`) or by the client's certificate (`external`) costs no hash, but ends the same ways. The
//! name `user*master` is a master user's, with his own password, who becomes `user`; both names are logged.
//!
//! Refuses an authorization identity that is another user's, and a login during which the account or its password has
//! changed: files are looked at when it begins and again before it is granted. Leaves nothing on disk.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bearer::Token;

use super::keyring::{Keyring, Verdict};
use super::oauth::Bearer;
use super::scram::{Channel, Exchange};
use super::served::{Account, Found};
use super::step::{Mechanism, Refusal, Step};
use super::{Accounts, MASTER_SEPARATOR, Scram, domain};
use crate::notice::Raiser;
use crate::wire::{Answer, Peer, Secret, Tls, Work, sasl};

mod bearer;
mod by_password;
mod by_scram;
mod external;

/// A refusal comes this long, or a multiple of it, after the client had said everything. Longer than every check but a
/// very costly one on a busy machine; then the next multiple hides how long it took.
const TICK: Duration = Duration::from_millis(500);
/// Bytes in a login name: longer ones are nobody's.
const MAX_NAME: usize = 512;
/// Bytes of our part of a SCRAM nonce.
const NONCE: usize = 18;
/// What a password is checked against where no user has one.
const NOBODY: &str =
    "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0ISE$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// One login attempt.
pub struct Login {
    accounts: Arc<Accounts>,
    ip: IpAddr,
    /// Raised if the user is removed while he is logged in.
    dismissal: Raiser,
    /// Name of the mechanism, for the log.
    by: &'static str,
    /// The name that the client gave, when it did.
    name: String,
    /// Was the name a master user's for somebody?
    is_master: bool,
    /// That master user, if there is one.
    master: Option<Arc<Account>>,
    began: Instant,
    state: State,
}

enum State {
    /// PLAIN: the one message.
    Plain,
    /// LOGIN: the name, then the password.
    LoginName,
    LoginPassword,
    /// SCRAM: the client's first message, its last, and its empty answer to ours.
    ScramFirst(Channel),
    ScramLast(Exchange, Option<Arc<Account>>, Arc<Keyring>),
    ScramEnd(Arc<Account>),
    /// OAUTHBEARER or XOAUTH2: the one message, and the host that the client asked TLS for.
    Bearer(Bearer, Option<String>),
    /// Waiting before the question whose a token is.
    HeldToken(Token),
    /// The authorization server is asked.
    Asking(Token),
    /// The client was told why; whatever it answers, it is over.
    Denied,
    /// EXTERNAL: the one message; the addresses of the client's certificate.
    External(Vec<String>),
    /// Waiting before the check; how long the attempt took so far.
    Held(Check, Duration),
    /// On the pool; what is remembered if it is right.
    Checking(Option<Arc<Account>>, Option<Key>),
    /// Waiting before the refusal.
    Failing,
    Done,
}

/// What is to be checked on the pool, and who is in if it is right.
struct Check {
    account: Option<Arc<Account>>,
    key: Option<Key>,
    work: Work,
}

/// Under which a login is remembered: version of the file with the password, name, password.
struct Key(u64, String, Secret);

impl Login {
    /// Mechanisms to announce to this peer: none in clear off loopback; -PLUS only with an exporter. Empty means that
    /// USER, PASS and LOGIN are not allowed either.
    pub fn mechanisms(accounts: &Accounts, peer: &Peer, tls: Option<&Tls>) -> Vec<Mechanism> {
        let settings = &accounts.settings;
        if tls.is_none() && !(settings.clear_on_loopback && peer.is_loopback()) {
            return Vec::new();
        }
        let scram = match settings.scram {
            Scram::Auto => accounts.all_know_scram(),
            Scram::Always => true,
            Scram::Never => false,
        };
        let by_token = accounts.introspection.is_some();
        let certified = tls.is_some_and(|tls| !tls.client.is_empty());
        let plus = scram && tls.is_some_and(|tls| tls.exporter.is_some());
        let allowed = |mechanism| match mechanism {
            Mechanism::ScramSha256Plus => plus,
            Mechanism::ScramSha256 => scram,
            Mechanism::Plain | Mechanism::Login => true,
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => by_token,
            Mechanism::External => certified,
        };
        Mechanism::TABLE.iter().map(|row| row.0).filter(|mechanism| allowed(*mechanism)).collect()
    }

    /// Begin with a mechanism from the list of [`Login::mechanisms`], with the initial response if the client sent one
    /// (already base64-decoded; `=` is empty).
    pub fn sasl(
        accounts: &Arc<Accounts>,
        peer: &Peer,
        tls: Option<&Tls>,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> (Login, Step) {
        let offered = Self::mechanisms(accounts, peer, tls);
        let mut login = Self::new(accounts, peer, mechanism.name());
        if !offered.contains(&mechanism) {
            return (login, Step::Refused(Refusal::Malformed));
        }
        let channel = |plus| Channel {
            plus,
            offered: offered.contains(&Mechanism::ScramSha256Plus),
            exporter: tls.and_then(|tls| tls.exporter),
        };
        login.state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::OAuthBearer => State::Bearer(Bearer::OAuthBearer, tls.and_then(|tls| tls.server_name.clone())),
            Mechanism::XOAuth2 => State::Bearer(Bearer::XOAuth2, tls.and_then(|tls| tls.server_name.clone())),
            Mechanism::External => State::External(tls.map(|tls| tls.client.clone()).unwrap_or_default()),
            Mechanism::ScramSha256 => State::ScramFirst(channel(false)),
            Mechanism::ScramSha256Plus => State::ScramFirst(channel(true)),
        };
        let step = match (initial, mechanism) {
            (Some(message), _) => login.respond(message),
            (None, Mechanism::Login) => Step::Challenge(b"Username:".to_vec()),
            (None, _) => Step::Challenge(Vec::new()),
        };
        (login, step)
    }

    /// USER/PASS and LOGIN.
    pub fn password(accounts: &Arc<Accounts>, peer: &Peer, name: &str, password: Secret) -> (Login, Step) {
        let mut login = Self::new(accounts, peer, "password");
        let step = login.check_password(name, "", password);
        (login, step)
    }

    fn new(accounts: &Arc<Accounts>, peer: &Peer, by: &'static str) -> Login {
        let ip = peer.remote.ip();
        Login {
            accounts: accounts.clone(),
            ip,
            dismissal: peer.dismissal.clone(),
            by,
            name: String::new(),
            is_master: false,
            master: None,
            began: Instant::now(),
            state: State::Done,
        }
    }

    /// The master user who was let in as somebody else, once somebody is let in.
    pub fn master(&self) -> Option<&str> {
        let name = self.is_master.then(|| self.name.rsplit_once(MASTER_SEPARATOR))?;
        name.map(|(_, master)| master)
    }

    /// The client's line behind a challenge: base64 of its answer, or `*`.
    pub fn line(&mut self, line: &[u8]) -> Step {
        if matches!(self.state, State::Denied) {
            // RFC 7628 3.2.3: %x01 or an abort; neither can change anything.
            return self.end_denied();
        }
        match sasl::response(line) {
            sasl::Response::Data(message) => self.respond(&message),
            sasl::Response::Cancel => self.cancel(),
            sasl::Response::Malformed => Step::Refused(Refusal::Malformed),
        }
    }

    /// The client's answer to a challenge, base64-decoded.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Plain => self.plain(response),
            State::LoginName => match std::str::from_utf8(response) {
                Ok(name) if !name.is_empty() && name.len() <= MAX_NAME => {
                    self.name = name.to_owned();
                    self.state = State::LoginPassword;
                    Step::Challenge(b"Password:".to_vec())
                }
                _ => Step::Refused(Refusal::Malformed),
            },
            State::LoginPassword => {
                let name = std::mem::take(&mut self.name);
                self.check_password(&name, "", Secret::new(response))
            }
            State::ScramFirst(channel) => self.scram_first(response, &channel),
            State::ScramLast(exchange, account, keyring) => self.scram_last(response, exchange, account, keyring),
            State::Bearer(kind, server_name) => self.bearer(kind, server_name.as_deref(), response),
            State::External(addresses) => self.external(&addresses, response),
            State::Denied => self.end_denied(),
            State::ScramEnd(account) if response.is_empty() => self.grant(&account),
            _ => Step::Refused(Refusal::Malformed),
        }
    }

    /// The client sent `*` (RFC 4954 4, RFC 3501 6.2.2, RFC 5034 4).
    pub fn cancel(&mut self) -> Step {
        self.state = State::Done;
        Step::Refused(Refusal::Cancelled)
    }

    /// The answer of the work that was asked for.
    pub fn answered(&mut self, answer: Answer) -> Step {
        let (account, key) = match std::mem::replace(&mut self.state, State::Done) {
            State::Checking(account, key) => (account, key),
            State::Asking(token) => return self.told(&token, answer),
            _ => return Step::Refused(Refusal::Unavailable),
        };
        // Work that panicked has another answer; then nobody is let in.
        let verdict = answer.downcast::<Verdict>().map_or(Verdict::Wrong, |verdict| *verdict);
        let Some(account) = account else { return self.fail("no such user, or no password for this mechanism") };
        match verdict {
            Verdict::Wrong => self.fail("wrong password"),
            Verdict::Right => {
                if let Some(Key(version, name, password)) = key {
                    self.accounts.remembered.add(version, &name, &password, Instant::now());
                }
                self.grant(&account)
            }
            Verdict::RightWith(message) => {
                self.state = State::ScramEnd(account);
                Step::Challenge(message)
            }
        }
    }

    /// The pause that was asked for is over.
    pub fn resumed(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Held(check, spent) => {
                // The pause is not part of what is made equal.
                self.began = Instant::now().checked_sub(spent).unwrap_or(self.began);
                self.check(check)
            }
            State::HeldToken(token) => self.ask(token),
            _ => Step::Refused(Refusal::Credentials),
        }
    }

    /// Note the name in the one form in which it is counted and looked for.
    fn called(&mut self, name: &str) {
        self.began = Instant::now();
        let (local, at) = match name.rsplit_once('@') {
            Some((local, at)) => (local, Some(domain::canonical(at))),
            None => (name, self.accounts.default_domain(super::USUAL)),
        };
        self.name = match at {
            Some(at) => format!("{}@{at}", local.to_lowercase()),
            None => local.to_lowercase(),
        };
        // What is left is still nobody's; the tables of failures and the log keep no more of it.
        if let Some(end) = (MAX_NAME + 1..self.name.len()).find(|at| self.name.is_char_boundary(*at)) {
            self.name.truncate(end);
        }
    }

    /// The account that the client named, if it may act as `authzid`.
    fn find(&self, authzid: &str) -> Result<Option<Arc<Account>>, Step> {
        if self.name.len() > MAX_NAME {
            return Ok(None);
        }
        let account = match self.accounts.login_account(&self.name) {
            Found::Yes(account) => account,
            Found::No => return Ok(None),
            Found::Later(reason) => {
                tracing::warn!(client = %self.ip, login = ?self.name, %reason, "login cannot be checked now");
                return Err(Step::Refused(Refusal::Unavailable));
            }
        };
        Ok(Some(account).filter(|account| self.may_act_as(account, authzid)))
    }

    /// Nobody acts as another user.
    fn may_act_as(&self, account: &Account, authzid: &str) -> bool {
        authzid.is_empty()
            || matches!(self.accounts.login_account(authzid), Found::Yes(other) if other.user.login == account.user.login)
    }

    /// The name whose password is guessed, as failures are counted: for `user*master` it is `*master` whoever the user is, or each user
    /// would give new guesses at one password.
    fn counted(&self) -> &str {
        match self.name.rfind(MASTER_SEPARATOR).filter(|_| self.is_master) {
            Some(at) => &self.name[at..],
            None => &self.name,
        }
    }

    fn hold(&mut self, check: Check) -> Step {
        let pause = self.accounts.slow.pause(self.ip, self.counted(), Instant::now());
        if pause.is_zero() {
            return self.check(check);
        }
        self.state = State::Held(check, self.began.elapsed());
        Step::Pause(pause)
    }

    fn check(&mut self, check: Check) -> Step {
        // Somebody whose login is locked is checked like everybody, and is not let in; a master user is.
        let account = check.account.filter(|account| account.password.is_some() || self.is_master);
        self.state = State::Checking(account, check.key);
        Step::Work(check.work)
    }

    fn grant(&mut self, account: &Account) -> Step {
        let login = &account.user.login;
        let master = self.master.clone();
        let name = master.as_deref().map(Account::name);
        let Some(seat) = self.accounts.seats.take(login, name, self.dismissal.clone()) else {
            self.accounts.slow.succeeded(self.counted());
            tracing::info!(client = %self.ip, login, by = self.by, "login refused: too many connections");
            return Step::Refused(Refusal::TooMany);
        };
        // The check took time, and a client may let any amount pass before its last line. With the seat taken: what changes
        // after this look is seen by who dismisses.
        match self.accounts.still(account, master.as_deref()) {
            Found::Yes(now) => {
                self.accounts.slow.succeeded(self.counted());
                if let Some(master) = name {
                    tracing::info!(client = %self.ip, login, master, by = self.by, "logged in as master");
                } else {
                    tracing::info!(client = %self.ip, login, by = self.by, "logged in");
                }
                Step::Granted(now.user.clone(), seat)
            }
            Found::No => self.fail("the user, or the password, was changed or removed meanwhile"),
            Found::Later(reason) => {
                tracing::warn!(client = %self.ip, login, %reason, "login cannot be checked now");
                Step::Refused(Refusal::Unavailable)
            }
        }
    }

    fn fail(&mut self, reason: &str) -> Step {
        let now = Instant::now();
        self.failed(reason, now);
        self.state = State::Failing;
        Step::Pause(until_tick(now.saturating_duration_since(self.began)))
    }

    fn failed(&self, reason: &str, now: Instant) {
        tracing::info!(client = %self.ip, login = ?self.name, by = self.by, reason, "login failed");
        self.accounts.slow.failed(self.ip, self.counted(), now);
    }

    /// The failure was counted when the client was told.
    fn end_denied(&mut self) -> Step {
        self.state = State::Failing;
        Step::Pause(until_tick(self.began.elapsed()))
    }
}

/// What is missing to the next multiple of [`TICK`].
fn until_tick(spent: Duration) -> Duration {
    let tick = TICK.as_nanos();
    let over = spent.as_nanos() % tick;
    Duration::from_nanos(u64::try_from(tick - over).unwrap_or(0))
}

#[cfg(test)]
mod tests;
