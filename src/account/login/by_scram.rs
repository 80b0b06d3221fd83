//! SCRAM-SHA-256 and -PLUS: the steps of a login whose messages are `scram`'s.
//!
//! Somebody who has no password for it, or does not exist, goes the same way with a salt made up for his name.

use std::sync::Arc;
use std::time::Instant;

use super::{Check, Login, NONCE, State};
use crate::account::keyring::Keyring;
use crate::account::password::{self, Keys, Stored};
use crate::account::scram::{Channel, Exchange, First, Wrong};
use crate::account::served::Account;
use crate::account::step::{Refusal, Step};
use crate::wire::Work;

impl Login {
    pub(super) fn scram_first(&mut self, message: &[u8], channel: &Channel) -> Step {
        let first = match First::parse(message, channel) {
            Ok(first) => first,
            Err(Wrong::Syntax) => return Step::Refused(Refusal::Malformed),
            Err(Wrong::Binding) => return self.fail("channel binding: the list of mechanisms was tampered with"),
        };
        self.called(&first.name);
        // Salt and iterations are those of the name, whoever it wants to act as: others would tell that there is such a user.
        let account = match self.find("") {
            Ok(account) => account,
            Err(step) => return step,
        };
        let mut random = [0; NONCE];
        if ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).is_err() {
            return Step::Refused(Refusal::Unavailable);
        }
        let stored = account.as_ref().and_then(|account| account.password.as_ref());
        let (keyring, salt, iterations) = match stored.map(|stored| (stored, stored.scram_keys())) {
            Some((_, Some(keys))) => (Keyring::Keys(keys.clone()), keys.salt().to_vec(), keys.iterations()),
            Some((stored, None)) if stored.knows_scram() => {
                let salt = self.made_up_salt();
                (Keyring::Password(stored.clone(), salt.clone()), salt, password::NEW_ITERATIONS)
            }
            _ => {
                let decoy = self.accounts.decoy(&self.name);
                let iterations =
                    decoy.as_ref().and_then(Stored::scram_keys).map_or(password::NEW_ITERATIONS, Keys::iterations);
                let salt = self.made_up_salt();
                (Keyring::Nobody(salt.clone()), salt, iterations)
            }
        };
        let account = account
            .filter(|account| !matches!(keyring, Keyring::Nobody(_)) && self.may_act_as(account, &first.authzid));
        let (exchange, message) = Exchange::begin(first, &random, &salt, iterations.get());
        self.state = State::ScramLast(exchange, account, Arc::new(keyring));
        Step::Challenge(message)
    }

    pub(super) fn scram_last(
        &mut self,
        message: &[u8],
        exchange: Exchange,
        account: Option<Arc<Account>>,
        keyring: Arc<Keyring>,
    ) -> Step {
        self.began = Instant::now();
        match exchange.finish(message) {
            Err(Wrong::Syntax) => Step::Refused(Refusal::Malformed),
            Err(Wrong::Binding) => self.fail("nonce or channel binding do not fit"),
            Ok(proof) => {
                let work: Work = Box::new(move || Box::new(keyring.verdict(&proof)));
                self.hold(Check { account, key: None, work })
            }
        }
    }

    /// A salt like that of any user, always the same for a name.
    fn made_up_salt(&self) -> Vec<u8> {
        let tag = password::mac(self.accounts.secret.expose(), format!("salt {}", self.name).as_bytes());
        tag[..password::SALT_LEN].to_vec()
    }
}
