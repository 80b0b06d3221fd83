//! EXTERNAL (RFC 4422 appendix A): the login is the address in the client's certificate, which TLS has verified.

use std::time::Instant;

use super::{Login, State};
use crate::account::served::Found;
use crate::account::step::{Refusal, Step};

impl Login {
    /// The client's message: whom it wants to be, or nothing; `addresses` are those of its certificate.
    pub(super) fn external(&mut self, addresses: &[String], message: &[u8]) -> Step {
        let wanted = match std::str::from_utf8(message) {
            Ok(wanted) if !wanted.contains('\0') => wanted,
            _ => return Step::Refused(Refusal::Malformed),
        };
        self.called(if wanted.is_empty() { addresses.first().map_or("", String::as_str) } else { wanted });
        self.began = Instant::now();
        for address in addresses {
            match self.accounts.login_account(address) {
                // Without a wish it is the first address that is somebody's.
                Found::Yes(account) if account.password.is_some() && self.may_act_as(&account, wanted) => {
                    return self.grant(&account);
                }
                Found::Yes(_) | Found::No => {}
                Found::Later(reason) => {
                    tracing::warn!(client = %self.ip, login = ?self.name, %reason, "login cannot be checked now");
                    self.state = State::Done;
                    return Step::Refused(Refusal::Unavailable);
                }
            }
        }
        self.fail("the certificate's addresses are no user here, or not whom the client named")
    }
}
