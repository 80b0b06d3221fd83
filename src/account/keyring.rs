//! What the proof of a SCRAM client is checked against, on the pool.
//!
//! Stored keys; or a password that is stored as it is, from which the keys are made; or nobody's, which costs as much
//! and never fits.

use super::password::{self, Keys, Stored};
use super::scram::Proof;

/// What a client's proof is checked against.
pub enum Keyring {
    Keys(Keys),
    /// The password is stored as it is; the keys come from it.
    Password(Stored, Vec<u8>),
    /// Nobody's: derived as if, and never right.
    Nobody(Vec<u8>),
}

/// What comes back from the pool.
pub enum Verdict {
    Wrong,
    Right,
    /// Right, and this is to be sent.
    RightWith(Vec<u8>),
}

impl Keyring {
    /// Is the proof right? Takes milliseconds unless keys are stored.
    pub fn verdict(&self, proof: &Proof) -> Verdict {
        let right = match self {
            Keyring::Keys(keys) => proof.check(&keys.stored_key, &keys.server_key),
            Keyring::Password(stored, salt) => stored
                .derive_scram(salt, password::NEW_ITERATIONS)
                .and_then(|keys| proof.check(&keys.stored_key, &keys.server_key)),
            Keyring::Nobody(salt) => {
                let keys = Keys::derive(b"nobody", salt, password::NEW_ITERATIONS);
                // Worked out and thrown away: whoever guesses our stand-in password is still nobody.
                let _ = proof.check(&keys.stored_key, &keys.server_key);
                None
            }
        };
        right.map_or(Verdict::Wrong, Verdict::RightWith)
    }
}
