//! OAUTHBEARER (RFC 7628) and XOAUTH2: a login by token.
//!
//! The token's owner is asked for at the authorization server, or known from a short time ago. A token that is worth
//! nothing is answered with the reason as JSON; whatever the client says then ends the exchange. It is counted as a
//! failure before that, since who guesses does not wait for the end.

use std::time::Instant;

use super::{Login, State};
use crate::account::oauth::{Bearer, Claim, Denial, Judgement};
use crate::account::step::{Refusal, Step};
use crate::wire::{Answer, Asked};

/// A token on its way.
pub(super) struct Token {
    pub kind: Bearer,
    token: String,
    /// Who the client wants to be; empty: the token's owner.
    user: String,
}

impl Login {
    /// The client's message.
    pub(super) fn bearer(&mut self, kind: Bearer, server_name: Option<&str>, message: &[u8]) -> Step {
        let Some(claim) = Claim::parse(kind, message) else { return Step::Refused(Refusal::Malformed) };
        self.called(&claim.user);
        // RFC 7628 3.2: what is known from elsewhere MUST match. The port is not: it may be forwarded.
        let elsewhere =
            claim.host.as_deref().zip(server_name).is_some_and(|(host, name)| !host.eq_ignore_ascii_case(name));
        let Some(token) = claim.token().filter(|_| !elsewhere) else {
            return self.deny(
                kind,
                Denial::Request,
                if elsewhere { "meant for another host" } else { "no bearer token" },
            );
        };
        let asks = Token { kind, token: token.to_owned(), user: claim.user.clone() };
        let known = self.accounts.introspection.as_ref().and_then(|server| server.knows(token, Instant::now()));
        if let Some(owner) = known {
            return self.owned(&asks, &owner);
        }
        let pause = self.accounts.slow.pause(self.ip, &self.name, Instant::now());
        if pause.is_zero() {
            return self.ask(asks);
        }
        self.state = State::HeldToken(asks);
        Step::Pause(pause)
    }

    /// Ask whose it is.
    pub(super) fn ask(&mut self, token: Token) -> Step {
        let Some(server) = &self.accounts.introspection else { return Step::Refused(Refusal::Unavailable) };
        let question = server.question(&token.token);
        self.state = State::Asking(token);
        Step::Ask(question)
    }

    /// The authorization server has answered, or not.
    pub(super) fn told(&mut self, token: &Token, answer: Answer) -> Step {
        let asked = answer.downcast::<Asked>().map_or_else(|_| Asked::Failed("no answer".into()), |asked| *asked);
        let Some(server) = &self.accounts.introspection else { return Step::Refused(Refusal::Unavailable) };
        match server.judge(&token.token, &asked, Instant::now()) {
            Judgement::Belongs(owner) => self.owned(token, &owner),
            Judgement::Denied(denial, reason) => self.deny(token.kind, denial, &reason),
            Judgement::Unknown(reason) => {
                tracing::warn!(client = %self.ip, by = self.by, %reason, "token cannot be checked now");
                Step::Refused(Refusal::Unavailable)
            }
        }
    }

    /// The token is good, and `owner`'s.
    fn owned(&mut self, token: &Token, owner: &str) -> Step {
        self.called(owner);
        match self.find(&token.user) {
            Err(step) => step,
            Ok(Some(account)) if account.password.is_some() => self.grant(&account),
            Ok(Some(_)) => self.deny(token.kind, Denial::Token, "the login is locked"),
            Ok(None) => {
                self.deny(token.kind, Denial::Token, "the token's owner is no user here, or not whom the client named")
            }
        }
    }

    fn deny(&mut self, kind: Bearer, denial: Denial, reason: &str) -> Step {
        let now = Instant::now();
        self.failed(reason, now);
        let Some(server) = &self.accounts.introspection else { return Step::Refused(Refusal::Credentials) };
        self.state = State::Denied;
        Step::Challenge(server.challenge(kind, denial))
    }
}
