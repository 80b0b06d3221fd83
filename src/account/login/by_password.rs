//! Logins with a password as it is: LOGIN of IMAP, USER and PASS, the mechanisms PLAIN and LOGIN; also for `user*master`.

use std::time::Instant;

use super::{Check, Key, Login, MAX_NAME, NOBODY};
use crate::account::keyring::Verdict;
use crate::account::password::Stored;
use crate::account::served::{Account, Found};
use crate::account::step::{Refusal, Step};
use crate::wire::{Secret, Work};

impl Login {
    /// RFC 4616 2: `[authzid] NUL authcid NUL passwd`.
    pub(super) fn plain(&mut self, message: &[u8]) -> Step {
        let mut parts = message.split(|byte| *byte == 0).map(std::str::from_utf8);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(authzid)), Some(Ok(name)), Some(Ok(password)), None) if !name.is_empty() => {
                self.check_password(name, authzid, Secret::new(password))
            }
            _ => Step::Refused(Refusal::Malformed),
        }
    }

    pub(super) fn check_password(&mut self, name: &str, authzid: &str, password: Secret) -> Step {
        let (name, master) = self.accounts.split_master(name);
        self.called(name);
        let mut account = match self.find(authzid) {
            Ok(account) => account,
            Err(step) => return step,
        };
        // Whose password it has to be.
        let mut checked = account.clone();
        if let Some(master) = master {
            checked = match self.accounts.master(master) {
                Found::Yes(master) => Some(master).filter(|master| master.password.is_some()),
                Found::No => None,
                Found::Later(reason) => {
                    tracing::warn!(client = %self.ip, login = ?self.name, %reason, "master user cannot be checked now");
                    return Step::Refused(Refusal::Unavailable);
                }
            };
            account = account.filter(|_| checked.is_some());
            self.master.clone_from(&checked);
            self.name = format!("{}*{}", self.name, master.to_lowercase().chars().take(MAX_NAME).collect::<String>());
            self.is_master = true;
        }
        let key = |checked: &Account, account: &Account| {
            let master = if self.is_master { format!("*{}", checked.user.login) } else { String::new() };
            Key(checked.version, format!("{}{master}", account.user.login), password.clone())
        };
        let key = checked.as_ref().zip(account.as_ref()).map(|(checked, account)| key(checked, account));
        if let (Some(Key(version, name, password)), Some(account)) = (&key, &account)
            && self.accounts.remembered.knows(*version, name, password, Instant::now())
        {
            return self.grant(account);
        }
        let stored = checked.and_then(|checked| checked.password.clone());
        let against = stored.or_else(|| self.accounts.decoy(&self.name)).or_else(|| Stored::parse(NOBODY).ok());
        let given = password;
        let work: Work = Box::new(move || {
            let right = against.is_some_and(|stored| stored.verify(&given));
            Box::new(if right { Verdict::Right } else { Verdict::Wrong })
        });
        self.hold(Check { account, key, work })
    }
}
