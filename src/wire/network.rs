//! A block of IP addresses, as the configuration writes it: `192.0.2.0/24`, `2001:db8::/32`, or one address.
//!
//! Owns nothing. Refuses a prefix that is too long and an address with bits set behind the prefix, since that is
//! nearly always a typing mistake.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses. An IPv4 address that came in over an IPv6 socket (`::ffff:192.0.2.1`) counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// 127.0.0.0/8.
    pub const LOOPBACK_V4: Network = Network { base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 };
    /// ::1.
    pub const LOOPBACK_V6: Network = Network { base: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 };

    /// Does the address lie in this block?
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => (base.to_bits() ^ address.to_bits()) & mask_v4(self.prefix) == 0,
            (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits() ^ address.to_bits()) & mask_v6(self.prefix) == 0,
            _ => false,
        }
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// Why a text is not a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Neither an IPv4 nor an IPv6 address before the `/`.
    #[error("`{0}` is not an IP address or network; write for example 192.0.2.0/24 or 2001:db8::/32")]
    Address(String),
    /// Not a number after the `/`, or more than 32 (IPv4) or 128 (IPv6).
    #[error("`{0}`: the number after the / must be 0 to {1}")]
    Prefix(String, u8),
    /// Bits are set behind the prefix.
    #[error("`{0}` has bits set after its prefix; did you mean {1}?")]
    Bits(String, Network),
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let written: IpAddr = address.parse().map_err(|_| BadNetwork::Address(text.into()))?;
        let most = if written.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) => match digits.parse() {
                Ok(n) if n <= most && digits.bytes().all(|b| b.is_ascii_digit()) => n,
                _ => return Err(BadNetwork::Prefix(text.into(), most)),
            },
        };
        let base = match written {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask_v4(prefix))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask_v6(prefix))),
        };
        let network = Network { base, prefix };
        if base == written { Ok(network) } else { Err(BadNetwork::Bits(text.into(), network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.base.is_ipv4() { 32 } else { 128 };
        if self.prefix == most { write!(f, "{}", self.base) } else { write!(f, "{}/{}", self.base, self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_by_prefix() {
        for (network, address, inside) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_network() {
        for text in ["", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+1", "::1/129", "1.2.3.4/", "1.2.3.4/24"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!(
            "1.2.3.4/24".parse::<Network>().unwrap_err().to_string(),
            "`1.2.3.4/24` has bits set after its prefix; did you mean 1.2.3.0/24?"
        );
    }
}
