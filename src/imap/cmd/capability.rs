//! CAPABILITY (RFC 3501 6.1.1): what we can do, as far as it holds for this client now.

use std::fmt::Write;

use crate::account::Login;
use crate::imap::context::{Context, State};
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

/// What every client can use, in the state that it belongs to. Before login too, since many clients ask only once.
const ALWAYS: &str = "IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE \
                      MULTIAPPEND CATENATE REPLACE BINARY UTF8=ACCEPT \
                      SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS XLIST \
                      METADATA METADATA-SERVER LIST-METADATA ACL RIGHTS=kxte LIST-MYRIGHTS \
                      QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX \
                      ESEARCH SEARCHRES WITHIN PARTIAL SORT SORT=DISPLAY ESORT \
                      THREAD=REFERENCES THREAD=REFS THREAD=ORDEREDSUBJECT I18NLEVEL=1 CONTEXT=SEARCH INPROGRESS \
                      CONDSTORE QRESYNC STATUS=SIZE SAVEDATE OBJECTID PREVIEW UIDONLY NOTIFY";

/// The capabilities that hold now, separated by spaces.
pub fn list(context: &Context) -> String {
    let mut all = String::from(ALWAYS);
    if !context.compressed {
        // RFC 4978: once is all that can be.
        all.push_str(" COMPRESS=DEFLATE");
    }
    // RFC 7889 section 2, the form that says that all mailboxes have the same limit.
    let _ = write!(all, " APPENDLIMIT={}", context.append_limit());
    all.push_str(&context.message_limits().capabilities());
    // RFC 7888 section 5: never both. What a stranger may send without being asked is bounded.
    all.push_str(if context.access().is_ok() { " LITERAL+" } else { " LITERAL-" });
    if !matches!(context.state, State::NotAuthenticated) {
        // RFC 9208 section 4.1.3, for who may do it.
        if context.access().is_ok_and(|access| access.master.is_some()) && context.shared.accounts.sets_quota() {
            all.push_str(" QUOTASET");
        }
        if !context.compressed {
            // RFC 8437 3 lets it be told after the login, where it can be used.
            all.push_str(" UNAUTHENTICATE");
        }
        return all;
    }
    if context.may_start_tls() {
        all.push_str(" STARTTLS");
    }
    for mechanism in Login::mechanisms(&context.shared.accounts, &context.peer, context.tls.as_ref()) {
        all.push_str(" AUTH=");
        all.push_str(mechanism.name());
    }
    if !context.may_send_password() {
        // RFC 3501 6.2.3: a client must not send LOGIN then.
        all.push_str(" LOGINDISABLED");
    }
    all
}

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    call.out.line(format!("* CAPABILITY {}", list(call.context)));
    Ok(Reply::ok("Capability completed").into())
}

#[cfg(test)]
mod tests {
    use crate::imap::message_limit::Limits;
    use crate::imap::testing::{Client, World};
    use crate::wire::{Event, Tls, Want};

    /// Every name that is there in every state: held here once more, so that none comes or goes unseen.
    const EVERYWHERE: &str = "
        IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE
        MULTIAPPEND CATENATE REPLACE BINARY UTF8=ACCEPT APPENDLIMIT=1000000
        SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS XLIST
        METADATA METADATA-SERVER LIST-METADATA
        ACL RIGHTS=kxte LIST-MYRIGHTS
        QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX
        ESEARCH SEARCHRES WITHIN PARTIAL CONTEXT=SEARCH INPROGRESS
        SORT SORT=DISPLAY ESORT THREAD=REFERENCES THREAD=REFS THREAD=ORDEREDSUBJECT I18NLEVEL=1
        CONDSTORE QRESYNC STATUS=SIZE SAVEDATE OBJECTID PREVIEW UIDONLY NOTIFY";

    /// The names, sorted; each once.
    fn sorted(names: &str) -> Vec<&str> {
        let mut names: Vec<&str> = names.split_whitespace().collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "a name is said twice");
        names
    }

    /// Exactly those everywhere and `more`.
    #[track_caller]
    fn has_exactly(client: &mut Client, more: &str) {
        let said = client.says("c capability\r\n");
        let names = said.strip_prefix("* CAPABILITY ").and_then(|rest| rest.split_once("\r\n")).unwrap().0;
        assert_eq!(sorted(names), sorted(&format!("{EVERYWHERE} {more}")));
    }

    fn login(client: &mut Client, user: &str, password: &str) {
        let said = client.says(&format!("a login \"{user}\" {password}\r\n"));
        assert!(said.starts_with("a OK [CAPABILITY IMAP4rev1 "), "{said}");
        let told = said.split_once(']').unwrap().0.trim_start_matches("a OK [CAPABILITY ").to_owned();
        let asked = client.says("c capability\r\n");
        assert_eq!(sorted(&told), sorted(asked.lines().next().unwrap().trim_start_matches("* CAPABILITY ")));
    }

    const CLEAR: &str = "LITERAL- COMPRESS=DEFLATE STARTTLS AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256";
    const INSIDE: &str = "LITERAL+ COMPRESS=DEFLATE UNAUTHENTICATE";

    #[test]
    fn in_clear_and_after_login() {
        let world = World::new();
        let mut client = world.client();
        has_exactly(&mut client, CLEAR);
        login(&mut client, "alice@demo.test", "alice-secret");
        has_exactly(&mut client, INSIDE);
        // RFC 9051 6.3.1: what is enabled changes nothing.
        let said = client.says("e enable IMAP4rev2 UTF8=ACCEPT QRESYNC UIDONLY METADATA\r\n");
        assert!(said.contains("e OK"), "{said}");
        client.says("s select inbox\r\n");
        has_exactly(&mut client, INSIDE);
        client.says("u unauthenticate\r\n");
        has_exactly(&mut client, CLEAR);
    }

    #[test]
    fn where_clear_logins_are_refused() {
        let world = World::with(|accounts, _| accounts.clear_on_loopback = false);
        has_exactly(&mut world.client(), "LITERAL- COMPRESS=DEFLATE STARTTLS LOGINDISABLED");
        let world = World::with(|accounts, settings| {
            (accounts.clear_on_loopback, settings.starttls) = (false, crate::wire::Switch::new(false));
        });
        has_exactly(&mut world.client(), "LITERAL- COMPRESS=DEFLATE LOGINDISABLED");
    }

    #[test]
    fn under_tls() {
        let world = World::with(|accounts, _| accounts.clear_on_loopback = false);
        let mut client = world.client();
        client.says("a starttls\r\n");
        assert!(matches!(client.want, Want::StartTls));
        client.happens(Event::TlsStarted(Tls::default()));
        client.want = Want::Input;
        has_exactly(&mut client, "LITERAL- COMPRESS=DEFLATE AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256");
        login(&mut client, "alice@demo.test", "alice-secret");
        has_exactly(&mut client, INSIDE);
    }

    /// RFC 4978 3: not twice; and a compressed connection cannot begin anew (RFC 8437).
    #[test]
    fn after_compress() {
        let world = World::new();
        let mut client = world.client();
        login(&mut client, "alice@demo.test", "alice-secret");
        client.says("b compress deflate\r\n");
        assert!(matches!(client.want, Want::Compress));
        client.happens(Event::Flushed);
        client.want = Want::Input;
        has_exactly(&mut client, "LITERAL+");
    }

    #[test]
    fn by_setting() {
        let world = World::with(|_, settings| settings.message_limits = Limits { messages: Some(1000), saves: None });
        has_exactly(&mut world.client(), &format!("{CLEAR} MESSAGELIMIT=1000"));
        let world =
            World::with(|_, settings| settings.message_limits = Limits { messages: Some(1000), saves: Some(5000) });
        let mut client = world.client();
        login(&mut client, "alice@demo.test", "alice-secret");
        has_exactly(&mut client, &format!("{INSIDE} MESSAGELIMIT=1000 SAVELIMIT=5000"));
    }

    #[test]
    fn for_a_master_user() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("masters"), "root:{PLAIN}master-secret\n").unwrap();
        for (quota_file, more) in [(Some(dir.path().join("quota")), " QUOTASET"), (None, "")] {
            let world = World::with(|accounts, _| {
                (accounts.masters, accounts.quota_file) = (Some(dir.path().join("masters")), quota_file);
            });
            let mut client = world.client();
            has_exactly(&mut client, CLEAR);
            login(&mut client, "alice@demo.test*root", "master-secret");
            has_exactly(&mut client, &format!("{INSIDE}{more}"));
            client.says("u unauthenticate\r\n");
            login(&mut client, "alice@demo.test", "alice-secret");
            has_exactly(&mut client, INSIDE);
        }
    }
}
