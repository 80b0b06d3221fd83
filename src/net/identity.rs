//! The mail addresses in a client's certificate, after TLS has verified it.
//!
//! Owns the way through the DER of an X.509 certificate (RFC 5280 4.1) to two places: the names of kind rfc822Name in
//! subjectAltName, and where there are none the common name, if it is an address. The certificate was signed by a CA that the
//! configuration names; all the same this reads no further than each length says, and gives nothing where the form is another.

/// Addresses in a certificate: bounded, since each costs a look-up.
const MAX_ADDRESSES: usize = 16;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
/// `version [0]` and `extensions [3]` of TBSCertificate.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `rfc822Name [1]` of GeneralName.
const RFC822_NAME: u8 = 0x81;
/// 2.5.29.17 subjectAltName and 2.5.4.3 commonName.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The mail addresses of the certificate's owner, in its order.
pub fn addresses(certificate: &[u8]) -> Vec<String> {
    let mut found = alternative_names(certificate).unwrap_or_default();
    if found.is_empty() {
        found.extend(common_name(certificate));
    }
    found.truncate(MAX_ADDRESSES);
    found
}

/// Reads values one after the other: tag and content.
struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Up to four bytes of length; certificates are smaller.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

/// The content of the first value, if it has this tag.
fn inside(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    Values(bytes).next().filter(|value| value.0 == tag).map(|value| value.1)
}

/// The parts of TBSCertificate from the serial number on.
fn parts(certificate: &[u8]) -> Option<impl Iterator<Item = (u8, &[u8])>> {
    let tbs = inside(inside(certificate, SEQUENCE)?, SEQUENCE)?;
    Some(Values(tbs).skip_while(|(tag, _)| *tag == VERSION))
}

fn alternative_names(certificate: &[u8]) -> Option<Vec<String>> {
    let (_, extensions) = parts(certificate)?.find(|(tag, _)| *tag == EXTENSIONS)?;
    for (_, extension) in Values(inside(extensions, SEQUENCE)?) {
        if inside(extension, OBJECT) != Some(SUBJECT_ALT_NAME) {
            continue;
        }
        let (_, wrapped) = Values(extension).find(|(tag, _)| *tag == OCTETS)?;
        let names = Values(inside(wrapped, SEQUENCE)?).filter(|(tag, _)| *tag == RFC822_NAME);
        return Some(names.filter_map(|(_, name)| address(name)).collect());
    }
    None
}

fn common_name(certificate: &[u8]) -> Option<String> {
    // Serial number, algorithm, issuer, validity, subject.
    let (_, subject) = parts(certificate)?.nth(4)?;
    let sets = Values(subject).filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| Values(set));
    let mut names = sets.filter(|(_, pair)| inside(pair, OBJECT) == Some(COMMON_NAME));
    let (_, pair) = names.next()?;
    let (_, name) = Values(pair).find(|(tag, _)| matches!(*tag, UTF8 | PRINTABLE | IA5))?;
    address(name)
}

/// Text that is an address by its look; a NUL or a line end in it is an attempt at something.
fn address(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let good = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    (good && text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(name: &str, alternatives: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "x@organisation.test");
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = alternatives;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn places() {
        let mail = |address: &str| SanType::Rfc822Name(address.try_into().unwrap());
        let dns = || SanType::DnsName("alice.test".try_into().unwrap());
        for (name, alternatives, expected) in [
            (
                "Alice",
                vec![dns(), mail("alice@demo.test"), mail("al@demo.test")],
                &["alice@demo.test", "al@demo.test"][..],
            ),
            ("bob@demo.test", vec![mail("alice@demo.test")], &["alice@demo.test"]),
            ("bob@demo.test", vec![dns()], &["bob@demo.test"]),
            ("bob@demo.test", vec![], &["bob@demo.test"]),
            ("Bob", vec![dns()], &[]),
            ("bob@demo.test\0.evil.test", vec![], &[]),
            ("bob@", vec![], &[]),
        ] {
            assert_eq!(addresses(&certificate(name, alternatives)), expected, "{name:?}");
        }
    }

    #[test]
    fn no_bytes_are_too_odd() {
        let good = certificate("bob@demo.test", vec![SanType::Rfc822Name("a@b".try_into().unwrap())]);
        for end in 0..good.len() {
            addresses(&good[..end]);
        }
        for at in 0..good.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                addresses(&bad);
            }
        }
    }
}
