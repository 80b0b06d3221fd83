//! Logins that were right a short time ago, so that a client that polls does not cost a password hash each time.
//!
//! Owns keyed hashes (HMAC-SHA-256 with a key that lives as long as the process) of login, password and version of the
//! users file: the table tells nothing about passwords to whoever reads it without the key, and a changed users file
//! makes every entry of it useless at once. Entries end ten minutes after the real check; using one does not prolong
//! it. Bounded; when full, all are forgotten, which costs each user one hash.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;

use crate::wire::Secret;

/// How long a login is remembered.
const LIFE: Duration = Duration::from_secs(600);
/// Entries: some 60 bytes each.
const MAX_ENTRIES: usize = 50_000;

type Tag = [u8; 32];

/// See the module.
pub struct Remembered {
    key: hmac::Key,
    entries: Mutex<HashMap<Tag, Instant>>,
}

impl Remembered {
    /// Nothing yet.
    pub fn new(key: [u8; 32]) -> Remembered {
        Remembered { key: hmac::Key::new(hmac::HMAC_SHA256, &key), entries: Mutex::default() }
    }

    /// Was this right a short time ago?
    pub fn knows(&self, version: u64, login: &str, password: &Secret, now: Instant) -> bool {
        let tag = self.tag(version, login, password);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.get(&tag) {
            Some(since) if now.saturating_duration_since(*since) < LIFE => true,
            Some(_) => {
                entries.remove(&tag);
                false
            }
            None => false,
        }
    }

    /// It was right just now.
    pub fn add(&self, version: u64, login: &str, password: &Secret, now: Instant) {
        let tag = self.tag(version, login, password);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, since| now.saturating_duration_since(*since) < LIFE);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(tag, now);
    }

    fn tag(&self, version: u64, login: &str, password: &Secret) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&version.to_be_bytes());
        // The length keeps login and password apart.
        context.update(&login.len().to_be_bytes());
        context.update(login.as_bytes());
        context.update(password.expose());
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_and_not_for_long() {
        let table = Remembered::new([7; 32]);
        let (now, right) = (Instant::now(), Secret::new("secret"));
        table.add(1, "alice", &right, now);
        assert!(table.knows(1, "alice", &right, now));
        assert!(table.knows(1, "alice", &right, now + LIFE - Duration::from_secs(1)));
        assert!(!table.knows(2, "alice", &right, now), "the users file changed");
        assert!(!table.knows(1, "alic", &Secret::new("esecret"), now), "parts are kept apart");
        assert!(!table.knows(1, "alice", &Secret::new("Secret"), now));
        assert!(!table.knows(1, "alice", &right, now + LIFE));
        assert!(table.entries.lock().unwrap().is_empty(), "an old entry goes");
    }

    #[test]
    fn bounded() {
        let table = Remembered::new([7; 32]);
        let now = Instant::now();
        for n in 0..=MAX_ENTRIES as u64 {
            table.add(n, "alice", &Secret::new("x"), now);
        }
        assert_eq!(table.entries.lock().unwrap().len(), 1);
    }
}
