//! STARTTLS (RFC 3207).
//!
//! Everything said before the handshake could have been said by somebody in the middle. So what the client told us is
//! forgotten, and commands that were sent behind STARTTLS in clear (the injection published as CVE-2011-0411 and again in
//! 2021) end the session: an honest client waits for the 220.

use super::reply;
use super::session::{Smtp, Then};
use crate::wire::{Input, Out, Tls, Want};

/// STARTTLS, if there is a certificate and no TLS yet.
pub(super) fn starttls(session: &mut Smtp, _argument: &str) -> Then {
    if session.tls.is_some() {
        return Then::Reply(reply::TLS_ALREADY);
    }
    if !session.shared.settings.starttls {
        return Then::Reply(reply::NO_STARTTLS);
    }
    Then::Want(Want::StartTls)
}

/// Say 220 and begin, or refuse what was smuggled in.
pub(super) fn begin(session: &Smtp, input: &mut Input, out: &mut Out) -> Want {
    if !input.is_empty() {
        tracing::warn!(peer = %session.peer.remote, "commands were sent between STARTTLS and TLS");
        input.discard();
        reply::COMMANDS_BEFORE_TLS.write(out);
        return Want::Close;
    }
    reply::START_TLS.write(out);
    Want::StartTls
}

/// The handshake is done (RFC 3207 4.2: the state is that after the greeting).
pub(super) fn started(session: &mut Smtp, tls: Tls) {
    session.tls = Some(tls);
    session.hello = None;
    session.user = None;
    session.reset();
}
