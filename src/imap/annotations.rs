//! Annotations as a session sees them (RFC 5464): which entries there are for this user, what is computed, how they are written, and
//! which changes of others it is told of.
//!
//! The server's shared entries, `/shared/comment` and `/shared/admin`, are what the configuration says, and nobody can change them
//! (RFC 5464 section 3.2.1.1 wants that of `/shared/admin`); its private ones are the user's own. `/private/specialuse` of a mailbox (RFC 6154
//! section 4) is read from its role and cannot be set.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::{Access, Context, State};
use super::parse::metadata::{Depth, EntryName, Kind};
use super::reply::Reply;
use super::response;
use crate::store::acl::Rights;
use crate::store::metadata::{Changed, Entry, Scope};
use crate::store::{Name, Store};
use crate::wire::Out;

/// The entry of RFC 6154 section 4.
pub const SPECIAL_USE: &str = "/specialuse";

/// Entries to be sent, with their values or NIL.
pub type Picked = Vec<(EntryName, Option<Vec<u8>>)>;
/// Entries and values.
pub type Values = BTreeMap<EntryName, Vec<u8>>;

/// An account whose changed annotations the client is told of.
pub struct Followed {
    store: Arc<Store>,
    /// The last change that was told.
    since: u64,
    /// Another user's: only the folder that is open is followed.
    foreign: Option<Foreign>,
}

/// The open folder of another user.
struct Foreign {
    /// As its owner calls it, and as this user does.
    names: (Name, Name),
    /// Whose the private entries are.
    login: String,
}

/// What annotations hang on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The server, as this user sees it.
    Server,
    /// A mailbox.
    Mailbox(Name),
}

impl Target {
    /// As the store names it.
    pub fn folder(&self) -> Option<&Name> {
        match self {
            Target::Server => None,
            Target::Mailbox(name) => Some(name),
        }
    }
}

/// Whose private entries this user's are: the owner's, or by his login.
pub type Mine = Option<String>;

/// The entry as the store keeps it.
pub fn stored(entry: &EntryName, mine: &Mine) -> Entry {
    let scope = match entry.kind {
        Kind::Private => Scope::Private(mine.clone()),
        Kind::Shared => Scope::Shared,
    };
    (scope, entry.name.clone())
}

/// The entry as this user names it; `None` if it is somebody else's.
pub(super) fn named((scope, name): &Entry, mine: &Mine) -> Option<EntryName> {
    let kind = match scope {
        Scope::Private(whose) if whose == mine => Kind::Private,
        Scope::Private(_) => return None,
        Scope::Shared => Kind::Shared,
    };
    Some(EntryName { kind, name: name.clone() })
}

/// The account and folder that annotations are in, and whose private ones this user's are there.
pub fn place(context: &Context, target: &Target) -> Result<(Arc<Store>, Option<Name>, Mine), Reply> {
    let access = context.access()?;
    let Target::Mailbox(name) = target else { return Ok((Arc::clone(&access.store), None, None)) };
    let place = context.place_with(name, Rights::LOOKUP)?;
    // RFC 5464 section 3.3: and one of these.
    place.require_any(Rights::READ.with(Rights::SEEN).with(Rights::WRITE).with(Rights::INSERT).with(Rights::POST))?;
    let mine = place.owner.map(|_| access.user.login.to_lowercase());
    Ok((place.store, Some(place.name), mine))
}

/// All entries of `target` that the user may see. `asked` saves what nobody wants from being computed.
pub fn values(context: &Context, target: &Target, asked: &[EntryName], depth: Depth) -> Result<Values, Reply> {
    let (store, folder, mine) = place(context, target)?;
    let found = store.annotations(folder.as_ref())?;
    let mut values: Values =
        found.into_iter().filter_map(|(entry, value)| Some((named(&entry, &mine)?, value))).collect();
    match target {
        Target::Server => {
            values.retain(|entry, _| entry.kind == Kind::Private);
            let settings = &context.shared.settings;
            for (name, value) in [("/comment", &settings.comment), ("/admin", &settings.admin)] {
                if let Some(value) = value {
                    values.insert(EntryName { kind: Kind::Shared, name: name.into() }, value.clone().into_bytes());
                }
            }
        }
        Target::Mailbox(_) => {
            let special_use = EntryName { kind: Kind::Private, name: SPECIAL_USE.into() };
            values.remove(&special_use);
            if mine.is_none() && asked.iter().any(|entry| entry.covers(&special_use, depth)) {
                let role = store
                    .folders()?
                    .into_iter()
                    .find(|other| Some(&other.name) == folder.as_ref())
                    .and_then(|f| f.role);
                values.extend(role.map(|role| (special_use, role.attribute().as_bytes().to_vec())));
            }
        }
    }
    Ok(values)
}

/// Of `values`, those that are asked for, each once, in the order asked; a name without a value is NIL as long as nothing below it is
/// sent. The second half is the size of the greatest value over `max_size` (RFC 5464 section 4.2.1).
pub fn pick(mut values: Values, asked: &[EntryName], depth: Depth, max_size: Option<u32>) -> (Picked, Option<usize>) {
    let (mut picked, mut longest) = (Picked::new(), None);
    for (at, entry) in asked.iter().enumerate() {
        let covered: Vec<EntryName> = values.keys().filter(|other| entry.covers(other, depth)).cloned().collect();
        if covered.is_empty() && !asked[..at].contains(entry) && !picked.iter().any(|(other, _)| other == entry) {
            picked.push((entry.clone(), None));
        }
        for name in covered {
            let Some(value) = values.remove(&name) else { continue };
            if max_size.is_some_and(|max| value.len() > max as usize) {
                longest = longest.max(Some(value.len()));
            } else {
                picked.push((name, Some(value)));
            }
        }
    }
    (picked, longest)
}

/// One METADATA response with these values, of which there is at least one; names as the client speaks `utf8` or not.
pub fn write(target: &Target, values: &[(EntryName, Option<Vec<u8>>)], utf8: bool, out: &mut Out) {
    write_target(target, utf8, out);
    for (n, (entry, value)) in values.iter().enumerate() {
        out.put(if n == 0 { " (" } else { " " });
        response::astring(out.buffer(), entry.full().as_bytes());
        out.put(" ");
        match value {
            // Only a literal8 may hold a NUL.
            Some(value) if value.contains(&0) => {
                out.put(format!("~{{{}}}\r\n", value.len()));
                out.put(value);
            }
            value => response::nstring(out.buffer(), value.as_deref()),
        }
    }
    out.line(")");
}

/// A METADATA response with these names and no values (RFC 5464 section 4.4.2), if there are any.
pub(super) fn write_names(target: &Target, entries: &[EntryName], utf8: bool, out: &mut Out) {
    if entries.is_empty() {
        return;
    }
    write_target(target, utf8, out);
    for entry in entries {
        out.put(" ");
        response::astring(out.buffer(), entry.full().as_bytes());
    }
    out.line("");
}

fn write_target(target: &Target, utf8: bool, out: &mut Out) {
    out.put("* METADATA ");
    match target {
        Target::Server => out.put("\"\""),
        Target::Mailbox(name) => response::mailbox(out.buffer(), name, utf8),
    }
}

impl Context {
    /// Tell which annotations others have changed, if the client asked to be told (RFC 5464 section 4.4.2: names without values).
    pub(super) fn announce_annotations(&mut self, out: &mut Out) {
        let Ok(Access { store, .. }) = self.access() else { return };
        if !self.enabled.metadata || out.full() {
            return;
        }
        if !self.followed.first().is_some_and(|followed| Arc::ptr_eq(&followed.store, store)) {
            // Just enabled: what was changed before is not news.
            self.followed = vec![Followed::new(Arc::clone(store), None)];
        }
        self.follow_selected();
        let (serial, utf8) = (self.serial, self.enabled.speaks_utf8());
        for followed in &mut self.followed {
            let (changed, last) = followed.store.annotation_feed().after(followed.since, serial);
            followed.since = last;
            for news in changed.chunk_by(|a, b| a.of == b.of) {
                followed.tell(news, utf8, out);
            }
        }
    }

    /// Another user's mailbox that is open is followed too.
    fn follow_selected(&mut self) {
        let open = match &self.state {
            State::Selected(access, selected) if self.may_be_elsewhere(&selected.name) => {
                let place = self.place_with(&selected.name, Rights::LOOKUP).ok().filter(|place| place.owner.is_some());
                let login = access.user.login.to_lowercase();
                place.map(|place| (place.store, Foreign { names: (place.name, selected.name.clone()), login }))
            }
            _ => None,
        };
        let is_same = |followed: &Followed| match (&followed.foreign, &open) {
            (Some(before), Some((_, now))) => before.names == now.names,
            (before, _) => before.is_none(),
        };
        self.followed.retain(is_same);
        if let Some((store, foreign)) = open.filter(|_| self.followed.len() == 1) {
            self.followed.push(Followed::new(store, Some(foreign)));
        }
    }

    /// Have the session's notice raised when an annotation changes, if the client is to be told.
    pub(super) fn listen_for_annotations(&self) {
        if self.enabled.metadata {
            self.followed.iter().for_each(|followed| followed.store.annotation_feed().listen(self.notice.raiser()));
        }
    }
}

impl Followed {
    fn new(store: Arc<Store>, foreign: Option<Foreign>) -> Followed {
        Followed { since: store.annotation_feed().last(), store, foreign }
    }

    /// Changes of one folder.
    fn tell(&self, news: &[Changed], utf8: bool, out: &mut Out) {
        let mine = self.foreign.as_ref().map(|foreign| foreign.login.clone());
        let entries: Vec<EntryName> = news.iter().filter_map(|changed| named(&changed.entry, &mine)).collect();
        let Some(of) = news.first().filter(|_| !entries.is_empty()).map(|changed| &changed.of) else { return };
        let target = match (of, &self.foreign) {
            (None, None) => Target::Server,
            (Some(name), None) => Target::Mailbox(name.clone()),
            // Nothing of other folders, which this user may have no right to.
            (Some(name), Some(foreign)) if *name == foreign.names.0 => Target::Mailbox(foreign.names.1.clone()),
            (_, Some(_)) => return,
        };
        write_names(&target, &entries, utf8, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_sent_once() {
        let entry = |name: &str| EntryName { kind: Kind::Private, name: name.into() };
        let values: Values = [("/a", "1"), ("/a/b", "22"), ("/a/b/c", "333")]
            .iter()
            .map(|(name, value)| (entry(name), value.as_bytes().to_vec()))
            .collect();
        let picked = |asked: &[&str], depth, max| {
            let asked: Vec<EntryName> = asked.iter().map(|name| entry(name)).collect();
            let (picked, longest) = pick(values.clone(), &asked, depth, max);
            let text: Vec<String> = picked
                .iter()
                .map(|(e, v)| format!("{}={}", e.name, v.as_ref().map_or("NIL".into(), |v| v.len().to_string())))
                .collect();
            (text.join(" "), longest)
        };
        assert_eq!(picked(&["/a"], Depth::Zero, None), ("/a=1".into(), None));
        assert_eq!(picked(&["/a"], Depth::One, None), ("/a=1 /a/b=2".into(), None));
        assert_eq!(picked(&["/a/b", "/a"], Depth::Infinity, None), ("/a/b=2 /a/b/c=3 /a=1".into(), None));
        assert_eq!(picked(&["/x", "/x", "/a"], Depth::Zero, None), ("/x=NIL /a=1".into(), None));
        assert_eq!(picked(&["/a"], Depth::Infinity, Some(1)), ("/a=1".into(), Some(3)));
    }
}
