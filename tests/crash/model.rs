//! What must be there after a stop: the acknowledged operations, and of the one that was under way any part.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mailcote::mail::Flags;
use mailcote::store::{Name, Store};

use crate::script::{self, Number, Op, Script};

/// What survives: everything written (the process was killed), or only what was synced (the power was cut).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivor {
    Process,
    Disk,
}

/// Folders with their messages, how often each, with which flags; and subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    folders: BTreeMap<String, BTreeMap<Number, (u32, u8)>>,
    subscribed: BTreeSet<String>,
}

impl State {
    fn add(&mut self, folder: &str, number: Number, flags: u8) {
        let entry = self.folders.get_mut(folder).expect("a folder").entry(number).or_insert((0, flags));
        *entry = (entry.0 + 1, flags);
    }

    fn take(&mut self, folder: &str, number: Number) -> u8 {
        self.folders.get_mut(folder).and_then(|messages| messages.remove(&number)).expect("a message").1
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Open => ["INBOX", "Sent", "Trash"].into_iter().for_each(|folder| {
                self.folders.entry(folder.into()).or_default();
                if folder != "INBOX" {
                    self.subscribed.insert(folder.into());
                }
            }),
            Op::Deliver(folder, number) | Op::DropIn(folder, number) => self.add(folder, *number, 0),
            Op::Look(_) | Op::Wait => {}
            Op::Append(folder, numbers, flags) => numbers.iter().for_each(|n| self.add(folder, *n, flags.bits())),
            Op::Flag(folder, number, flags) => {
                let message = self.folders.get_mut(*folder).and_then(|f| f.get_mut(number)).expect("a message");
                message.1 |= flags.bits();
            }
            Op::Keyword(..) => {}
            Op::Copy(from, numbers, to) => numbers.iter().for_each(|n| {
                let flags = self.folders[*from][n].1;
                self.add(to, *n, flags);
            }),
            Op::Move(from, numbers, to) => numbers.iter().for_each(|n| {
                let flags = self.take(from, *n);
                self.add(to, *n, flags);
            }),
            Op::Expunge(folder, numbers) => numbers.iter().for_each(|n| drop_flags(self.take(folder, *n))),
            Op::Create(folder) => {
                let above = folder.match_indices('/').map(|(at, _)| &folder[..at]);
                for folder in above.chain([*folder]) {
                    self.folders.entry(folder.into()).or_default();
                }
            }
            Op::Rename("INBOX", to) => {
                let messages = std::mem::take(self.folders.get_mut("INBOX").expect("INBOX"));
                self.folders.insert((*to).into(), messages);
            }
            Op::Rename(from, to) => {
                for (name, messages) in std::mem::take(&mut self.folders) {
                    let renamed = match name.strip_prefix(from) {
                        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
                        _ => name,
                    };
                    self.folders.insert(renamed, messages);
                }
            }
            Op::Delete(folder) => drop(self.folders.remove(*folder)),
            Op::Subscribe(folder, true) => drop(self.subscribed.insert((*folder).into())),
            Op::Subscribe(folder, false) => drop(self.subscribed.remove(*folder)),
        }
    }
}

fn drop_flags(_: u8) {}

/// Compare the tree in `maildir` with what the child wrote down.
pub fn check(script: Script, survivor: Survivor, maildir: &Path, log: &[String], case: &str) {
    let done = log.iter().filter(|line| line.starts_with("done ")).count();
    let ops = script.ops();
    let mut before = State::default();
    script.before().iter().chain(&ops[..done]).for_each(|op| before.apply(op));
    let mut after = before.clone();
    let under_way = ops.get(done);
    under_way.into_iter().for_each(|op| after.apply(op));
    let case = format!("{case} (in {under_way:?})");
    if maildir.exists() {
        no_partial_file(maildir, &case);
    } else {
        assert!(before.folders.is_empty(), "{case}: the account is gone");
    }
    let store = script::open(maildir);
    let found = found(&store, &case);
    // Flags may be up to a second old after a power cut.
    let flags_count = survivor == Survivor::Process || ops[..done].iter().any(|op| matches!(op, Op::Wait));
    compare(&found, &before, &after, survivor, flags_count, &case);
    let told: Vec<Told> = log.iter().filter_map(|line| Told::parse(line)).collect();
    check_uids(&store, &told, under_way, &case);
}

/// Every name in new/ and cur/ is a whole message, before anybody repairs anything.
fn no_partial_file(maildir: &Path, case: &str) {
    for folder in fs::read_dir(maildir).expect("the Maildir").flatten().map(|e| e.path()).chain([maildir.to_owned()]) {
        for file in ["new", "cur"].iter().flat_map(|sub| fs::read_dir(folder.join(sub)).into_iter().flatten().flatten())
        {
            let stored = fs::read_to_string(file.path()).expect("text");
            if let Err(e) = script::number(&stored) {
                // Another program that did not sync is to blame for what it loses, as long as nobody was told of the message.
                let outside = file.file_name().to_string_lossy().contains("outside");
                assert!(outside && stored.is_empty(), "{case}: {}: {e}", file.path().display());
                fs::remove_file(file.path()).expect("the lost message");
            }
        }
    }
}

fn found(store: &Store, case: &str) -> State {
    let mut state = State::default();
    for folder in store.folders().unwrap_or_else(|e| panic!("{case}: LIST: {e}")) {
        if !folder.exists {
            continue;
        }
        let name = folder.name.as_str().to_owned();
        state.folders.insert(name.clone(), BTreeMap::new());
        let mailbox = store.mailbox(&folder.name).unwrap_or_else(|e| panic!("{case}: SELECT {name}: {e}"));
        let contents = script::contents(&mailbox).unwrap_or_else(|e| panic!("{case}: {name}: {e}"));
        for (uid, number) in contents {
            let flags = mailbox.message(uid).expect("a message").flags.without(Flags::DELETED).bits();
            state.add(&name, number, flags);
        }
    }
    let subscribed = store.subscriptions().unwrap_or_else(|e| panic!("{case}: LSUB: {e}"));
    state.subscribed = subscribed.into_iter().map(|name| name.as_str().to_owned()).collect();
    state
}

/// `found` must lie between `before` and `after`, folder by folder and message by message.
fn compare(found: &State, before: &State, after: &State, survivor: Survivor, flags_count: bool, case: &str) {
    let all = [found, before, after];
    let folders: BTreeSet<&String> = all.iter().flat_map(|state| state.folders.keys()).collect();
    for folder in folders {
        let has = |state: &State| state.folders.contains_key(folder);
        assert!(has(found) == has(before) || has(found) == has(after), "{case}: folder {folder}: {}", has(found));
    }
    let subscribed: BTreeSet<&String> = all.iter().flat_map(|state| &state.subscribed).collect();
    for name in subscribed {
        let has = |state: &State| state.subscribed.contains(name);
        assert!(has(found) == has(before) || has(found) == has(after), "{case}: subscription {name}");
    }
    let numbers: BTreeSet<Number> =
        all.iter().flat_map(|s| s.folders.values().flat_map(BTreeMap::keys)).copied().collect();
    for number in numbers {
        let count = |state: &State| state.folders.values().filter_map(|f| f.get(&number)).map(|m| m.0).sum::<u32>();
        let (least, most) = (count(before).min(count(after)), count(before).max(count(after)));
        // A move whose target is on the disk and whose source is not yet gone there: in both, never in none.
        let moved = places(before, number) != places(after, number) && survivor == Survivor::Disk;
        let most = if moved { count(before) + count(after) } else { most };
        let is = count(found);
        assert!(
            (least..=most).contains(&is),
            "{case}: message {number} is there {is} times, not {least} to {most}: {found:?}"
        );
        if places(before, number) == places(after, number) {
            assert_eq!(places(found, number), places(before, number), "{case}: message {number}");
        }
        if flags_count
            && flags(before, number) == flags(after, number)
            && places(before, number) == places(after, number)
        {
            assert_eq!(flags(found, number), flags(before, number), "{case}: flags of message {number}");
        }
    }
}

fn places(state: &State, number: Number) -> Vec<&String> {
    state.folders.iter().filter(|(_, messages)| messages.contains_key(&number)).map(|(name, _)| name).collect()
}

fn flags(state: &State, number: Number) -> Vec<(&String, u8)> {
    state.folders.iter().filter_map(|(name, messages)| Some((name, messages.get(&number)?.1))).collect()
}

/// A UID that a client knows.
struct Told {
    folder: String,
    validity: u32,
    uid: u32,
    number: Number,
}

impl Told {
    fn parse(line: &str) -> Option<Told> {
        let mut words = line.strip_prefix("told ")?.split(' ');
        let folder = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        Some(Told { folder, validity: number()?, uid: number()?, number: number()? })
    }
}

/// No UID that was told is another message now, none is given again, and no folder changed its UIDVALIDITY for nothing.
fn check_uids(store: &Store, told: &[Told], under_way: Option<&Op>, case: &str) {
    let renaming = |name: &str| match under_way {
        Some(Op::Rename(from, to)) => name.starts_with(from) || name.starts_with(to),
        Some(Op::Delete(folder) | Op::Create(folder)) => name == *folder,
        _ => false,
    };
    for name in told.iter().map(|t| &t.folder).collect::<BTreeSet<_>>() {
        let Ok(mailbox) = store.mailbox(&Name::parse(name).expect("a name")) else { continue };
        let contents: BTreeMap<u32, Number> = script::contents(&mailbox).expect("checked above").into_iter().collect();
        let latest = told.iter().rfind(|t| t.folder == *name).expect("one at least").validity;
        let replaced = told.iter().any(|t| t.folder != *name && t.validity == mailbox.uid_validity());
        if !renaming(name) && !replaced && !was_remade(name) {
            assert_eq!(mailbox.uid_validity(), latest, "{case}: UIDVALIDITY of {name}");
        }
        for one in told.iter().filter(|t| t.validity == mailbox.uid_validity() && t.folder == *name) {
            if let Some(number) = contents.get(&one.uid) {
                assert_eq!(*number, one.number, "{case}: UID {} of {name} is another message", one.uid);
            }
            assert!(one.uid < mailbox.uid_next(), "{case}: UID {} of {name} can be given again", one.uid);
        }
        // Its own message still has its UID, unless it was moved, copied or expunged since.
        for (uid, number) in &contents {
            let mut known = told
                .iter()
                .filter(|t| t.folder == *name && t.validity == mailbox.uid_validity() && t.number == *number);
            if let Some(first) = known.next() {
                let may = first.uid == *uid || known.any(|t| t.uid == *uid) || under_way.is_some();
                assert!(may, "{case}: message {number} of {name} had UID {} and has {uid}", first.uid);
            }
        }
    }
}

/// Folders that the scripts delete and make again, or whose name passes to another.
fn was_remade(name: &str) -> bool {
    ["A", "X", "A/B", "X/B", "Old"].contains(&name)
}
