//! NOTIFY (RFC 5465): what a client wants to be told of other mailboxes than the one it has open, and of that one.
//!
//! A session in which NOTIFY SET was said waits for a notice even between commands. What it tells then, and in IDLE, and behind commands that allow
//! everything (NOOP), comes in rounds: ask the lookouts of the accounts what happened ([`crate::store::Lookout`]), look at the tree if that changed
//! (`names`), look at each mailbox in which something happened (`statuses`), tell the difference to what the client was told. So nothing is queued that
//! could grow, and a client that reads slowly is told less often and not more. The open mailbox is the view's business: it is told how much to tell
//! ([`super::view::Wants`]), and [`super::updates`] fetches what is wanted of new messages.
//!
//! How each demand of the RFC is met:
//!
//! | section | demand | here |
//! |---|---|---|
//! | 3.1 | SET returns accumulated changes of the open mailbox | NOTIFY is announced behind like NOOP; [`super::view::View::want`] looks at all again |
//! | 3.1 | no SELECTED group: no message events of the open mailbox | `Wants::Nothing`: the view stays as it is, also at NOOP; but what the client does itself is told |
//! | 3.1 | STATUS before the tagged OK, with what items | `statuses`, in steps of the command |
//! | 3.1 | ignore names that do not exist or cannot be listed; `\NoAccess` for those that lack a right | `names` |
//! | 3.1 | NO \[BADEVENT\] for events that we do not have, with all that we have | `cmd::notify` |
//! | 3.1, 5.8 | too expensive: NO \[NOTIFICATIONOVERFLOW\]; later: untagged OK, and as after NONE | [`MAX_FOLLOWED`] |
//! | 4 | in IDLE exactly the same | one function for both, [`Context::tell_others`] |
//! | 5 | not what this client did itself | `names` by the lookout's log, `statuses` by the UIDs that it made |
//! | 5 | the rights l and r for all events | looked up in each round, before anything of a mailbox is told |
//! | 5, 6.1, 8 | which events belong together: BAD | `parse::notify` |
//! | 5.1 | FETCH with UID and FLAGS; STATUS with HIGHESTMODSEQ and UIDVALIDITY, UIDVALIDITY when that changes | [`Context::announce`], `statuses` |
//! | 5.2, 7 | EXISTS, FETCH, ESEARCH: in which order | [`super::updates`] |
//! | 5.3 | VANISHED with QRESYNC; HIGHESTMODSEQ in STATUS | the view; `statuses` |
//! | 5.4, 5.9 | names and their parents, OLDNAME, rights as names that come and go | `names` |
//! | 5.5 | `\Subscribed` if and only if it is | `names`, in every LIST response |
//! | 5.6, 5.7 | METADATA without ENABLE | [`Notify::tell_annotations`] |
//! | 6.3 | INBOXES as PERSONAL: procmail may deliver anywhere | [`Of::Personal`] |
//! | 6.4 | SUBSCRIBED is evaluated again when subscriptions change | a round with `subscriptions` lists anew |
//! | 6.6 | no wildcards | names are compared as they are |
//!
//! Several groups for one mailbox add up, as the RFC's example in section 6 has it; NONE in any group for it means that there is no event for it at
//! all. RFC 5465 does not say how ENABLE METADATA goes with NOTIFY: what it asked for is still told.
//!
//! Bounds: [`MAX_FOLLOWED`] mailboxes, at some 300 bytes in the session and a kilobyte in the process; the words of a command are bounded by its line,
//! and [`MAX_GROUPS`], [`MAX_NAMES`]. Fails as listing fails: logged, and tried again with the next change.

mod names;
mod statuses;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::names::Seen;
use self::statuses::{Initial, Told};
use super::annotations::{self, Target};
use super::context::{Context, Selected};
use super::parse::fetch::Item;
use super::parse::metadata::EntryName;
use super::parse::notify::{Events, Filter, Group};
use super::reply::Reply;
use super::view::Wants;
use crate::notice::Notice;
use crate::store::metadata::Changed;
use crate::store::{Error, FollowedTree, Mailbox, Name, Store};
use crate::wire::Out;

/// Groups in one command: there are seven kinds, and one of them is enough for most clients.
pub const MAX_GROUPS: usize = 50;
/// Names of mailboxes in all groups of a command.
pub const MAX_NAMES: usize = 1000;
/// Mailboxes whose messages are followed: somebody who has a thousand, and then some. Each costs two directory watches, of which a kernel gives a
/// user some ten thousand to a million.
pub const MAX_FOLLOWED: usize = if cfg!(test) { 20 } else { 2000 };
/// Mailboxes that are looked at in one step: each may read its directories.
const STATUS_A_STEP: usize = 16;

/// Events that we have.
pub const SUPPORTED: Events = Events::NEW
    .with(Events::EXPUNGE)
    .with(Events::FLAGS)
    .with(Events::NAME)
    .with(Events::SUBSCRIPTION)
    .with(Events::METADATA)
    .with(Events::SERVER_METADATA);

/// What the client wants, and what it was told.
#[derive(Default)]
pub struct Notify {
    wishes: Vec<Wish>,
    /// Of the open mailbox.
    selected: OfSelected,
    /// The user's own first, then those of users who share with him, if a wish reaches that far.
    accounts: Vec<Account>,
    /// Users who share with him.
    owners: BTreeSet<String>,
    /// Names that a wish is about, as the client knows them.
    names: BTreeMap<Name, Seen>,
    subscriptions: BTreeSet<Name>,
    /// Mailboxes whose messages are followed.
    told: BTreeMap<Name, Told>,
    /// Those that are to be looked at.
    waiting: VecDeque<Name>,
    /// LIST responses that are to be written.
    lines: VecDeque<Vec<u8>>,
    /// Messages that this session made, by the UIDVALIDITY of their mailbox.
    made: Vec<(u32, Vec<u32>)>,
    /// The last round failed: look at all in the next.
    stale: bool,
}

/// What is wanted of the open mailbox.
#[derive(Default)]
struct OfSelected {
    events: Events,
    /// Expunges wait for a command.
    delayed: bool,
    items: Vec<Item>,
}

/// A group for other mailboxes.
struct Wish {
    of: Of,
    events: Events,
}

/// Which mailboxes.
enum Of {
    /// All of the user's own. INBOXES is the same: any program may deliver into any folder (RFC 5465 section 6.3).
    Personal,
    Subscribed,
    /// These and all below.
    Subtree(Vec<Name>),
    Mailboxes(Vec<Name>),
}

/// An account in which mailboxes are followed. Two of them may be in one store: users with one home between them, who share with each other.
#[derive(Clone)]
struct Account {
    store: Arc<Store>,
    /// Whose it is, if it is another user's.
    owner: Option<String>,
    /// What the client calls INBOX's parent there, with a slash: empty for the user's own.
    prefix: String,
    /// How far its lookout was dealt with, and its annotations.
    since: u64,
    annotated: u64,
    _tree: Arc<FollowedTree>,
}

/// Why a round was not made.
pub(super) enum Failed {
    /// There are too many mailboxes.
    Overflow,
    /// The store failed.
    Store(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Store(error)
    }
}

impl Wish {
    fn is_about(&self, name: &Name, personal: bool, subscribed: bool) -> bool {
        match &self.of {
            Of::Personal => personal,
            Of::Subscribed => subscribed,
            Of::Subtree(roots) => roots.iter().any(|root| name == root || name.is_below(root)),
            Of::Mailboxes(names) => names.contains(name),
        }
    }
}

impl Notify {
    /// What these groups ask for. Nothing is looked at yet.
    pub fn new(groups: Vec<Group<'_>>) -> Notify {
        let mut notify = Notify::default();
        // RFC 5465 section 3.1: what cannot be a mailbox is ignored like one that does not exist.
        let names = |found: Vec<super::parse::Mailbox<'_>>| found.iter().filter_map(|name| name.name().ok()).collect();
        for Group { filter, events, items } in groups {
            let of = match filter {
                Filter::Selected { delayed } => {
                    notify.selected = OfSelected { events, delayed, items };
                    continue;
                }
                Filter::Inboxes | Filter::Personal => Of::Personal,
                Filter::Subscribed => Of::Subscribed,
                Filter::Subtree(roots) => Of::Subtree(names(roots)),
                Filter::Mailboxes(found) => Of::Mailboxes(names(found)),
            };
            notify.wishes.push(Wish { of, events });
        }
        notify
    }

    /// Look at the world for the first time, in place of `before`; with `status`, tell how all mailboxes stand. On failure `before` is as it was.
    pub(super) fn begin(&mut self, context: &Context, before: Option<&mut Notify>, status: bool) -> Result<(), Failed> {
        if self.wishes.is_empty() {
            return Ok(());
        }
        // First the ear, then the eye.
        self.find_accounts(context)?;
        let initial = if status { Initial::Always } else { Initial::Never };
        let world = self.list(context)?;
        self.check(&world)?;
        if let Some(before) = before.filter(|_| !status) {
            // What the client knows of a mailbox it goes on knowing: what happens between two commands is told.
            self.told = std::mem::take(&mut before.told);
            self.waiting.extend(self.told.keys().cloned());
        }
        self.take_over(context, world, initial)
    }

    /// How much of the open mailbox is told.
    pub fn wants(&self) -> Wants {
        match self.selected.events {
            events if events.has(Events::FLAGS) => Wants::Everything,
            events if events.has(Events::NEW) => Wants::Counts,
            _ => Wants::Nothing,
        }
    }

    /// May expunges in the open mailbox be told while no command is in progress (RFC 5465 section 6.1.2)?
    pub fn expunges_at_once(&self) -> bool {
        !self.selected.delayed
    }

    /// What is to be fetched of new messages in the open mailbox.
    pub fn items(&self) -> &[Item] {
        &self.selected.items
    }

    /// This session put messages into a mailbox.
    pub fn made(&mut self, mailbox: &Mailbox, uids: &[u32]) {
        let validity = mailbox.uid_validity();
        let known = self.told.iter().find(|(_, told)| told.is_of(validity));
        if let Some(name) = known.map(|(name, _)| name.clone()) {
            self.made.push((validity, uids.to_vec()));
            self.waiting.push_back(name);
        }
    }

    /// This session leaves the open mailbox, after it has expunged these messages without a word (CLOSE): from now on it is one of the others.
    pub fn left(&mut self, selected: &Selected, expunged: &[u32]) {
        if let Some(told) = self.told.get_mut(&selected.name) {
            told.left(selected, expunged);
            self.waiting.push_back(selected.name.clone());
        }
    }

    /// One round, or a part of it: until the output is full or enough was looked at. Returns whether all is told.
    fn round(&mut self, context: &Context, out: &mut Out) -> Result<bool, Failed> {
        let mut asked = false;
        loop {
            while let Some(line) = self.lines.pop_front() {
                out.put(line);
                out.line("");
                if out.full() {
                    return Ok(false);
                }
            }
            for _ in 0..STATUS_A_STEP {
                let Some(name) = self.waiting.pop_front() else { break };
                self.look(&name, context, out);
            }
            if !self.waiting.is_empty() || out.full() {
                return Ok(false);
            }
            self.made.clear();
            if std::mem::replace(&mut asked, true) {
                return Ok(true);
            }
            self.ask(context, out)?;
        }
    }

    /// What happened since the last round?
    fn ask(&mut self, context: &Context, out: &mut Out) -> Result<(), Failed> {
        if self.accounts.is_empty() {
            return Ok(());
        }
        // Of all, even if one fails: from here on each can raise this session again.
        let raiser = context.notice.raiser();
        let looked: Vec<_> = self.accounts.iter().map(|account| account.store.look_around(&raiser)).collect();
        looked.into_iter().collect::<Result<(), _>>()?;
        let new_owners = self.reaches_others(context) && owners(context)? != self.owners;
        if new_owners || self.stale {
            self.find_accounts(context)?;
        }
        self.look_at_tree(context, new_owners)?;
        self.tell_annotations(context, out);
        Ok(())
    }

    /// Changed annotations, of mailboxes and of the account, that a wish is about. Those that ENABLE METADATA has told of already are passed over.
    fn tell_annotations(&mut self, context: &Context, out: &mut Out) {
        let utf8 = context.enabled.speaks_utf8();
        let Ok(access) = context.access() else { return };
        let of_server = self.wishes.iter().any(|wish| wish.events.has(Events::SERVER_METADATA));
        for account in &mut self.accounts {
            let (changed, last) = account.store.annotation_feed().after(account.annotated, context.serial);
            account.annotated = last;
            if context.enabled.metadata && account.owner.is_none() {
                continue;
            }
            let mine = account.owner.as_ref().map(|_| access.user.login.to_lowercase());
            for news in changed.chunk_by(|a, b| a.of == b.of) {
                let target = match news.first().map(|changed| &changed.of) {
                    Some(Some(folder)) => account.shown(folder).map(Target::Mailbox),
                    _ => Some(Target::Server).filter(|_| of_server && account.owner.is_none()),
                };
                let Some(target) = target.filter(|target| match target {
                    Target::Server => true,
                    Target::Mailbox(name) => {
                        self.names.get(name).is_some_and(|seen| seen.is_told(Events::METADATA))
                            && may_read(context, name)
                    }
                }) else {
                    continue;
                };
                let named = |changed: &Changed| annotations::named(&changed.entry, &mine);
                let entries: Vec<EntryName> = news.iter().filter_map(named).collect();
                annotations::write_names(&target, &entries, utf8, out);
            }
        }
    }

    /// Does a wish reach into other users' mailboxes?
    fn reaches_others(&self, context: &Context) -> bool {
        let Some(sharing) = context.sharing() else { return false };
        let reaches = |name: &Name| {
            context.may_be_elsewhere(name)
                || Name::parse(&sharing.prefix)
                    .is_ok_and(|prefix| *name == prefix || name.is_below(&prefix) || prefix.is_below(name))
        };
        self.wishes.iter().any(|wish| match &wish.of {
            Of::Personal => false,
            Of::Subscribed => self.subscriptions.iter().any(reaches),
            Of::Subtree(names) | Of::Mailboxes(names) => names.iter().any(reaches),
        })
    }

    /// Listen to all accounts that wishes are about.
    fn find_accounts(&mut self, context: &Context) -> Result<(), Failed> {
        let Ok(access) = context.access() else { return Ok(()) };
        let mut found = vec![(Arc::clone(&access.store), None, String::new())];
        self.subscriptions = access.store.subscriptions()?;
        if self.reaches_others(context)
            && let Some(sharing) = context.sharing()
        {
            sharing.shares.listen(context.notice.raiser());
            self.owners = owners(context)?;
            let stores = context.owners(&self.owners);
            found.extend(stores.map(|(owner, store)| {
                let prefix = format!("{}/{owner}/", sharing.prefix);
                (store, Some(owner), prefix)
            }));
        }
        let mut accounts = Vec::new();
        for (store, owner, prefix) in found {
            let is_it = |account: &&Account| Arc::ptr_eq(&account.store, &store) && account.prefix == prefix;
            if let Some(account) = self.accounts.iter().find(is_it) {
                accounts.push(account.clone());
                continue;
            }
            let raiser = context.notice.raiser();
            store.lookout().listen(raiser.clone());
            store.annotation_feed().listen(raiser);
            let tree = store.follow_tree()?;
            let (since, annotated) = (store.lookout().last(), store.annotation_feed().last());
            accounts.push(Account { store, owner, prefix, since, annotated, _tree: tree });
        }
        // Only now: on failure there are those that were there before, and the next round tries again.
        self.accounts = accounts;
        Ok(())
    }
}

impl Account {
    /// What the client calls this folder.
    fn shown(&self, folder: &Name) -> Option<Name> {
        if self.prefix.is_empty() {
            return Some(folder.clone());
        }
        Name::parse(&format!("{}{folder}", self.prefix)).ok()
    }
}

/// Who shares something with this user.
fn owners(context: &Context) -> Result<BTreeSet<String>, Error> {
    match (context.sharing(), context.access()) {
        (Some(sharing), Ok(access)) => sharing.shares.owners(&access.user.login, sharing.anyone),
        _ => Ok(BTreeSet::new()),
    }
}

/// RFC 5465 section 5: both rights, for every event.
fn may_read(context: &Context, name: &Name) -> bool {
    context.place(name).is_ok_and(|place| place.rights.has(names::NEEDED))
}

impl Context {
    /// Tell what happened in other mailboxes than the open one, if the client has asked for that, until the output is full. Returns whether all is told.
    pub fn tell_others(&mut self, out: &mut Out) -> bool {
        self.announce_annotations(out);
        let Some(mut notify) = self.notify.take() else { return true };
        let told = notify.round(self, out);
        let all = match told {
            Ok(all) => {
                notify.stale = false;
                all
            }
            Err(Failed::Store(error)) => {
                // Logged; the next change is another chance.
                drop(Reply::from(error));
                notify.stale = true;
                true
            }
            Err(Failed::Overflow) => {
                // RFC 5465 section 5.8: and as if NOTIFY NONE had been said.
                Reply::ok_code("NOTIFICATIONOVERFLOW", "Too many mailboxes to tell of: nothing is notified any more")
                    .write("*", out);
                *notify = Notify::default();
                true
            }
        };
        self.notify(notify);
        all
    }

    /// Do what NOTIFY says from now on.
    pub(super) fn notify(&mut self, notify: Box<Notify>) {
        let wants = notify.wants();
        self.notify = Some(notify);
        if let Ok(selected) = self.selected() {
            selected.view.want(wants);
        }
    }

    /// What to wait for between commands; `None` if nothing is told there.
    pub(super) fn ear(&self) -> Option<Notice> {
        let notify = self.notify.as_ref()?;
        (!notify.accounts.is_empty() || notify.wants() != Wants::Nothing).then(|| self.notice.clone())
    }

    /// This session put messages into a mailbox: its client need not be told of them.
    pub fn made(&mut self, mailbox: &Arc<Mailbox>, uids: &[u32]) {
        if let Ok(selected) = self.selected()
            && Arc::ptr_eq(&selected.mailbox, mailbox)
        {
            return selected.view.made(uids);
        }
        if let Some(notify) = &mut self.notify {
            notify.made(mailbox, uids);
        }
    }
}

#[cfg(test)]
mod tests;
