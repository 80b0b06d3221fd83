//! LOGIN (RFC 3501 6.2.3), and what it shares with AUTHENTICATE: an attempt, and what being let in means.
//!
//! `account` logs every success and failure; nothing is logged here.

use std::sync::Arc;

use super::capability;
use crate::account::{Login, Refusal, Seat, Step, User};
use crate::imap::context::{Access, Context, State};
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::reply::{AUTHENTICATION_FAILED, Reply};
use crate::wire::{Out, Secret, sasl};

/// Where no TLS can be begun.
const NO_PRIVACY: &str = "Logins need TLS, which is not available here";

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let args = &mut call.args;
    args.space()?;
    let user = args.astring()?;
    args.space()?;
    let password = Secret::new(args.astring()?);
    args.end()?;
    if !call.context.may_send_password() {
        // RFC 5530 PRIVACYREQUIRED. It went over the wire in clear already, but it is not even looked at.
        return Err(privacy_required(call.context));
    }
    // A name that is not UTF-8 is nobody's; it goes the way of every wrong name.
    let user = String::from_utf8_lossy(&user);
    let (login, step) = Login::password(&call.context.shared.accounts, &call.context.peer, &user, password);
    Ok(Begun::Job(Box::new(Attempt { login, first: Some(step) })))
}

/// A login attempt, by LOGIN or AUTHENTICATE.
pub(super) struct Attempt {
    pub login: Login,
    /// What the attempt wanted when it was made.
    pub first: Option<Step>,
}

impl Job for Attempt {
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let step = match wake {
            Wake::Line(line) => self.login.line(&line),
            Wake::Answer(answer) => self.login.answered(answer),
            Wake::Begin | Wake::Flushed | Wake::Notice => match self.first.take() {
                Some(step) => step,
                None => self.login.resumed(),
            },
        };
        match step {
            Step::Challenge(challenge) => {
                out.line(format!("+ {}", sasl::challenge(&challenge)));
                Ok(Progress::Line)
            }
            Step::Work(work) => Ok(Progress::Work(work)),
            Step::Ask(question) => Ok(Progress::Ask(question)),
            Step::Pause(pause) => Ok(Progress::Pause(pause)),
            Step::Granted(user, seat) => {
                let master = self.login.master().map(str::to_owned);
                grant(context, user, master, seat).map(Progress::Done)
            }
            Step::Refused(why) => Err(refused(why)),
        }
    }
}

fn grant(context: &mut Context, user: Arc<User>, master: Option<String>, seat: Seat) -> Result<Reply, Reply> {
    let store = context.shared.stores.open(&user.home)?;
    store.set_limits(context.shared.accounts.quota(&user));
    context.state = State::Authenticated(Access { user, master, seat, store });
    // RFC 3501 7.1: the capabilities after login, without the client asking.
    Ok(Reply::ok_code(format!("CAPABILITY {}", capability::list(context)), "Logged in"))
}

/// RFC 5530 3: the login needs privacy first. What to do about it is said only where it can be done.
pub(super) fn privacy_required(context: &Context) -> Reply {
    let can = context.may_start_tls();
    Reply::no("PRIVACYREQUIRED", if can { "Start TLS before you log in" } else { NO_PRIVACY })
}

fn refused(why: Refusal) -> Reply {
    match why {
        Refusal::Credentials => Reply::no(AUTHENTICATION_FAILED, "Wrong user name or password"),
        Refusal::Malformed => Reply::bad("Response is not what the mechanism expects"),
        Refusal::Cancelled => Reply::bad("Authentication cancelled"),
        Refusal::TooMany => Reply::no("LIMIT", "Too many connections of this user"),
        Refusal::Unavailable => Reply::no("UNAVAILABLE", "Accounts cannot be read now; try again later"),
    }
}
