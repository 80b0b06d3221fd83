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
                      CONDSTORE QRESYNC STATUS=SIZE SAVEDATE OBJECTID PREVIEW UIDONLY";

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
