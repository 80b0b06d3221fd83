//! A client that opens nothing and asks nothing: it says NOTIFY once, and believes what it is told of all mailboxes from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailcote::imap::Shared;
use mailcote::wire::{Event, Want};

use crate::client::Wire;

/// Numbers of STATUS by their names.
pub type Counters = BTreeMap<String, u64>;

/// What is told of every mailbox.
const ITEMS: [&str; 5] = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ"];

/// The client.
pub struct Watcher {
    wire: Wire,
    /// What it believes of each mailbox, by name.
    pub known: BTreeMap<String, Counters>,
    pub subscribed: BTreeSet<String>,
}

impl Watcher {
    /// Log in, learn what there is, and ask to be told of it from then on.
    pub fn new(shared: &Arc<Shared>, show: bool) -> Watcher {
        let mut watcher =
            Watcher { wire: Wire::new(shared, 9, show), known: BTreeMap::new(), subscribed: BTreeSet::new() };
        watcher.wire.exchange(Event::Opened, "");
        watcher.say("login alice@demo.test alice-secret");
        watcher.say("enable condstore");
        watcher.say("list \"\" * return (subscribed)");
        watcher
            .say("notify set status (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))");
        watcher
    }

    /// Hear what was told since.
    pub fn listen(&mut self) {
        while let Want::InputOrNotice(notice) = &self.wire.want
            && notice.take()
        {
            for line in self.wire.exchange(Event::Notice, "") {
                self.believe(&line);
            }
        }
    }

    fn say(&mut self, command: &str) {
        let lines = self.wire.exchange(Event::Input, &format!("a {command}\r\n"));
        assert!(lines.iter().any(|line| line.starts_with("a OK ")), "{command}: {lines:?}");
        lines.iter().for_each(|line| self.believe(line));
    }

    fn believe(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("* STATUS ") {
            let (name, items) = rest.split_once(" (").expect("items");
            let words: Vec<&str> = items.trim_end_matches(')').split(' ').collect();
            let known = self.known.entry(name.to_owned()).or_default();
            for pair in words.chunks(2) {
                known.insert(pair[0].to_owned(), pair[1].parse().expect("a number"));
            }
        }
        let Some(rest) = line.strip_prefix("* LIST (") else { return };
        let (flags, rest) = rest.split_once(") \"/\" ").expect("a name");
        let (name, old) = match rest.split_once(" (\"OLDNAME\" (") {
            Some((name, old)) => (name, Some(old.trim_end_matches(')'))),
            None => (rest, None),
        };
        if let Some(old) = old {
            self.rename(old, name);
        }
        let is = |flag: &str| flags.split(' ').any(|word| word == flag);
        if is("\\NonExistent") {
            self.known.remove(name);
        } else {
            self.known.entry(name.to_owned()).or_default();
        }
        if is("\\Subscribed") {
            self.subscribed.insert(name.to_owned());
        } else {
            self.subscribed.remove(name);
        }
    }

    /// RFC 5465 section 5.4: what is below is renamed, too, and not told.
    fn rename(&mut self, old: &str, new: &str) {
        if old == "INBOX" {
            return;
        }
        let moved: Vec<String> =
            self.known.keys().filter(|name| *name == old || name.starts_with(&format!("{old}/"))).cloned().collect();
        for name in moved {
            let counters = self.known.remove(&name).unwrap_or_default();
            self.known.insert(format!("{new}{}", &name[old.len()..]), counters);
        }
    }
}

/// What a client learns that asks for everything now.
pub fn look(shared: &Arc<Shared>, show: bool) -> (BTreeMap<String, Counters>, BTreeSet<String>) {
    let mut fresh = Watcher { wire: Wire::new(shared, 8, show), known: BTreeMap::new(), subscribed: BTreeSet::new() };
    fresh.wire.exchange(Event::Opened, "");
    fresh.say("login alice@demo.test alice-secret");
    fresh.say("list \"\" * return (subscribed)");
    // Subscribed names that are no mailboxes, too.
    fresh.say("list (subscribed) \"\" *");
    let names: Vec<String> = fresh.known.keys().cloned().collect();
    for name in names {
        fresh.say(&format!("status {name} ({})", ITEMS.join(" ")));
    }
    (fresh.known, fresh.subscribed)
}

/// Is what was told of a mailbox true? A new and empty one is told by its name only, and its counters with the first message.
pub fn is_true(believed: &Counters, now: &Counters) -> bool {
    if believed.is_empty() {
        return now["MESSAGES"] == 0;
    }
    believed.iter().all(|(item, value)| now.get(item) == Some(value))
}
