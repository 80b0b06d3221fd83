//! What the records of a journal amount to: the folder's memory, and the shortest list of records that says the same.
//!
//! Pure values. Never fails; bounded by [`MAX_EXPUNGED`].

use std::collections::{BTreeMap, VecDeque};

use super::{Folder, Known, MAX_EXPUNGED, Record};

/// What the records of a journal amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// UIDVALIDITY, UIDNEXT and GUID, as in the uidlist's header.
    pub folder: Option<Folder>,
    /// Messages by UID.
    pub messages: BTreeMap<u32, Known>,
    /// Expunged UIDs with the mod-sequence of their going, oldest first.
    pub expunged: VecDeque<(u64, u32)>,
    /// Expunges up to this mod-sequence may be missing in `expunged`.
    pub forgotten: u64,
    /// Names of keywords 26 to 127.
    pub keywords: BTreeMap<u8, String>,
    /// UIDs below this were told to a session as \Recent.
    pub recent_below: u32,
    /// The greatest mod-sequence of all.
    pub highest_modseq: u64,
    /// No UID below this was never given: above every UID that a record spoke of, forgotten ones included.
    pub next_uid: u32,
}

impl State {
    /// Take in one record. Later records win.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Folder(folder) => {
                if self.folder.as_ref().is_none_or(|f| f.uid_validity != folder.uid_validity) {
                    self.forget();
                }
                let next_uid = folder.next_uid;
                self.folder = Some(folder);
                self.raise_next_uid(next_uid);
            }
            Record::Message { uid, known } => {
                self.raise_next_uid(uid + 1);
                self.highest_modseq = self.highest_modseq.max(known.modseq);
                self.messages.insert(uid, known);
            }
            Record::Flags { modseq, flags, keywords, uids } => {
                self.highest_modseq = self.highest_modseq.max(modseq);
                for uid in uids {
                    if let Some(known) = self.messages.get_mut(&uid) {
                        (known.modseq, known.flags, known.keywords) = (modseq, flags, keywords);
                    }
                }
            }
            Record::Base { uid, base } => {
                if let Some(known) = self.messages.get_mut(&uid) {
                    known.base = base;
                }
            }
            Record::Expunged { modseq, uids } => {
                self.highest_modseq = self.highest_modseq.max(modseq);
                for uid in uids {
                    self.raise_next_uid(uid + 1);
                    self.messages.remove(&uid);
                    self.expunged.push_back((modseq, uid));
                }
                while self.expunged.len() > MAX_EXPUNGED {
                    let dropped = self.expunged.pop_front().map_or(0, |(modseq, _)| modseq);
                    self.forgotten = self.forgotten.max(dropped);
                }
            }
            Record::Keyword { number, name } => drop(self.keywords.insert(number, name)),
            Record::Recent { below } => self.recent_below = self.recent_below.max(below),
            Record::Modseq { highest, forgotten } => {
                self.highest_modseq = self.highest_modseq.max(highest);
                self.forgotten = self.forgotten.max(forgotten);
            }
        }
    }

    /// What was said so far is about other UIDs altogether, or nobody knows about which.
    pub fn forget(&mut self) {
        let highest_modseq = self.highest_modseq;
        *self = State { highest_modseq, forgotten: highest_modseq, ..State::default() };
    }

    /// Kept in the folder's record, too: the one that told of the greatest UID may be among those that are forgotten.
    fn raise_next_uid(&mut self, next_uid: u32) {
        self.next_uid = self.next_uid.max(next_uid);
        if let Some(folder) = &mut self.folder {
            folder.next_uid = self.next_uid;
        }
    }

    /// The shortest list of records that amounts to this.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let modseq = Record::Modseq { highest: self.highest_modseq, forgotten: self.forgotten };
        let head = self.folder.clone().map(Record::Folder).into_iter();
        let head = head.chain([modseq, Record::Recent { below: self.recent_below }]);
        let keywords = self.keywords.iter().map(|(n, name)| Record::Keyword { number: *n, name: name.clone() });
        let messages = self.messages.iter().map(|(uid, known)| Record::Message { uid: *uid, known: known.clone() });
        let mut expunged: Vec<(u64, Vec<u32>)> = Vec::new();
        for (modseq, uid) in &self.expunged {
            match expunged.last_mut() {
                Some((last, uids)) if last == modseq => uids.push(*uid),
                _ => expunged.push((*modseq, vec![*uid])),
            }
        }
        let expunged = expunged.into_iter().map(|(modseq, mut uids)| {
            // Two batches may have had one mod-sequence.
            uids.sort_unstable();
            Record::Expunged { modseq, uids }
        });
        head.chain(keywords).chain(messages).chain(expunged)
    }
}
