//! Results of SEARCH that are kept up to date (RFC 5267 section 4.3: UPDATE, CANCELUPDATE, ADDTO, REMOVEFROM).
//!
//! Each has its criteria and the UIDs that matched when the client was last told. What leaves the mailbox is told before its EXPUNGE, since its number
//! means nothing behind it ([`Updates::before`]); new messages and changed flags behind EXISTS and FETCH ([`Updates::after`]), and only
//! these messages are looked at again, with the search's own bounded steps. Positions are 0: results are in the order
//! of the mailbox. Message numbers in the criteria became UIDs when the command came, as RFC 5267 wants it.
//!
//! A search can ask for FETCH responses of the new messages that match it (RFC 5465 section 7); flags that make an old message match bring none. The RFC
//! wants these between EXISTS and ESEARCH (section 7), but where NOTIFY asks for such responses, too, one response with the items of both behind
//! all ESEARCH (section 5.2): so it is here.
//!
//! Bounds: [`MAX_UPDATES`] in a session; each holds four bytes a matching message. They end with the mailbox.

use super::cmd::fetch::Fetch;
use super::context::Selected;
use super::enabled::Enabled;
use super::job::Progress;
use super::parse::fetch::Item;
use super::parse::search::{Key, Search};
use super::parse::{MessageSet, SequenceSet, SetRange};
use super::response;
use super::search::Program;
use super::searching::Searching;
use super::view::View;
use crate::store;
use crate::wire::Out;

/// Results kept up to date in one session. Clients have one a virtual folder that is open.
pub const MAX_UPDATES: usize = 10;

/// All of a session.
#[derive(Default)]
pub struct Updates {
    list: Vec<Update>,
    /// The one that is being looked at again: its place, and what may have changed (ascending UIDs).
    busy: Option<(usize, Vec<u32>, Searching)>,
    /// Messages that came, and what is to be told of them.
    news: News,
    /// Responses that are being written, and the line behind them.
    pushing: Option<(Box<Fetch>, String)>,
}

/// New messages of one announcement.
#[derive(Default)]
struct News {
    /// UIDs, ascending.
    uids: Vec<u32>,
    /// What NOTIFY wants of each; empty: nothing.
    items: Vec<Item>,
    /// What searches want of some of them, too.
    more: Vec<(Vec<u32>, Vec<Item>)>,
    enabled: Enabled,
}

/// One of them.
struct Update {
    tag: String,
    by_uid: bool,
    search: Search,
    /// What is to be fetched of new messages that match.
    items: Vec<Item>,
    /// UIDs that the client believes to match, ascending.
    matching: Vec<u32>,
    /// The mailbox as it was when that was found out: everything with a higher mod-sequence is to be looked at.
    seen: Seen,
}

/// How far a view has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Generation of the mailbox.
    pub generation: u64,
    /// Mod-sequence.
    pub modseq: u64,
}

/// An update whose search is not over.
pub struct Beginning {
    search: Search,
    items: Vec<Item>,
    seen: Seen,
}

impl Beginning {
    /// Of a search that begins now, with what it wants fetched of new messages.
    pub fn new(search: &Search, items: Vec<Item>, view: &View) -> Beginning {
        Beginning { search: resolved(search.clone(), view), items, seen: view.seen() }
    }
}

impl Updates {
    /// Has a command with this tag asked for updates?
    pub fn has(&self, tag: &str) -> bool {
        self.list.iter().any(|update| update.tag == tag)
    }

    /// Keep a result up to date. Returns whether there was room.
    pub fn add(&mut self, tag: &str, by_uid: bool, beginning: Beginning, matching: Vec<u32>) -> bool {
        if self.list.len() >= MAX_UPDATES {
            return false;
        }
        let Beginning { search, items, seen } = beginning;
        self.list.push(Update { tag: tag.to_owned(), by_uid, search, items, matching, seen });
        true
    }

    /// Do not any more. Returns whether it was there.
    pub fn cancel(&mut self, tag: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|update| update.tag != tag);
        self.list.len() < before
    }

    /// There are no message numbers any more (RFC 9586): what was asked by number is told by UID from now on.
    pub fn forget_numbers(&mut self) {
        self.list.iter_mut().for_each(|update| update.by_uid = true);
    }

    /// Is one being looked at again? Then nothing else may be announced: message numbers must hold.
    pub fn is_busy(&self) -> bool {
        self.busy.is_some() || self.pushing.is_some() || !self.news.uids.is_empty()
    }

    /// Messages came: NOTIFY wants these items of each, or none.
    pub fn came(&mut self, uids: Vec<u32>, items: Vec<Item>, enabled: Enabled) {
        if !items.is_empty() || self.list.iter().any(|update| !update.items.is_empty()) {
            self.news = News { uids, items, more: Vec::new(), enabled };
        }
    }

    /// Tell of messages that are about to be expunged: their numbers and UIDs, ascending.
    pub fn before(&mut self, leaving: &[(u32, u32)], out: &mut Out) {
        for update in &mut self.list {
            let gone: Vec<(u32, u32)> =
                leaving.iter().copied().filter(|(_, uid)| update.matching.binary_search(uid).is_ok()).collect();
            if gone.is_empty() {
                continue;
            }
            update.matching.retain(|uid| gone.binary_search_by_key(uid, |row| row.1).is_err());
            let names = gone.iter().map(|(number, uid)| if update.by_uid { *uid } else { *number });
            out.line(update.response(&[("REMOVEFROM", response::set(names))]));
        }
    }
}

impl Update {
    /// RFC 5267 sections 4.3.3 and 4.3.4.
    fn response(&self, items: &[(&str, String)]) -> String {
        let uid = if self.by_uid { " UID" } else { "" };
        let mut line = format!("* ESEARCH (TAG \"{}\"){uid}", self.tag);
        for (name, set) in items.iter().filter(|(_, set)| !set.is_empty()) {
            line.push_str(&format!(" {name} (0 {set})"));
        }
        line
    }
}

/// Tell how results changed by new messages and new flags, until the step is over or the output is full. Returns whether all is told. Everything
/// that the view has collected must be written.
pub fn after(selected: &mut Selected, out: &mut Out) -> store::Result<bool> {
    let mut updates = std::mem::take(&mut selected.updates);
    let done = updates.look_again(selected, out);
    selected.updates = updates;
    done
}

impl Updates {
    fn look_again(&mut self, selected: &mut Selected, out: &mut Out) -> store::Result<bool> {
        loop {
            if out.full() {
                return Ok(false);
            }
            if let Some((mut fetch, line)) = self.pushing.take() {
                match fetch.go_on(selected, out) {
                    Progress::Done(_) if line.is_empty() => {}
                    // Why a message could not be told of is in the log; the client finds it there and asks for it.
                    Progress::Done(_) => out.line(line),
                    Progress::Abort => {
                        selected.broken = true;
                        return Ok(true);
                    }
                    _ => {
                        self.pushing = Some((fetch, line));
                        return Ok(false);
                    }
                }
            }
            if self.busy.is_none() {
                self.busy = self.begin(selected);
            }
            let Some((at, changed, mut searching)) = self.busy.take() else {
                self.pushing = self.news.next(&selected.view).map(|fetch| (Box::new(fetch), String::new()));
                if self.pushing.is_none() {
                    return Ok(true);
                }
                continue;
            };
            match searching.step(selected, None, out) {
                Ok(true) => {}
                Ok(false) => {
                    self.busy = Some((at, changed, searching));
                    return Ok(false);
                }
                // Logged where it became a reply; the next change is another chance.
                Err(_) => continue,
            }
            let (found, _) = searching.finish();
            let Some(update) = self.list.get_mut(at) else { continue };
            let Some((line, added)) = update.merge(&changed, &found, &selected.view) else { continue };
            let new: Vec<u32> = added.into_iter().filter(|uid| self.news.uids.binary_search(uid).is_ok()).collect();
            if update.items.is_empty() || new.is_empty() {
                out.line(line);
            } else if self.news.items.is_empty() {
                let fetch = Fetch::push(update.items.clone(), &new, &selected.view, self.news.enabled);
                self.pushing = Some((Box::new(fetch), line));
            } else {
                out.line(line);
                self.news.more.push((new, update.items.clone()));
            }
        }
    }

    /// Look at the next one for which something happened.
    fn begin(&mut self, selected: &Selected) -> Option<(usize, Vec<u32>, Searching)> {
        let (view, mailbox) = (&selected.view, &selected.mailbox);
        let seen = view.seen();
        for (at, update) in self.list.iter_mut().enumerate() {
            if update.seen == seen {
                continue;
            }
            let before = std::mem::replace(&mut update.seen, seen).modseq;
            let changed: Vec<u32> = mailbox.read(|messages| {
                messages.iter().filter(|message| message.modseq > before).map(|message| message.uid).collect()
            });
            let changed: Vec<u32> = changed.into_iter().filter(|uid| view.number(*uid).is_some()).collect();
            if changed.is_empty() {
                continue;
            }
            // Anew each time: a keyword may have got its number only now.
            if let Ok(program) = Program::new(update.search.clone(), view, &mailbox.keywords()) {
                return Some((at, changed.clone(), Searching::only(program, changed)));
            }
        }
        None
    }
}

impl News {
    /// The next of the messages with the same items.
    fn next(&mut self, view: &View) -> Option<Fetch> {
        if self.items.is_empty() {
            self.uids.clear();
        }
        let first = *self.uids.first()?;
        let items = self.items_of(first);
        let end = self.uids.iter().position(|uid| self.items_of(*uid) != items).unwrap_or(self.uids.len());
        let uids: Vec<u32> = self.uids.drain(..end).collect();
        Some(Fetch::push(items, &uids, view, self.enabled))
    }

    fn items_of(&self, uid: u32) -> Vec<Item> {
        let mut items = self.items.clone();
        for (_, more) in self.more.iter().filter(|(uids, _)| uids.binary_search(&uid).is_ok()) {
            for item in more {
                if !items.contains(item) {
                    items.push(item.clone());
                }
            }
        }
        items
    }
}

impl Update {
    /// Of `changed` UIDs just these message numbers match now: the response, and what was added.
    fn merge(&mut self, changed: &[u32], found: &[u32], view: &View) -> Option<(String, Vec<u32>)> {
        let found: Vec<u32> = found.iter().filter_map(|number| view.uid(*number)).collect();
        let matched = |uid: &u32| self.matching.binary_search(uid).is_ok();
        let matches = |uid: &u32| found.binary_search(uid).is_ok();
        let added: Vec<u32> = changed.iter().copied().filter(|uid| matches(uid) && !matched(uid)).collect();
        let removed: Vec<u32> = changed.iter().copied().filter(|uid| !matches(uid) && matched(uid)).collect();
        if added.is_empty() && removed.is_empty() {
            return None;
        }
        self.matching.retain(|uid| removed.binary_search(uid).is_err());
        self.matching.extend(&added);
        self.matching.sort_unstable();
        let name = |uid: &u32| if self.by_uid { Some(*uid) } else { view.number(*uid) };
        let set = |uids: &[u32]| response::set(uids.iter().filter_map(name));
        Some((self.response(&[("REMOVEFROM", set(&removed)), ("ADDTO", set(&added))]), added))
    }
}

/// The same criteria with UIDs where there are message numbers, `*` and `$`.
fn resolved(mut search: Search, view: &View) -> Search {
    let uids = |ranges: Vec<(u32, u32)>| {
        let range = |(low, high)| SetRange { first: Some(low), last: Some(high) };
        Key::Uids(MessageSet::Set(SequenceSet(ranges.into_iter().map(range).collect())))
    };
    for key in &mut search.keys {
        *key = match std::mem::replace(key, Key::All) {
            Key::Numbers(MessageSet::Saved) | Key::Uids(MessageSet::Saved) => uids(view.saved().to_vec()),
            Key::Numbers(MessageSet::Set(set)) => {
                let ranges = set.normalize(view.count()).into_iter();
                let range = |(low, high): (u32, u32)| Some((view.uid(low)?, view.uid(high.min(view.count()))?));
                uids(ranges.filter_map(range).collect())
            }
            other => other,
        };
    }
    search
}
