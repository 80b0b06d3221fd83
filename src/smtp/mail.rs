//! MAIL (RFC 5321 4.1.1.2): a transaction begins.
//!
//! Parameters are those of the extensions that EHLO announces: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531) and, on submission,
//! AUTH (RFC 4954 5). DSN and BINARYMIME are not announced, so their parameters are unknown ones: 555.

use super::Kind;
use super::parse::{self, Path};
use super::reply::{self, Reply};
use super::session::{Smtp, Then};
use super::transaction::Transaction;
use crate::mail::address::{Address, Invalid};

/// Digits of a SIZE value (RFC 1870 4).
const SIZE_DIGITS: usize = 20;

/// `MAIL FROM:<sender> parameters`
pub(super) fn mail(session: &mut Smtp, argument: &str) -> Then {
    match begin(session, argument) {
        Err(refusal) => {
            let (code, why) = (refusal.code, &refusal.text);
            tracing::info!(peer = %session.peer.remote, code, %why, "sender refused");
            Then::Reply(refusal)
        }
        Ok(_) if session.transactions >= session.shared.settings.max_transactions => {
            Then::Close(reply::TOO_MANY_MESSAGES)
        }
        Ok(transaction) => {
            session.transactions += 1;
            session.transaction = Some(transaction);
            Then::Reply(reply::SENDER_OK)
        }
    }
}

fn begin(session: &Smtp, argument: &str) -> Result<Transaction, Reply> {
    let path = parse::behind(argument, "FROM:").ok_or(reply::MAIL_SYNTAX)?;
    let (path, rest) = parse::path(path).map_err(|invalid| reply::bad_address(invalid, "5.1.7"))?;
    let parameters = Parameters::read(session, rest)?;
    let sender = match path {
        Path::Null => None,
        Path::To(address) if parameters.utf8 => Some(address),
        Path::To(address) => Some(address.require_ascii().map_err(|invalid| reply::bad_address(invalid, "5.1.7"))?),
        Path::Postmaster => {
            return Err(reply::bad_address(Invalid::Syntax("address has no @domain"), "5.1.7"));
        }
    };
    if parameters.size.is_some_and(|size| size > session.shared.settings.max_message_size) {
        return Err(reply::too_big(&session.shared.settings));
    }
    may_send(session, sender.as_ref())?;
    Ok(Transaction::new(sender, parameters.utf8, parameters.size.unwrap_or(0)))
}

/// Promise 7: the sender must belong to the login. The empty sender belongs to everybody: it is nobody's name, and
/// MDNs need it.
fn may_send(session: &Smtp, sender: Option<&Address>) -> Result<(), Reply> {
    match (&session.user, sender) {
        (Some((user, _)), Some(sender)) if !session.shared.accounts.may_send_as(user, sender) => {
            tracing::info!(login = user.login, %sender, "refused: the sender does not belong to the login");
            Err(reply::NOT_YOUR_ADDRESS)
        }
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Parameters {
    size: Option<u64>,
    utf8: bool,
}

impl Parameters {
    fn read(session: &Smtp, text: &str) -> Result<Parameters, Reply> {
        let mut found = Parameters::default();
        for (keyword, value) in parse::parameters(text)? {
            // RFC 5321 4.1.1.11: a client that said HELO uses none.
            if !session.hello.as_ref().is_some_and(|hello| hello.extended) {
                return Err(reply::UNKNOWN_PARAMETER);
            }
            match (keyword.as_str(), value) {
                ("SIZE", Some(digits)) => {
                    found.size = Some(parse::number(digits, SIZE_DIGITS).ok_or(reply::BAD_PARAMETER)?);
                }
                ("BODY", Some(body)) if body.eq_ignore_ascii_case("7BIT") || body.eq_ignore_ascii_case("8BITMIME") => {}
                ("SMTPUTF8", None) => found.utf8 = true,
                // Who submitted it elsewhere first; we believe only our own logins (RFC 4954 5).
                ("AUTH", Some(_)) if session.kind == Kind::Submission => {}
                ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(reply::BAD_PARAMETER),
                _ => return Err(reply::UNKNOWN_PARAMETER),
            }
        }
        Ok(found)
    }
}
