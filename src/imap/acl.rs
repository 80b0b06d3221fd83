//! ACLs as clients see them (RFC 4314): identifiers and rights on the wire, and what they are in the store.
//!
//! `owner`, and the owner's own login, are the entry `owner`; `anyone` and `authenticated` are refused unless the configuration lets
//! them count. Any other identifier is a user of the owner's domain; a name without a domain is taken to be there. That such a user exists is
//! not checked, so that nobody learns from SETACL who does.

use super::context::Context;
use super::place::Place;
use super::reply::Reply;
use crate::store::acl::{Identifier, Rights};

/// The store's identifier for one on the wire, and whether it is negative.
pub fn identifier(context: &Context, place: &Place, text: &str) -> Result<(Identifier, bool), Reply> {
    let (text, is_negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    let owner = owner(context, place)?;
    let domain = owner.rsplit_once('@').map_or("", |(_, domain)| domain);
    let refused = |why| Err(Reply::no("CANNOT", why));
    let sharing = context.sharing();
    let identifier = match text.to_lowercase().as_str() {
        "owner" => Identifier::Owner,
        login if login == owner => Identifier::Owner,
        _ if sharing.is_none() => return refused("Folders cannot be shared here"),
        "anyone" | "authenticated" if !sharing.is_some_and(|sharing| sharing.anyone) => {
            return refused("Sharing with anyone is turned off on this server");
        }
        "anyone" => Identifier::Anyone,
        "authenticated" => Identifier::Authenticated,
        group if group.starts_with(['$', '!']) => return refused("There are no groups on this server"),
        login => match login.rsplit_once('@') {
            Some((_, at)) if at == domain => Identifier::User(login.into()),
            Some(_) => return refused("Folders can be shared with users of the same domain only"),
            None if format!("{login}@{domain}") == owner => Identifier::Owner,
            None => Identifier::User(format!("{login}@{domain}")),
        },
    };
    Ok((identifier, is_negative))
}

/// The identifier on the wire.
pub fn shown(context: &Context, place: &Place, identifier: &Identifier, is_negative: bool) -> Result<String, Reply> {
    let text = match identifier {
        Identifier::Owner => owner(context, place)?,
        Identifier::Anyone => "anyone".into(),
        Identifier::Authenticated => "authenticated".into(),
        Identifier::User(login) => login.clone(),
        // As Dovecot shows them.
        Identifier::Group(name) => format!("${name}"),
        Identifier::GroupOverride(name) => format!("!${name}"),
    };
    Ok(if is_negative { format!("-{text}") } else { text })
}

fn owner(context: &Context, place: &Place) -> Result<String, Reply> {
    match &place.owner {
        Some(owner) => Ok(owner.clone()),
        None => Ok(context.access()?.user.login.to_lowercase()),
    }
}

/// Rights as they are sent: with the two virtual ones of RFC 2086 where a member of theirs is there (RFC 4314 2.1.1).
pub fn letters(rights: Rights) -> String {
    let mut text: String = rights.letters().collect();
    if rights.has_any(Rights::CREATE.with(Rights::DELETE)) {
        text.push('c');
    }
    if rights.has_any(Rights::DELETED.with(Rights::EXPUNGE)) {
        text.push('d');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_rights() {
        assert_eq!(letters(Rights::ALL), "lrswipkxteacd");
        assert_eq!(letters(Rights::LOOKUP.with(Rights::CREATE)), "lkc");
        assert_eq!(letters(Rights::EXPUNGE), "ed");
        assert_eq!(letters(Rights::NONE), "");
    }
}
