//! Passwords as they are stored: `{SCHEME}text`, and whether a given one is right.
//!
//! Owns the table of schemes that Dovecot's `doveadm pw` writes and we verify, and the making of new ones. Refuses,
//! when a line is read and not when a user logs in: unknown schemes, and text that is not of its scheme's form. Fails
//! with a [`Malformed`] in words for the admin. Costs are the admin's choice; [`Stored::verify`] is slow work and
//! belongs on the bounded pool. Leaves nothing on disk.
//!
//! A text may be written in another coding: `{SSHA256.HEX}`, `{ARGON2ID.B64}`. Without a suffix a digest may be in
//! base64 or hex, recognized by its length, as Dovecot does. Without `{SCHEME}` a text that begins like a crypt(3)
//! string (`$6$`, `$2y$`, `$argon2id$`) is taken for that.
//!
//! bcrypt reads 72 bytes of a password and ignores the rest; we verify such hashes as everybody does, but make none
//! of a longer password. Passwords are compared as bytes: SASLprep (RFC 4013) changes nothing in ASCII, and a
//! password with other characters must be typed as it was when it was set.

mod digest;
mod new;
mod scram;

use std::num::NonZeroU32;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2;
use sha_crypt::ShaCrypt;

pub use digest::same;
use digest::{Digest, Sum};
pub use new::hash;
pub use scram::{Keys, NEW_ITERATIONS, SALT_LEN, mac, sha256};

use crate::wire::Secret;

/// Memory that one Argon2 check may take, in KiB: 1 GiB. A typing error in `m=` must not stop the server.
const MAX_ARGON2_KIB: u32 = 1024 * 1024;
/// Bytes of a password; longer ones are wrong without looking, so that hashing time is bounded.
pub const MAX_PASSWORD: usize = 1024;

/// What is wrong with a stored password, for the admin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// A way of storing a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Dovecot's; see Scheme::TABLE")]
pub enum Scheme {
    Argon2id,
    Argon2i,
    BlfCrypt,
    Sha512Crypt,
    Sha256Crypt,
    Crypt,
    Ssha512,
    Ssha256,
    Ssha,
    Sha512,
    Sha256,
    Sha,
    Pbkdf2,
    ScramSha256,
    Plain,
}

impl Scheme {
    /// Every name that is understood in `{}`. The first of a scheme is the one we write.
    pub const TABLE: [(&'static str, Scheme); 18] = [
        ("ARGON2ID", Scheme::Argon2id),
        ("ARGON2I", Scheme::Argon2i),
        ("BLF-CRYPT", Scheme::BlfCrypt),
        ("SHA512-CRYPT", Scheme::Sha512Crypt),
        ("SHA256-CRYPT", Scheme::Sha256Crypt),
        ("CRYPT", Scheme::Crypt),
        ("SSHA512", Scheme::Ssha512),
        ("SSHA256", Scheme::Ssha256),
        ("SSHA", Scheme::Ssha),
        ("SHA512", Scheme::Sha512),
        ("SHA256", Scheme::Sha256),
        ("SHA", Scheme::Sha),
        ("SHA1", Scheme::Sha),
        ("PBKDF2", Scheme::Pbkdf2),
        ("SCRAM-SHA-256", Scheme::ScramSha256),
        ("PLAIN", Scheme::Plain),
        ("CLEARTEXT", Scheme::Plain),
        ("CLEAR", Scheme::Plain),
    ];

    /// By its name in any case.
    pub fn from_name(name: &str) -> Option<Scheme> {
        Self::TABLE.iter().find(|row| row.0.eq_ignore_ascii_case(name)).map(|row| row.1)
    }

    /// The name that we write.
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.1 == self).map_or("", |row| row.0)
    }
}

/// A stored password, checked for form. Two are equal if both were read from the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    scheme: Scheme,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Argon2(Secret),
    Bcrypt(Secret),
    ShaCrypt(Secret),
    Digest(Digest),
    Pbkdf2 { salt: Vec<u8>, rounds: NonZeroU32, sum: Vec<u8> },
    Scram(Keys),
    Plain(Secret),
}

impl Stored {
    /// Understand the password field of a users line.
    pub fn parse(field: &str) -> Result<Stored, Malformed> {
        let (scheme, coding, text) = split(field)?;
        let decoded = decode(coding, text)?;
        // Schemes whose text is text; a digest in hex or base64 stays bytes.
        let plain_text = || match &decoded {
            None => Ok(text.to_owned()),
            Some(bytes) => String::from_utf8(bytes.clone()).map_err(|_| bad(scheme, "is not text after decoding")),
        };
        let scheme = if scheme == Scheme::Crypt { crypt_kind(&plain_text()?)? } else { scheme };
        let form =
            match scheme {
                Scheme::Argon2id | Scheme::Argon2i => argon2_form(scheme, plain_text()?)?,
                Scheme::BlfCrypt => bcrypt_form(plain_text()?)?,
                Scheme::Sha512Crypt | Scheme::Sha256Crypt | Scheme::Crypt => sha_crypt_form(scheme, plain_text()?)?,
                Scheme::Ssha512 => digest_form(scheme, Sum::Sha512, true, decoded, text)?,
                Scheme::Ssha256 => digest_form(scheme, Sum::Sha256, true, decoded, text)?,
                Scheme::Ssha => digest_form(scheme, Sum::Sha1, true, decoded, text)?,
                Scheme::Sha512 => digest_form(scheme, Sum::Sha512, false, decoded, text)?,
                Scheme::Sha256 => digest_form(scheme, Sum::Sha256, false, decoded, text)?,
                Scheme::Sha => digest_form(scheme, Sum::Sha1, false, decoded, text)?,
                Scheme::Pbkdf2 => pbkdf2_form(&plain_text()?)?,
                Scheme::ScramSha256 => Form::Scram(Keys::parse(&plain_text()?).ok_or_else(|| {
                    bad(scheme, "must be iterations,salt,StoredKey,ServerKey, the last three in base64")
                })?),
                Scheme::Plain => Form::Plain(Secret::new(decoded.unwrap_or_else(|| text.as_bytes().to_vec()))),
            };
        Ok(Stored { scheme, form })
    }

    /// How it is stored.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Is `password` the right one? Slow. An empty password, one with a NUL, and one over [`MAX_PASSWORD`] never is.
    pub fn verify(&self, password: &Secret) -> bool {
        let given = password.expose();
        if given.is_empty() || given.len() > MAX_PASSWORD || given.contains(&0) {
            return false;
        }
        match &self.form {
            Form::Argon2(hash) => text(hash).is_some_and(|hash| Argon2::default().verify_password(given, hash).is_ok()),
            Form::Bcrypt(hash) => text(hash).is_some_and(|hash| bcrypt::verify(given, hash).unwrap_or(false)),
            Form::ShaCrypt(hash) => text(hash).is_some_and(|hash| {
                // Which of the two it is stands in the hash.
                ShaCrypt::default().verify_password(given, hash).is_ok()
            }),
            Form::Digest(digest) => digest.verify(given),
            Form::Pbkdf2 { salt, rounds, sum } => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA1, *rounds, salt, given, sum).is_ok()
            }
            Form::Scram(keys) => {
                same(&Keys::derive(given, keys.salt(), keys.iterations()).stored_key, &keys.stored_key)
            }
            Form::Plain(stored) => same(stored.expose(), given),
        }
    }

    /// Can a SCRAM exchange be done with it?
    pub fn knows_scram(&self) -> bool {
        matches!(self.form, Form::Scram(_) | Form::Plain(_))
    }

    /// Keys of SCRAM, if they are stored.
    pub fn scram_keys(&self) -> Option<&Keys> {
        if let Form::Scram(keys) = &self.form { Some(keys) } else { None }
    }

    /// Keys of SCRAM for a salt of ours, if the password is stored as it is. Takes milliseconds.
    pub fn derive_scram(&self, salt: &[u8], iterations: NonZeroU32) -> Option<Keys> {
        if let Form::Plain(password) = &self.form {
            Some(Keys::derive(password.expose(), salt, iterations))
        } else {
            None
        }
    }
}

fn bad(scheme: Scheme, what: &str) -> Malformed {
    Malformed(format!("password scheme {}: {what}", scheme.name()))
}

fn text(secret: &Secret) -> Option<&str> {
    std::str::from_utf8(secret.expose()).ok()
}

#[derive(Clone, Copy)]
enum Coding {
    AsIs,
    Base64,
    Hex,
}

/// `{SCHEME.coding}text` into its parts.
fn split(field: &str) -> Result<(Scheme, Coding, &str), Malformed> {
    let Some(rest) = field.strip_prefix('{') else {
        return crypt_kind(field).map(|scheme| (scheme, Coding::AsIs, field));
    };
    let (label, text) = rest.split_once('}').ok_or_else(|| Malformed("password scheme has no closing }".into()))?;
    let (name, coding) = match label.rsplit_once('.') {
        None => (label, Coding::AsIs),
        Some((name, suffix)) if suffix.eq_ignore_ascii_case("b64") || suffix.eq_ignore_ascii_case("base64") => {
            (name, Coding::Base64)
        }
        Some((name, suffix)) if suffix.eq_ignore_ascii_case("hex") => (name, Coding::Hex),
        Some((_, suffix)) => return Err(Malformed(format!("password coding .{suffix} is unknown: use .B64 or .HEX"))),
    };
    let scheme = Scheme::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Scheme::TABLE.iter().map(|row| row.0).collect();
        Malformed(format!("password scheme {{{name}}} is unknown; known are {}", known.join(", ")))
    })?;
    Ok((scheme, coding, text))
}

/// The scheme of a crypt(3) string.
fn crypt_kind(text: &str) -> Result<Scheme, Malformed> {
    const PREFIXES: [(&str, Scheme); 8] = [
        ("$argon2id$", Scheme::Argon2id),
        ("$argon2i$", Scheme::Argon2i),
        ("$2y$", Scheme::BlfCrypt),
        ("$2a$", Scheme::BlfCrypt),
        ("$2b$", Scheme::BlfCrypt),
        ("$2x$", Scheme::BlfCrypt),
        ("$6$", Scheme::Sha512Crypt),
        ("$5$", Scheme::Sha256Crypt),
    ];
    PREFIXES.iter().find(|row| text.starts_with(row.0)).map(|row| row.1).ok_or_else(|| {
        Malformed("password has no {SCHEME} and does not begin like a crypt(3) string that we know".into())
    })
}

fn decode(coding: Coding, text: &str) -> Result<Option<Vec<u8>>, Malformed> {
    match coding {
        Coding::AsIs => Ok(None),
        Coding::Base64 => {
            STANDARD.decode(text).map(Some).map_err(|e| Malformed(format!("password is not base64: {e}")))
        }
        Coding::Hex => digest::unhex(text).map(Some).ok_or_else(|| Malformed("password is not hexadecimal".into())),
    }
}

fn argon2_form(scheme: Scheme, hash: String) -> Result<Form, Malformed> {
    let parsed = PasswordHash::new(&hash).map_err(|e| bad(scheme, &format!("is not a PHC string: {e}")))?;
    let memory = parsed.params.get_decimal("m").unwrap_or(0);
    let id = parsed.algorithm.as_str();
    if !matches!(id, "argon2id" | "argon2i") || parsed.hash.is_none() || parsed.salt.is_none() {
        return Err(bad(scheme, "must be $argon2id$v=19$m=...,t=...,p=...$salt$hash"));
    }
    if memory > MAX_ARGON2_KIB {
        return Err(bad(scheme, &format!("m={memory} would take more than {MAX_ARGON2_KIB} KiB of memory")));
    }
    Ok(Form::Argon2(Secret::new(hash)))
}

fn bcrypt_form(hash: String) -> Result<Form, Malformed> {
    hash.parse::<bcrypt::HashParts>().map_err(|e| bad(Scheme::BlfCrypt, &e.to_string()))?;
    Ok(Form::Bcrypt(Secret::new(hash)))
}

fn sha_crypt_form(scheme: Scheme, hash: String) -> Result<Form, Malformed> {
    let (prefix, sum_len) = if scheme == Scheme::Sha256Crypt { ("$5$", 43) } else { ("$6$", 86) };
    let rest = hash.strip_prefix(prefix).ok_or_else(|| bad(scheme, &format!("must begin with {prefix}")))?;
    let rest = match rest.strip_prefix("rounds=").and_then(|rest| rest.split_once('$')) {
        None => rest,
        Some((rounds, rest)) => {
            if !rounds.parse().is_ok_and(|rounds| sha_crypt::Params::new(rounds).is_ok()) {
                return Err(bad(scheme, "rounds= must be a number from 1000 to 999999999"));
            }
            rest
        }
    };
    let well_formed = rest.split_once('$').is_some_and(|(salt, sum)| salt.len() <= 16 && sum.len() == sum_len);
    if !well_formed {
        return Err(bad(scheme, &format!("must be {prefix}salt$ and {sum_len} characters")));
    }
    Ok(Form::ShaCrypt(Secret::new(hash)))
}

fn digest_form(
    scheme: Scheme,
    sum: Sum,
    salted: bool,
    decoded: Option<Vec<u8>>,
    text: &str,
) -> Result<Form, Malformed> {
    let bytes = match decoded {
        Some(bytes) => bytes,
        None => digest::guess(text, sum, salted).ok_or_else(|| bad(scheme, "is neither base64 nor hexadecimal"))?,
    };
    Digest::from_bytes(sum, salted, bytes).map(Form::Digest).ok_or_else(|| bad(scheme, "has the wrong length"))
}

/// Dovecot's `$1$salt$rounds$hex`: the salt is used as it is written.
fn pbkdf2_form(text: &str) -> Result<Form, Malformed> {
    let parse = || {
        let mut fields = text.strip_prefix("$1$")?.split('$');
        let salt = fields.next()?.as_bytes().to_vec();
        let rounds = fields.next()?.parse().ok()?;
        let sum = digest::unhex(fields.next()?)?;
        (fields.next().is_none() && sum.len() == 20).then_some(Form::Pbkdf2 { salt, rounds, sum })
    };
    parse().ok_or_else(|| bad(Scheme::Pbkdf2, "must be $1$salt$rounds$ and 40 hexadecimal digits"))
}

#[cfg(test)]
mod tests;
