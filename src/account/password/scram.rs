//! What a server keeps for SCRAM-SHA-256 (RFC 5802 3, RFC 7677): salt, iterations, StoredKey, ServerKey.
//!
//! Stored as Dovecot stores it: `iterations,salt,StoredKey,ServerKey`, the last three in base64. Refuses fewer than one
//! iteration or keys of another length. With these alone nobody can log in, but passwords can be guessed at the speed
//! of PBKDF2.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Iterations for new passwords: the least that RFC 7677 4 allows, and what Dovecot uses; clients pay them too.
pub const NEW_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
/// Bytes of salt in new ones; a made-up salt must have as many.
pub const SALT_LEN: usize = 16;

/// Everything a server needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: [u8; 32],
}

impl Keys {
    /// From a password.
    pub fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Keys {
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
        let client_key = mac(&salted, b"Client Key");
        Keys {
            iterations,
            salt: salt.to_vec(),
            stored_key: sha256(&client_key),
            server_key: mac(&salted, b"Server Key"),
        }
    }

    /// From the stored text.
    pub fn parse(text: &str) -> Option<Keys> {
        let mut fields = text.split(',');
        let iterations = fields.next()?.parse().ok()?;
        let salt = STANDARD.decode(fields.next()?).ok()?;
        let stored_key = STANDARD.decode(fields.next()?).ok()?.try_into().ok()?;
        let server_key = STANDARD.decode(fields.next()?).ok()?.try_into().ok()?;
        fields.next().is_none().then_some(Keys { iterations, salt, stored_key, server_key })
    }

    /// Of the exchange's `i=`.
    pub fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// Of the exchange's `s=`.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        write!(f, "{},{salt},{stored},{server}", self.iterations)
    }
}

/// HMAC-SHA-256.
pub fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    array(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref())
}

/// SHA-256.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    array(digest::digest(&digest::SHA256, data).as_ref())
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_both_ways() {
        let keys = Keys::derive(b"pencil", b"0123456789abcdef", NEW_ITERATIONS);
        assert_eq!(Keys::parse(&keys.to_string()), Some(keys));
        for bad in ["", "4096", "0,AA==,AA==,AA==", "4096,AA==,AA==,AA==", "x,AA==,AA==,AA=="] {
            assert_eq!(Keys::parse(bad), None, "{bad}");
        }
    }
}
