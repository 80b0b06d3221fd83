//! Slows those who guess passwords.
//!
//! Owns a count of failures for each address (IPv6: each /64, which is what one customer has) and each login name. The
//! count halves with time. From it comes a pause *before* the next check, so that somebody who hangs up instead of
//! waiting for the answer gains nothing. Both counts matter: one address that tries many names, and many addresses that
//! try one. The pause has an upper end: a stranger must not be able to lock a user out, and a remembered login does not
//! come here at all. Loopback and the networks that the configuration names are neither counted nor slowed.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::Network;

/// Failures that cost nothing: people mistype, and clients try an old password on several connections.
const FREE: u32 = 3;
/// The first pause; each further failure doubles it.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause: below the 30 s and more that clients wait for a reply.
const LONGEST: Duration = Duration::from_secs(16);
/// A count halves in this time.
const HALF_LIFE: Duration = Duration::from_secs(300);
/// The highest count, so that it is forgotten within an hour.
const HIGHEST: u32 = 1000;
/// Entries in each table: some 100 bytes each. When it is full, those that count least go.
const MAX_ENTRIES: usize = 20_000;

/// See the module.
pub struct Slow {
    exempt: Vec<Network>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    addresses: HashMap<IpAddr, Count>,
    logins: HashMap<String, Count>,
}

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    last: Instant,
}

impl Count {
    fn at(self, now: Instant) -> u32 {
        let halvings = now.saturating_duration_since(self.last).as_secs() / HALF_LIFE.as_secs();
        u32::try_from(halvings).ok().and_then(|n| self.failures.checked_shr(n)).unwrap_or(0)
    }
}

impl Slow {
    /// Nobody has failed yet.
    pub fn new(exempt: Vec<Network>) -> Slow {
        Slow { exempt, tables: Mutex::default() }
    }

    /// How long the next check for this address and login has to wait.
    pub fn pause(&self, ip: IpAddr, login: &str, now: Instant) -> Duration {
        if self.is_exempt(ip) {
            return Duration::ZERO;
        }
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let address = tables.addresses.get(&source(ip)).map_or(0, |count| count.at(now));
        let login = tables.logins.get(login).map_or(0, |count| count.at(now));
        let over = address.max(login).saturating_sub(FREE);
        match over {
            0 => Duration::ZERO,
            over => LONGEST.min(FIRST * 2u32.saturating_pow(over.min(16) - 1)),
        }
    }

    /// A check failed.
    pub fn failed(&self, ip: IpAddr, login: &str, now: Instant) {
        if self.is_exempt(ip) {
            return;
        }
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut tables.addresses, source(ip), now);
        count(&mut tables.logins, login.to_owned(), now);
    }

    /// A check succeeded: this login is no longer suspect. The address is: a guesser may own an account here.
    pub fn succeeded(&self, login: &str) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).logins.remove(login);
    }

    fn is_exempt(&self, ip: IpAddr) -> bool {
        ip.to_canonical().is_loopback() || self.exempt.iter().any(|network| network.contains(ip))
    }
}

fn count<K: Hash + Eq>(table: &mut HashMap<K, Count>, key: K, now: Instant) {
    if table.len() >= MAX_ENTRIES && !table.contains_key(&key) {
        make_room(table, now);
    }
    let entry = table.entry(key).or_insert(Count { failures: 0, last: now });
    entry.failures = (entry.at(now) + 1).min(HIGHEST);
    entry.last = now;
}

/// Drop at least half: first what has decayed, then the lowest counts.
fn make_room<K: Hash + Eq>(table: &mut HashMap<K, Count>, now: Instant) {
    let mut floor = 1;
    while table.len() > MAX_ENTRIES / 2 {
        table.retain(|_, count| count.at(now) > floor);
        floor *= 2;
    }
}

/// What counts as one source.
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn pauses_grow_end_and_decay() {
        let slow = Slow::new(Vec::new());
        let start = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pauses.push(slow.pause(ip("192.0.2.1"), "alice", start).as_millis());
            slow.failed(ip("192.0.2.1"), "alice", start);
        }
        assert_eq!(pauses, [0, 0, 0, 0, 500, 1000, 2000, 4000, 8000, 16000, 16000, 16000]);
        assert_eq!(slow.pause(ip("192.0.2.1"), "alice", start + HALF_LIFE), Duration::from_secs(2));
        assert_eq!(slow.pause(ip("192.0.2.1"), "alice", start + 4 * HALF_LIFE), Duration::ZERO);
        assert_eq!(slow.pause(ip("192.0.2.1"), "alice", start + 400 * HALF_LIFE), Duration::ZERO);
    }

    #[test]
    fn address_and_login_both_count() {
        let slow = Slow::new(Vec::new());
        let now = Instant::now();
        for n in 0..8 {
            slow.failed(ip("2001:db8::1"), &format!("user{n}"), now);
            slow.failed(ip(&format!("198.51.100.{n}")), "bob", now);
        }
        assert!(slow.pause(ip("2001:db8::ffff:2"), "fresh", now) > Duration::ZERO, "same /64");
        assert_eq!(slow.pause(ip("2001:db8:0:1::1"), "fresh", now), Duration::ZERO, "another /64");
        assert!(slow.pause(ip("203.0.113.9"), "bob", now) > Duration::ZERO);
        slow.succeeded("bob");
        assert_eq!(slow.pause(ip("203.0.113.9"), "bob", now), Duration::ZERO);
    }

    #[test]
    fn some_are_exempt() {
        let slow = Slow::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let now = Instant::now();
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.9.9.9"] {
            for _ in 0..20 {
                slow.failed(ip(address), "alice", now);
            }
            assert_eq!(slow.pause(ip(address), "alice", now), Duration::ZERO, "{address}");
        }
        assert_eq!(slow.pause(ip("192.0.2.1"), "alice", now), Duration::ZERO, "they did not count against the login");
    }

    #[test]
    fn the_tables_are_bounded() {
        let slow = Slow::new(Vec::new());
        let now = Instant::now();
        for _ in 0..10 {
            slow.failed(ip("192.0.2.1"), "alice", now);
        }
        for n in 0..(MAX_ENTRIES as u128 * 3) {
            slow.failed(IpAddr::V6(Ipv6Addr::from_bits((0x2001 << 112) + (n << 64))), &format!("{n}"), now);
        }
        let tables = slow.tables.lock().unwrap();
        assert!(tables.addresses.len() <= MAX_ENTRIES && tables.logins.len() <= MAX_ENTRIES);
        drop(tables);
        assert_eq!(slow.pause(ip("203.0.113.9"), "alice", now), LONGEST, "the worst are kept");
    }
}
