//! SETQUOTA (RFC 9208 4.1.3), for administrators: a session that a master user has begun may set the limits of the account that it is in.
//!
//! Everybody else is told NO [NOPERM], whatever he asks. What is set counts for everybody at once and is on the disk before the OK (see
//! `account`); it takes the place of both limits, and where one is not named that of the configuration holds, as the QUOTA response
//! tells. The number of mailboxes cannot be set, nor a limit of 0, which Maildir++ quota takes for none.

use super::getquota::{UNIT, own_root, write};
use crate::imap::job::{Begun, Call};
use crate::imap::parse::{Cursor, Result as Parsed};
use crate::imap::reply::Reply;
use crate::store::quota::Limits;

/// Resources of one command: there are four in RFC 9208.
const MAX_RESOURCES: usize = 16;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let asked = call.args.astring()?.into_owned();
    call.args.space()?;
    let resources = resources(&mut call.args)?;
    call.args.end()?;
    let accounts = &call.context.shared.accounts;
    let access = call.context.access()?;
    let Some(master) = access.master.as_ref().filter(|_| accounts.sets_quota()) else {
        return Err(Reply::no("NOPERM", "Limits are for administrators to set"));
    };
    let root = own_root(&call)?;
    if !asked.eq_ignore_ascii_case(root.as_bytes()) {
        return Err(Reply::no("NONEXISTENT", "No such quota root here; log in as its user"));
    }
    let limits = limits(&resources)?;
    if let Err(error) = accounts.set_quota(&access.user, limits) {
        tracing::error!(login = %access.user.login, %error, "limits cannot be written");
        return Err(Reply::no("UNAVAILABLE", "Limits cannot be written; see the server's log"));
    }
    let (storage, messages) = (limits.storage.unwrap_or(0), limits.messages.unwrap_or(0));
    tracing::info!(login = %access.user.login, master, storage, messages, "quota set");
    let store = access.store.clone();
    store.set_limits(limits);
    write(&root, &store, call.out)?;
    Ok(Reply::ok("Setquota completed").into())
}

/// RFC 9208 section 7 setquota-list.
fn resources(cursor: &mut Cursor<'_>) -> Parsed<Vec<(String, u64)>> {
    let mut all: Vec<(String, u64)> = Vec::new();
    if cursor.eat_text("()") {
        return Ok(all);
    }
    cursor.list1(|cursor| {
        let before = cursor.clone();
        let name = cursor.atom()?.to_ascii_uppercase();
        if all.len() == MAX_RESOURCES || all.iter().any(|(known, _)| *known == name) {
            return before.bad("resource given twice, or too many of them");
        }
        cursor.space()?;
        all.push((name, cursor.number64()?));
        Ok(())
    })?;
    Ok(all)
}

fn limits(resources: &[(String, u64)]) -> Result<Limits, Reply> {
    let mut limits = Limits::default();
    for (name, limit) in resources {
        if *limit == 0 {
            return Err(Reply::no("CANNOT", "A limit of 0 cannot be kept"));
        }
        match name.as_str() {
            "STORAGE" => match limit.checked_mul(UNIT).filter(|bytes| i64::try_from(*bytes).is_ok()) {
                Some(bytes) => limits.storage = Some(bytes),
                None => return Err(Reply::no("CANNOT", "The limit of STORAGE is too large")),
            },
            "MESSAGE" => limits.messages = Some(*limit),
            // RFC 9208 4.1.3 has the like of it in its example.
            "MAILBOX" => return Err(Reply::no("CANNOT", "The limit of MAILBOX is the system's")),
            _ => return Err(Reply::no("CANNOT", "There is no such resource")),
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text: &str| {
            let mut cursor = Cursor::new(text.as_bytes());
            resources(&mut cursor).ok().filter(|_| cursor.at_end()).map(|all| limits(&all).map_err(|reply| reply.code))
        };
        let limit = |storage, messages| Some(Ok(Limits { storage, messages }));
        let cannot = Some(Err(Some("CANNOT".into())));
        let table = [
            ("()", limit(None, None)),
            ("(STORAGE 510)", limit(Some(522_240), None)),
            ("(message 7 storage 1)", limit(Some(1024), Some(7))),
            ("(MAILBOX 7)", cannot.clone()),
            ("(ANNOTATION-STORAGE 7)", cannot.clone()),
            ("(STORAGE 0)", cannot.clone()),
            ("(STORAGE 9007199254740992)", cannot),
            ("(STORAGE 1 STORAGE 2)", None),
            ("(STORAGE)", None),
            ("(STORAGE -1)", None),
            ("( )", None),
            ("STORAGE 1", None),
        ];
        for (text, want) in table {
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
