//! LIST responses: names that came, went, were renamed or subscribed, and rights that came or went.
//!
//! What the client knows is a map of the names that its wishes are about. When the tree, a subscription or an ACL changed, all is listed anew and
//! compared; what sessions of this process did to the tree is taken from the log before that, so that a rename is told as one, and what this
//! session did itself not at all (RFC 5465 section 5). A rename by another program is a name that went and one that came. What came and went
//! between two looks is not told; the mailbox that is there then has another UIDVALIDITY.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::statuses::{Initial, Told};
use super::{Account, Failed, MAX_FOLLOWED, Notify};
use crate::imap::context::Context;
use crate::imap::listing::{Line, Listing};
use crate::imap::parse::list::Select;
use crate::imap::parse::notify::Events;
use crate::imap::pattern::Pattern;
use crate::imap::response;
use crate::store::acl::Rights;
use crate::store::{Done, Error, Lookout, Name};

/// RFC 5465 section 5: all events need these.
pub(super) const NEEDED: Rights = Rights::LOOKUP.with(Rights::READ);

/// What the client may do with a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Not even see it.
    None,
    /// See its name: `\NoAccess`.
    Name,
    /// Read it.
    Full,
}

/// A name, as the client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// There is a mailbox, not only some below.
    exists: bool,
    access: Access,
    events: Events,
}

impl Seen {
    /// Is the client told of these events there?
    pub fn is_told(self, events: Events) -> bool {
        self.exists && self.access == Access::Full && self.events.has(events)
    }

    fn is_visible(self) -> bool {
        self.exists && self.access != Access::None
    }
}

/// How all is now.
pub(super) struct World {
    /// All that can be listed.
    lines: BTreeMap<Name, Line>,
    /// Of that, what wishes are about.
    seen: BTreeMap<Name, Seen>,
    subscriptions: BTreeSet<Name>,
}

/// The attributes of a LIST response that a listing does not tell.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    gone: bool,
    no_access: bool,
}

impl Notify {
    /// List everything.
    pub(super) fn list(&self, context: &Context) -> Result<World, Failed> {
        let Ok(access) = context.access() else { return Err(Error::NotFound.into()) };
        let subscriptions = access.store.subscriptions()?;
        let all: Vec<Pattern> = Pattern::new(b"", b"*").into_iter().collect();
        let mut folders = access.store.folders()?;
        if self.reaches_others(context) {
            folders.extend(context.shared_folders(&all)?);
        }
        let lines = Listing::select(folders, subscriptions.clone(), &all, Select::default()).0;
        let lines: BTreeMap<Name, Line> = lines.into_iter().map(|line| (line.name.clone(), line)).collect();
        let mut seen = BTreeMap::new();
        for (name, line) in &lines {
            let events = self.events_of(context, name, line.subscribed);
            if events == Events::NONE {
                continue;
            }
            let access = match line.exists.then(|| context.place(name)) {
                None | Some(Err(Error::NotFound | Error::BadName(_))) => Access::None,
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(place)) if place.rights.has(NEEDED) => Access::Full,
                Some(Ok(place)) if place.rights.has(Rights::LOOKUP) => Access::Name,
                Some(Ok(_)) => Access::None,
            };
            seen.insert(name.clone(), Seen { exists: line.exists, access, events });
        }
        Ok(World { lines, seen, subscriptions })
    }

    /// What wishes want to hear of a name: their sum, but nothing where one of them is NONE.
    fn events_of(&self, context: &Context, name: &Name, subscribed: bool) -> Events {
        let personal = !context.may_be_elsewhere(name) || !context.is_elsewhere(name);
        let about = self.wishes.iter().filter(|wish| wish.is_about(name, personal, subscribed)).map(|wish| wish.events);
        let (mut sum, mut silent) = (Events::NONE, false);
        for events in about {
            silent |= events == Events::NONE;
            sum = sum.with(events);
        }
        if silent { Events::NONE } else { sum }
    }

    /// Refuse to follow too many.
    pub(super) fn check(&self, world: &World) -> Result<(), Failed> {
        let followed = world.seen.values().filter(|seen| seen.is_told(Events::NEW)).count();
        if followed > MAX_FOLLOWED { Err(Failed::Overflow) } else { Ok(()) }
    }

    /// The client knows all this from now on. Mailboxes that it has not heard of are told of as `initial` says.
    pub(super) fn take_over(&mut self, context: &Context, world: World, initial: Initial) -> Result<(), Failed> {
        let mut before = std::mem::take(&mut self.told);
        for (name, seen) in &world.seen {
            if initial != Initial::IfMail && seen.is_visible() && seen.access != Access::Full {
                // RFC 5465 section 3.1.
                self.lines.push_back(line(context, &world, name, Marks { no_access: true, gone: false }, None));
            }
            if !seen.is_told(Events::NEW) {
                continue;
            }
            let place = match context.place(name) {
                Err(Error::NotFound) => continue,
                place => place?,
            };
            let followed = match place.store.follow(&place.name) {
                Err(Error::NotFound) => continue,
                followed => followed?,
            };
            let mut told = match before.remove(name) {
                Some(told) => told,
                None => Told { events: seen.events, followed: Arc::clone(&followed), known: Err(initial) },
            };
            if told.known.is_err() || !Arc::ptr_eq(&told.followed, &followed) {
                self.waiting.push_back(name.clone());
            }
            (told.events, told.followed) = (seen.events, followed);
            self.told.insert(name.clone(), told);
        }
        (self.names, self.subscriptions) = (world.seen, world.subscriptions);
        Ok(())
    }

    /// Find out what happened in all accounts; list anew if names, subscriptions or rights may have changed, or if that is a `must`.
    pub(super) fn look_at_tree(&mut self, context: &Context, must: bool) -> Result<(), Failed> {
        let mut lookouts: Vec<Arc<Lookout>> = self.accounts.iter().map(|a| Arc::clone(a.store.lookout())).collect();
        // In an order that all sessions keep.
        lookouts.sort_by_key(Arc::as_ptr);
        // Users with one home between them have one: who takes the same turn twice waits for himself.
        lookouts.dedup_by(|a, b| Arc::ptr_eq(a, b));
        // Between the log and the tree nobody may change either.
        let turns: Vec<_> = lookouts.iter().map(|lookout| lookout.turn()).collect();
        let (mut changed, mut done) = (must || self.stale, Vec::new());
        for (at, account) in self.accounts.iter_mut().enumerate() {
            let news = account.store.lookout().after(account.since);
            account.since = news.last;
            changed |= news.tree || news.subscriptions;
            if news.tree {
                // Directories that were made since may be watched for what is made in them.
                account.store.follow_tree()?;
            }
            let shown = news.folders.iter().filter_map(|folder| account.shown(folder));
            self.waiting.extend(shown.filter(|name| self.told.contains_key(name)));
            done.extend(news.done.into_iter().map(|(by, done)| (at, by, done)));
        }
        if !changed {
            return Ok(());
        }
        let world = self.list(context)?;
        drop(turns);
        self.check(&world)?;
        for (at, by, done) in done {
            if let Some(done) = self.accounts.get(at).and_then(|account| account.shown_done(&done)) {
                self.take_in(context, &world, done, by == context.serial);
            }
        }
        self.compare(context, &world);
        self.take_over(context, world, Initial::IfMail)
    }

    /// What a session did: told if it is a rename by another one, known if it was this one.
    fn take_in(&mut self, context: &Context, world: &World, done: Done, own: bool) {
        match done {
            Done::Renamed(from, to) => {
                let about = self.events_of(context, &from, false).with(self.events_of(context, &to, false));
                let known = self.names.get(&from).is_none_or(|seen| seen.access == Access::Full || !seen.exists);
                let is_told = !own && about.has(Events::NAME) && known && world.lines.contains_key(&to);
                if is_told {
                    // RFC 5465 section 5.4.
                    self.lines.push_back(line(context, world, &to, Marks::default(), Some(&from)));
                }
                // Else what the client knows is there by its old name, which it must be told to be gone: the new one may be gone again, too.
                if own || is_told || !about.has(Events::NAME) {
                    self.rename(world, &from, &to);
                }
                if own {
                    self.expect(world, &to);
                }
            }
            Done::Created(name) if own => self.expect(world, &name),
            Done::Deleted(name) if own => {
                if let Some(seen) = self.names.get_mut(&name) {
                    seen.exists = false;
                }
            }
            Done::Subscribed(name) if own => {
                if world.subscriptions.contains(&name) {
                    self.subscriptions.insert(name);
                } else {
                    self.subscriptions.remove(&name);
                }
            }
            Done::Created(_) | Done::Deleted(_) | Done::Subscribed(_) | Done::Permitted(_) => {}
        }
    }

    /// The client knows these mailboxes by their new names now.
    fn rename(&mut self, world: &World, from: &Name, to: &Name) {
        if from.is_inbox() {
            // RFC 5465 section 5.4: a new INBOX counts as created, and is not told.
            if let Some(seen) = world.seen.get(to) {
                self.names.insert(to.clone(), *seen);
            }
            return;
        }
        let moved: Vec<Name> = self.names.keys().filter(|name| *name == from || name.is_below(from)).cloned().collect();
        for name in moved {
            let rest = name.as_str().strip_prefix(from.as_str()).unwrap_or_default();
            let Ok(new) = Name::parse(&format!("{to}{rest}")) else { continue };
            if let Some(told) = self.told.remove(&name) {
                self.told.insert(new.clone(), told);
                self.waiting.push_back(new.clone());
            }
            if let Some(seen) = self.names.remove(&name) {
                self.names.insert(new, seen);
            }
        }
    }

    /// The client knows that this mailbox is there, and those above it that were made along with it.
    fn expect(&mut self, world: &World, name: &Name) {
        for level in std::iter::successors(Some(name.clone()), Name::parent) {
            if let Some(seen) = world.seen.get(&level) {
                self.names.insert(level, *seen);
            }
        }
    }

    /// Queue what is different now.
    fn compare(&mut self, context: &Context, world: &World) {
        let mut affected: BTreeMap<Name, Marks> = BTreeMap::new();
        let names: BTreeSet<&Name> = self.names.keys().chain(world.seen.keys()).collect();
        for name in names {
            let (before, now) = (self.names.get(name).copied(), world.seen.get(name).copied());
            if before.is_some() && now.is_none() && world.lines.get(name).is_some_and(|line| line.exists) {
                // No wish is about it any more.
                continue;
            }
            let events = before.map_or(Events::NONE, |seen| seen.events).with(now.map_or(Events::NONE, |s| s.events));
            let was = before.is_some_and(Seen::is_visible);
            let is = now.is_some_and(Seen::is_visible);
            let had = before.filter(|_| was).map_or(Access::None, |seen| seen.access);
            let has = now.filter(|_| is).map_or(Access::None, |seen| seen.access);
            // RFC 5465 section 5.9: access was lost to a mailbox that is still there.
            let no_access = has == Access::Name || was && !is && context.is_there(name);
            if was != is && events.has(Events::NAME) {
                affected.insert(name.clone(), Marks { gone: !is, no_access });
                if let Some(parent) = name.parent() {
                    // Section 5.4: whether it exists or not.
                    let gone = !world.lines.get(&parent).is_some_and(|line| line.exists);
                    affected.entry(parent).or_insert(Marks { gone, no_access: false });
                }
            } else if was && had != has && no_access {
                affected.insert(name.clone(), Marks { gone: false, no_access: true });
            } else if is && had == Access::Name && has == Access::Full {
                affected.insert(name.clone(), Marks::default());
            } else if is && !was && has == Access::Name {
                // Section 3.1: of a mailbox that a wish is about from now on.
                affected.insert(name.clone(), Marks { gone: false, no_access: true });
            }
        }
        for name in self.subscriptions.symmetric_difference(&world.subscriptions) {
            if self.events_of(context, name, true).has(Events::SUBSCRIPTION) {
                let gone = !world.lines.get(name).is_some_and(|line| line.exists);
                affected.entry(name.clone()).or_insert(Marks { gone, no_access: false });
            }
        }
        self.lines.extend(affected.iter().map(|(name, marks)| line(context, world, name, *marks, None)));
    }
}

impl Account {
    /// The same with names as the client has them.
    fn shown_done(&self, done: &Done) -> Option<Done> {
        Some(match done {
            Done::Created(name) => Done::Created(self.shown(name)?),
            Done::Deleted(name) => Done::Deleted(self.shown(name)?),
            Done::Renamed(from, to) => Done::Renamed(self.shown(from)?, self.shown(to)?),
            Done::Permitted(name) => Done::Permitted(self.shown(name)?),
            // Another user's subscriptions are not this one's.
            Done::Subscribed(_) if self.owner.is_some() => return None,
            Done::Subscribed(name) => Done::Subscribed(name.clone()),
        })
    }
}

/// The LIST response of a name, without its line end.
fn line(context: &Context, world: &World, name: &Name, marks: Marks, old: Option<&Name>) -> Vec<u8> {
    let known = world.lines.get(name);
    let children = known.is_some_and(|line| line.children);
    let role = known.filter(|_| !marks.gone).and_then(|line| line.role).map(|role| role.attribute());
    let implied = known.is_some_and(|line| !line.exists);
    let attributes = [
        (marks.gone || implied).then_some("\\NonExistent"),
        marks.no_access.then_some("\\NoAccess"),
        world.subscriptions.contains(name).then_some("\\Subscribed"),
        Some(if children { "\\HasChildren" } else { "\\HasNoChildren" }),
        role,
    ];
    let utf8 = context.enabled.speaks_utf8();
    let mut text = b"* LIST ".to_vec();
    response::list(&mut text, attributes.into_iter().flatten());
    text.extend_from_slice(b" \"/\" ");
    response::mailbox(&mut text, name, utf8);
    if let Some(old) = old {
        text.extend_from_slice(b" (\"OLDNAME\" (");
        response::mailbox(&mut text, old, utf8);
        text.extend_from_slice(b"))");
    }
    text
}
