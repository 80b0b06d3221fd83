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
    if !session.shared.settings.starttls.is_on() {
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

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::testing::World;
    use super::*;
    use crate::wire::Event;

    /// A transcript cannot show this: what it sends may arrive in pieces, and then the session has answered already.
    #[test]
    fn injected_commands_end_the_session() {
        let world = World::new();
        for kind in [Kind::Mx, Kind::Lmtp] {
            let mut client = world.client(kind);
            let said = client.say("STARTTLS\r\nMAIL FROM:<a@x>\r\nRCPT TO:<bob@demo.test>\r\n");
            assert_eq!(said, "554 5.7.0 commands were sent between STARTTLS and TLS, closing\r\n");
            assert!(matches!(client.want, Want::Close));
            assert!(client.input.is_empty(), "nothing is left to be obeyed under TLS");
        }
    }

    #[test]
    fn everything_is_forgotten() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.say("MAIL FROM:<a@x>\r\nRCPT TO:<bob@demo.test>\r\n");
        assert!(client.say("STARTTLS\r\n").starts_with("220"));
        assert!(matches!(client.want, Want::StartTls));
        assert_eq!(client.step(Event::TlsStarted(Tls::default())), "");
        assert!(client.say("DATA\r\n").starts_with("503 5.5.1 say EHLO"));
        let hello = client.say("EHLO x\r\n");
        assert!(!hello.contains("STARTTLS"), "{hello}");
        assert!(client.say("DATA\r\n").starts_with("503 5.5.1 say MAIL"));
    }

    #[test]
    fn not_offered_without_a_certificate() {
        let world =
            World::with(super::super::Settings { starttls: crate::wire::Switch::default(), ..Default::default() });
        let mut client = world.client(Kind::Mx);
        assert!(!client.say("EHLO x\r\n").contains("STARTTLS"));
        assert!(client.say("STARTTLS\r\n").starts_with("502"));
    }
}
