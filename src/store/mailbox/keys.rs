//! What SORT and THREAD found out of most messages of the folder, kept in memory as long as it is open.
//!
//! Nothing here reads a file. What is kept is about UIDs; a UID never changes its message, and where that was not so after all
//! ([`super::super::cache`] is told) everything is forgotten, also what is on its way here ([`Since`]).

use std::sync::Arc;

use super::super::cache::{Kin, Ranks, SortKey};
use super::Mailbox;

/// When somebody began to look at messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(u64);

impl Mailbox {
    /// Now: to be taken before the first message is looked at.
    pub fn since(&self) -> Since {
        Since(self.cache.kept().epoch())
    }

    /// How messages stand by this key, if somebody has found that out; newer messages are not in it.
    pub fn ranks(&self, key: SortKey) -> Option<Arc<Ranks>> {
        self.cache.kept().ranks(key)
    }

    /// Keep that, if it is about most messages.
    pub fn keep_ranks(&self, since: Since, key: SortKey, ranks: Ranks) {
        let messages = self.read(<[_]>::len);
        self.cache.kept().keep_ranks(since.0, key, ranks, messages);
    }

    /// Who refers to whom, if somebody has found that out; newer messages are not in it.
    pub fn kin(&self) -> Option<Arc<Kin>> {
        self.cache.kept().kin()
    }

    /// Keep that, if it is about most messages.
    pub fn keep_kin(&self, since: Since, kin: &Arc<Kin>) {
        let messages = self.read(<[_]>::len);
        self.cache.kept().keep_kin(since.0, Arc::clone(kin), messages);
    }
}
