//! RCPT (RFC 5321 4.1.1.3): a recipient is resolved and his store opened, so that trouble with one recipient is
//! told for that one, before the message is sent.

use super::Kind;
use super::parse::{self, Path};
use super::reply::{self, Reply};
use super::session::{Smtp, Then};
use super::transaction::{Place, Transaction};
use crate::account::{ALIAS_IN_DOUBT, Recipient, Resolved, USER_IN_DOUBT};
use crate::mail::address::Address;
use crate::store::{Error, Name, Store};

/// `RCPT TO:<recipient>`
pub(super) fn rcpt(session: &mut Smtp, argument: &str) -> Then {
    let Some(mut transaction) = session.transaction.take() else { return Then::Reply(reply::MAIL_FIRST) };
    let added = parse(argument, transaction.utf8).and_then(|address| {
        add(session, &mut transaction, &address).inspect_err(|refusal| {
            let (id, peer, code, why) = (&transaction.id, session.peer.remote, refusal.code, &refusal.text);
            tracing::info!(id, %peer, %address, code, %why, "recipient refused");
        })
    });
    session.transaction = Some(transaction);
    Then::Reply(added.err().unwrap_or(reply::RECIPIENT_OK))
}

fn add(session: &Smtp, transaction: &mut Transaction, address: &Address) -> Result<(), Reply> {
    if transaction.recipients() >= session.shared.settings.max_recipients || transaction.is_full() {
        return Err(reply::TOO_MANY_RECIPIENTS);
    }
    let recipients = match session.shared.accounts.resolve(address) {
        Resolved::Local(recipients) => recipients,
        refused => return Err(refusal(session, address, refused)),
    };
    // All members of an alias or none: what is told to the client is about the address it named.
    let places =
        recipients.iter().map(|recipient| place(session, transaction, recipient)).collect::<Result<Vec<_>, _>>()?;
    transaction.add(address.clone(), places);
    Ok(())
}

fn parse(argument: &str, utf8: bool) -> Result<Address, Reply> {
    let path = parse::behind(argument, "TO:").ok_or(reply::RCPT_SYNTAX)?;
    let bad = |invalid| reply::bad_address(invalid, "5.1.3");
    let (path, rest) = parse::path(path).map_err(bad)?;
    let address = match path {
        Path::Null => return Err(reply::NULL_RECIPIENT),
        Path::Postmaster => Address::postmaster(),
        Path::To(address) if utf8 => address,
        Path::To(address) => address.require_ascii().map_err(bad)?,
    };
    // No extension that we announce has a parameter here.
    match parse::parameters(rest)?.is_empty() {
        true => Ok(address),
        false => Err(reply::UNKNOWN_PARAMETER),
    }
}

/// Why an address that is not local now gets no mail.
fn refusal(session: &Smtp, address: &Address, resolved: Resolved) -> Reply {
    match resolved {
        Resolved::Remote if session.kind == Kind::Submission => reply::NO_QUEUE_YET,
        Resolved::Remote => reply::RELAY_DENIED,
        Resolved::Broken(why) => {
            tracing::warn!(%address, why, "an address is misconfigured");
            reply::MISCONFIGURED
        }
        Resolved::TryLater(why) if [ALIAS_IN_DOUBT, USER_IN_DOUBT].contains(&why.as_str()) => {
            tracing::debug!(%address, why, "an unknown recipient may be the one of that line");
            reply::LOCAL_ERROR
        }
        Resolved::TryLater(why) => {
            tracing::error!(%address, why, "recipients cannot be looked up");
            reply::LOCAL_ERROR
        }
        Resolved::Unknown | Resolved::Local(_) => reply::UNKNOWN_USER,
    }
}

/// The store and the folder for one user, if there is room for the announced octets. Somebody who is in two aliases was asked for once.
fn place(session: &Smtp, transaction: &Transaction, recipient: &Recipient) -> Result<Place, Reply> {
    let user = recipient.user.clone();
    if recipient.detail.is_none()
        && let Some(place) = transaction.goes_to(&user.login, &Name::inbox())
    {
        return Ok(place.clone());
    }
    let found = session.shared.stores.open(&user.home).and_then(|store| {
        store.set_limits(session.shared.accounts.quota(&user));
        store.has_quota_for(transaction.announced, 1, true)?;
        store.room_for(transaction.announced)?;
        let folder = folder(&store, recipient.detail.as_deref())?;
        Ok((store, folder))
    });
    match found {
        Ok((store, folder)) => Ok(Place { user, store, folder }),
        Err(error) => {
            // A full account is nobody's fault; that the recipient was refused is logged.
            if !matches!(error, Error::OverQuota) {
                tracing::error!(user = user.login, %error, "mailbox cannot take mail");
            }
            Err(reply::for_store(&error))
        }
    }
}

/// The folder that the detail names, if there is one; in another case if none has the same (relays and people change the case
/// of local parts); else INBOX.
fn folder(store: &Store, detail: Option<&str>) -> crate::store::Result<Name> {
    let Some(name) = detail.and_then(|detail| Name::parse(detail).ok()) else { return Ok(Name::inbox()) };
    if store.exists(&name)? {
        return Ok(name);
    }
    let lower = name.as_str().to_lowercase();
    let folders = store.folders()?;
    let found = folders.iter().find(|there| there.exists && there.name.as_str().to_lowercase() == lower);
    Ok(found.map_or_else(Name::inbox, |there| there.name.clone()))
}
