//! New passwords, in every scheme that has a salt.
//!
//! Refuses what could not be typed or stored: nothing, too much, NUL, line ends; and for bcrypt more than it reads.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use sha_crypt::ShaCrypt;

use super::digest::{self, Digest, Sum};
use super::{Keys, MAX_PASSWORD, Malformed, NEW_ITERATIONS, Scheme, bad};
use crate::wire::Secret;

/// Bytes of random salt in new hashes of every scheme.
const NEW_SALT: usize = 16;
/// Work factor of new BLF-CRYPT hashes: 2^10 rounds, some 50 ms.
const NEW_BCRYPT_COST: u32 = 10;
/// Rounds of new SHA512-CRYPT and SHA256-CRYPT hashes.
const NEW_CRYPT_ROUNDS: u32 = 100_000;
/// Rounds of new PBKDF2 hashes, HMAC-SHA1 as Dovecot has it.
const NEW_PBKDF2_ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// The password field for a new password: `{ARGON2ID}$argon2id$...`. Slow.
pub fn hash(scheme: Scheme, password: &Secret) -> Result<String, Malformed> {
    let given = password.expose();
    if given.is_empty() {
        return Err(Malformed("the password is empty".into()));
    }
    if given.len() > MAX_PASSWORD {
        return Err(Malformed(format!("the password is longer than {MAX_PASSWORD} bytes")));
    }
    if given.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(Malformed("the password contains a NUL or a line end".into()));
    }
    let salt = random()?;
    let text = match scheme {
        Scheme::Argon2id | Scheme::Argon2i => new_argon2(scheme, given, &salt)?,
        Scheme::BlfCrypt => {
            let parts = bcrypt::non_truncating_hash_with_salt(given, NEW_BCRYPT_COST, salt)
                .map_err(|_| bad(scheme, "reads only 71 bytes of a password; choose another scheme or password"))?;
            parts.format_for_version(bcrypt::Version::TwoY)
        }
        Scheme::Sha512Crypt | Scheme::Sha256Crypt | Scheme::Crypt => new_sha_crypt(scheme, given, &salt)?,
        Scheme::Ssha512 => Digest::new(Sum::Sha512, given, &salt).to_base64(),
        Scheme::Ssha256 => Digest::new(Sum::Sha256, given, &salt).to_base64(),
        Scheme::Ssha => Digest::new(Sum::Sha1, given, &salt).to_base64(),
        Scheme::Sha512 | Scheme::Sha256 | Scheme::Sha => {
            return Err(bad(scheme, "has no salt and is verified but not made; use ARGON2ID"));
        }
        Scheme::Pbkdf2 => new_pbkdf2(given, &salt),
        Scheme::ScramSha256 => Keys::derive(given, &salt, NEW_ITERATIONS).to_string(),
        Scheme::Plain => match std::str::from_utf8(given) {
            Ok(text) if !text.contains(':') => text.to_owned(),
            _ => return Ok(format!("{{PLAIN.B64}}{}", STANDARD.encode(given))),
        },
    };
    let scheme = if scheme == Scheme::Crypt { Scheme::Sha512Crypt } else { scheme };
    Ok(format!("{{{}}}{text}", scheme.name()))
}

fn random() -> Result<[u8; NEW_SALT], Malformed> {
    let mut salt = [0; NEW_SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| Malformed("the system gives no random numbers".into()))?;
    Ok(salt)
}

fn new_argon2(scheme: Scheme, given: &[u8], salt: &[u8]) -> Result<String, Malformed> {
    let algorithm = if scheme == Scheme::Argon2i { Algorithm::Argon2i } else { Algorithm::Argon2id };
    let params = argon2::Params::DEFAULT;
    let mut sum = [0; argon2::Params::DEFAULT_OUTPUT_LEN];
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    Argon2::new(algorithm, argon2::Version::V0x13, params)
        .hash_password_into(given, salt, &mut sum)
        .map_err(|e| bad(scheme, &e.to_string()))?;
    let (salt, sum) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(sum));
    Ok(format!("${}$v=19$m={memory},t={passes},p={lanes}${salt}${sum}", algorithm.as_str()))
}

fn new_sha_crypt(scheme: Scheme, given: &[u8], salt: &[u8]) -> Result<String, Malformed> {
    use sha_crypt::password_hash::CustomizedPasswordHasher;
    let params = sha_crypt::Params::new(NEW_CRYPT_ROUNDS).map_err(|e| bad(scheme, &e.to_string()))?;
    let algorithm = if scheme == Scheme::Sha256Crypt { "5" } else { "6" };
    // crypt(3) uses 16 characters of salt, which 12 bytes give.
    ShaCrypt::default()
        .hash_password_customized(given, &salt[..12], Some(algorithm), None, params)
        .map(|hash| hash.as_str().to_owned())
        .map_err(|e| bad(scheme, &e.to_string()))
}

fn new_pbkdf2(given: &[u8], salt: &[u8]) -> String {
    let salt = digest::hex(salt);
    let mut sum = [0; 20];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, NEW_PBKDF2_ROUNDS, salt.as_bytes(), given, &mut sum);
    format!("$1${salt}${NEW_PBKDF2_ROUNDS}${}", digest::hex(&sum))
}
