//! Plain digests of a password, with or without salt: SHA, SHA256, SHA512, SSHA, SSHA256, SSHA512.
//!
//! The stored bytes are the digest of password and salt, followed by the salt (RFC 2307's `{SSHA}` and its
//! descendants), in base64 or hex. They are fast to try for whoever gets hold of the file: we verify them for those who
//! migrate. Refuses bytes that are too short, and salt where there must be none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};

/// Which digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    Sha1,
    Sha256,
    Sha512,
}

impl Sum {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Sum::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Sum::Sha256 => &SHA256,
            Sum::Sha512 => &SHA512,
        }
    }
}

/// A digest and its salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    sum: Sum,
    /// Digest, then salt.
    bytes: Vec<u8>,
}

impl Digest {
    /// Of a new password.
    pub fn new(sum: Sum, password: &[u8], salt: &[u8]) -> Digest {
        let mut bytes = compute(sum, password, salt).as_ref().to_vec();
        bytes.extend_from_slice(salt);
        Digest { sum, bytes }
    }

    /// From the stored bytes; `None` if their length is wrong.
    pub fn from_bytes(sum: Sum, salted: bool, bytes: Vec<u8>) -> Option<Digest> {
        let len = sum.algorithm().output_len();
        let fits = if salted { bytes.len() > len } else { bytes.len() == len };
        fits.then_some(Digest { sum, bytes })
    }

    /// Is it the digest of this password?
    pub fn verify(&self, password: &[u8]) -> bool {
        let (stored, salt) = self.bytes.split_at(self.sum.algorithm().output_len());
        same(compute(self.sum, password, salt).as_ref(), stored)
    }

    /// As it is stored.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }
}

fn compute(sum: Sum, password: &[u8], salt: &[u8]) -> digest::Digest {
    let mut context = digest::Context::new(sum.algorithm());
    context.update(password);
    context.update(salt);
    context.finish()
}

/// Are they equal? Takes the same time whatever the difference, for texts of one length.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    a.len() == b.len() && difference == 0
}

/// The bytes of a text without a named coding: hex if it has the length that hex must have, else base64. The length of
/// the salt is unknown, so a salted text is hex if it consists of hex digits alone and is long enough.
pub fn guess(text: &str, sum: Sum, salted: bool) -> Option<Vec<u8>> {
    let hex_len = 2 * sum.algorithm().output_len();
    let long_enough = if salted { text.len() > hex_len } else { text.len() == hex_len };
    if long_enough && let Some(bytes) = unhex(text) {
        return Some(bytes);
    }
    STANDARD.decode(text).ok()
}

/// Bytes of hexadecimal text in either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Hexadecimal text of bytes, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_both_ways() {
        assert_eq!(unhex("00fFa1"), Some(vec![0, 255, 0xa1]));
        assert_eq!(hex(&[0, 255, 0xa1]), "00ffa1");
        for bad in ["0", "0g", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn same_looks_at_length_too() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"ab"));
        assert!(!same(b"", b"a"));
    }
}
