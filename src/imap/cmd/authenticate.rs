//! AUTHENTICATE (RFC 3501 6.2.2) with an initial response (SASL-IR, RFC 4959).

use super::login::{Attempt, privacy_required};
use crate::account::{Login, Mechanism};
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::wire::sasl;

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
        Some(text) => Some(sasl::initial(text).ok_or(Reply::bad("Initial response is not base64"))?),
    };
    let context = call.context;
    let (accounts, peer, tls) = (&context.shared.accounts, &context.peer, context.tls.as_ref());
    let offered = Login::mechanisms(accounts, peer, tls);
    let Some(mechanism) = Mechanism::from_name(wanted).filter(|wanted| offered.contains(wanted)) else {
        return Err(if offered.is_empty() {
            privacy_required(context)
        } else {
            Reply::no("CANNOT", "This mechanism is not offered")
        });
    };
    let (login, step) = Login::sasl(accounts, peer, tls, mechanism, initial.as_deref());
    Ok(Begun::Job(Box::new(Attempt { login, first: Some(step) })))
}
