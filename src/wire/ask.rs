//! A question to a server elsewhere that a session waits for: one HTTP POST and its answer.
//!
//! Owns the shapes only; `net` asks, keeps the time and bounds the answer. The session gets an [`Asked`] as its
//! [`super::Answer`], also when nobody answered. Nothing here is logged: questions carry tokens.

use std::time::Duration;

use super::Secret;

/// A form to be posted, `application/x-www-form-urlencoded`.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where: `https://host[:port]/path`, or `http://`.
    pub url: String,
    /// Value of the Authorization header, if one is to be sent.
    pub authorization: Option<Secret>,
    /// The form, encoded.
    pub form: Secret,
    /// How long to wait for the whole answer, from the look-up of the name on.
    pub timeout: Duration,
}

/// What came of a question.
#[derive(Debug, Clone)]
pub enum Asked {
    /// The answer: its HTTP status code and its body, not longer than `net` takes.
    Said(u16, Vec<u8>),
    /// None came; why, for the log.
    Failed(String),
}
