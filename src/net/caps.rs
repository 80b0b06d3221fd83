//! How many connections there may be: over all, and from one address.
//!
//! Owns two counters; a connection holds an [`Admission`] and gives it back on drop. An IPv6 customer has a whole /64,
//! so a /64 counts as one address. The number per user belongs to `account`, which knows users.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Settings;

/// The counters.
pub struct Caps {
    max_connections: usize,
    max_per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Leave to be connected; given back on drop.
pub struct Admission {
    caps: Arc<Caps>,
    /// The counted address, if it has a limit of its own.
    address: Option<IpAddr>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All places are taken.
    #[error("too many connections in all (limits.connections)")]
    Total,
    /// This address has its share.
    #[error("too many connections from this address (limits.connections_per_address)")]
    Address,
}

impl Caps {
    /// Counters at zero.
    pub fn new(settings: &Settings) -> Arc<Caps> {
        Arc::new(Caps {
            max_connections: settings.max_connections,
            max_per_address: settings.max_per_address,
            counts: Mutex::default(),
        })
    }

    /// One more connection, over all. The address is counted later ([`Admission::count`]), since behind a proxy it is not known yet.
    pub fn admit(self: &Arc<Self>) -> Result<Admission, Full> {
        let mut counts = self.counts();
        if counts.total >= self.max_connections {
            return Err(Full::Total);
        }
        counts.total += 1;
        Ok(Admission { caps: self.clone(), address: None })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// Count this connection for its address too. Called once, for addresses that have a limit.
    pub fn count(&mut self, address: IpAddr) -> Result<(), Full> {
        let key = counted(address);
        let mut counts = self.caps.counts();
        let n = counts.by_address.entry(key).or_default();
        if *n >= self.caps.max_per_address {
            return Err(Full::Address);
        }
        *n += 1;
        self.address = Some(key);
        Ok(())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.caps.counts();
        counts.total -= 1;
        if let Some(address) = self.address
            && let Some(n) = counts.by_address.get_mut(&address)
        {
            *n -= 1;
            if *n == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

/// What an address is counted as: itself, or its /64.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(max_connections: usize, max_per_address: usize) -> Arc<Caps> {
        Caps::new(&Settings { max_connections, max_per_address, ..Settings::default() })
    }

    fn enter(caps: &Arc<Caps>, address: &str) -> Result<Admission, Full> {
        let mut admission = caps.admit()?;
        admission.count(address.parse().unwrap())?;
        Ok(admission)
    }

    #[test]
    fn counts_over_all_and_per_address_and_gives_back() {
        let caps = caps(3, 2);
        let one = enter(&caps, "192.0.2.1").unwrap();
        let _two = enter(&caps, "192.0.2.1").unwrap();
        assert_eq!(enter(&caps, "192.0.2.1").err(), Some(Full::Address));
        let _three = enter(&caps, "192.0.2.2").unwrap();
        assert_eq!(enter(&caps, "192.0.2.3").err(), Some(Full::Total));
        drop(one);
        assert!(enter(&caps, "::ffff:192.0.2.1").is_ok());
    }

    #[test]
    fn a_v6_customer_is_one_address_and_nothing_is_left_behind() {
        let caps = caps(9, 1);
        let one = enter(&caps, "2001:db8::1").unwrap();
        assert_eq!(enter(&caps, "2001:db8::ffff:2").err(), Some(Full::Address));
        assert!(enter(&caps, "2001:db8:0:1::1").is_ok());
        drop(one);
        assert!(caps.counts().by_address.is_empty());
        assert_eq!(caps.counts().total, 0);
    }
}
