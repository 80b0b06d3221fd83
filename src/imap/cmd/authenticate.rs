//! AUTHENTICATE (RFC 3501 6.2.2) with an initial response (SASL-IR, RFC 4959).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::login::Attempt;
use crate::account::{Login, Mechanism, Refusal, Step};
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let args = &mut call.args;
    args.space()?;
    let wanted = args.atom()?;
    let initial = match args.peek() {
        None => None,
        Some(_) => {
            args.space()?;
            Some(args.run(|b| b.is_ascii_graphic(), "expected an initial response in base64")?)
        }
    };
    args.end()?;
    let initial = match initial {
        None => None,
        // RFC 4959 section 3: a single `=` is an empty response.
        Some(b"=") => Some(Vec::new()),
        Some(text) => Some(STANDARD.decode(text).map_err(|_| Reply::bad("Initial response is not base64"))?),
    };
    let context = call.context;
    let (accounts, peer, tls) = (&context.shared.accounts, &context.peer, context.tls.as_ref());
    let offered = Login::mechanisms(accounts, peer, tls);
    let Some(mechanism) = Mechanism::from_name(wanted).filter(|wanted| offered.contains(wanted)) else {
        return Err(if offered.is_empty() {
            Reply::no("PRIVACYREQUIRED", "Start TLS before you log in")
        } else {
            Reply::no("CANNOT", "This mechanism is not offered")
        });
    };
    let (login, step) = Login::sasl(accounts, peer, tls, mechanism, initial.as_deref());
    Ok(Begun::Job(Box::new(Attempt { login, first: Some(step) })))
}

/// Base64 of a challenge.
pub(super) fn encode(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}

/// The client's answer to a challenge.
pub(super) fn respond(login: &mut Login, line: &[u8]) -> Step {
    // RFC 3501 6.2.2: a line with a single `*` cancels.
    if line == b"*" {
        return login.cancel();
    }
    match STANDARD.decode(line) {
        Ok(response) => login.respond(&response),
        Err(_) => Step::Refused(Refusal::Malformed),
    }
}
