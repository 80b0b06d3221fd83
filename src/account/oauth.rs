//! Bearer tokens: what a client sends, what the authorization server says of it, and what the client is told.
//!
//! Owns the messages of OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's, older and everywhere), the question to the token
//! introspection endpoint (RFC 7662) and the understanding of its answer, and a table of tokens that were good a short
//! time ago: keyed hashes, not tokens. It asks nobody itself: the question travels as a [`Question`]. Refuses tokens
//! that are not of RFC 6750's alphabet before anybody is asked. Leaves nothing on disk.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::wire::{Asked, Question, Secret};

/// Tokens that are remembered as good: some 150 bytes each.
const MAX_REMEMBERED: usize = 20_000;
/// What separates the parts of a message (RFC 7628 3.1).
const SEPARATOR: char = '\x01';

/// What the configuration says about tokens.
#[derive(Debug, Clone, Default)]
pub struct OAuth {
    /// URL of the introspection endpoint.
    pub endpoint: String,
    /// Our name at the endpoint; empty with a secret: the secret is a bearer token itself.
    pub client: String,
    /// File with our secret there; none: we do not identify ourselves.
    pub secret_file: Option<PathBuf>,
    /// The member of the answer that names the user: `username`, `email`, `sub`.
    pub username: String,
    /// A scope that tokens must have; empty: none.
    pub scope: String,
    /// URL of the OpenID configuration that clients are told; empty: none.
    pub configuration: String,
    /// How long a good answer is believed.
    pub cache: Duration,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

/// Which of the two mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    OAuthBearer,
    XOAuth2,
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who it wants to be; empty: whoever the token belongs to.
    pub user: String,
    /// Payload of the Authorization header.
    pub auth: String,
    /// The host that it believes to speak with, if it says so.
    pub host: Option<String>,
}

/// What is wrong with a token, as clients are told (RFC 6750 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    Request,
    Token,
    Scope,
}

/// What the authorization server says of a token.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It belongs to this user.
    Belongs(String),
    /// It is worth nothing here; why, for the log.
    Denied(Denial, String),
    /// It cannot be said now; why, for the log.
    Unknown(String),
}

/// See the module.
pub struct Introspection {
    settings: OAuth,
    authorization: Option<Secret>,
    key: hmac::Key,
    remembered: Mutex<HashMap<[u8; 32], (String, Instant)>>,
}

impl Claim {
    /// Read the client's message; `None` if it is not of the mechanism's form.
    pub fn parse(kind: Bearer, message: &[u8]) -> Option<Claim> {
        let text = std::str::from_utf8(message).ok()?;
        // RFC 7628 3.1: a header, pairs that each end in a separator, and one more.
        let (user, pairs) = match kind {
            Bearer::OAuthBearer => {
                let (header, pairs) = text.split_once(SEPARATOR)?;
                (gs2_user(header)?, pairs)
            }
            Bearer::XOAuth2 => (String::new(), text),
        };
        let pairs = pairs.strip_suffix(SEPARATOR)?;
        let mut claim = Claim { user, auth: String::new(), host: None };
        for pair in pairs.split_terminator(SEPARATOR) {
            let (key, value) = pair.split_once('=')?;
            match key {
                "auth" => claim.auth = value.to_owned(),
                "host" => claim.host = Some(value.to_owned()),
                "user" if kind == Bearer::XOAuth2 => claim.user = value.to_owned(),
                // Unknown keys MUST be ignored.
                key if key.bytes().all(|b| b.is_ascii_alphabetic()) && !key.is_empty() => {}
                _ => return None,
            }
        }
        Some(claim)
    }

    /// The bearer token in it (RFC 6750 2.1); the scheme's name in any case.
    pub fn token(&self) -> Option<&str> {
        let (scheme, token) = self.auth.trim().split_once(' ')?;
        let token = token.trim_start();
        let body = token.trim_end_matches('=');
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        (scheme.eq_ignore_ascii_case("Bearer") && !body.is_empty() && body.bytes().all(good)).then_some(token)
    }
}

/// The user of a GS2 header `n,a=user,` (RFC 5801 4); channel binding is not possible with bearer tokens.
fn gs2_user(header: &str) -> Option<String> {
    let mut parts = header.split(',');
    let (Some("n" | "y"), Some(user), Some(""), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    if user.is_empty() {
        return Some(String::new());
    }
    let user = user.strip_prefix("a=")?;
    // `=2C` is a comma and `=3D` an equals sign; no other stands.
    let plain = user.replace("=2C", ",").replace("=3D", "\0");
    (!user.is_empty() && !plain.contains('=')).then(|| plain.replace('\0', "="))
}

impl Introspection {
    /// Reads the secret. `key` is random, and keys the table of tokens.
    pub fn new(settings: OAuth, key: [u8; 32]) -> io::Result<Introspection> {
        let secret = match &settings.secret_file {
            None => None,
            Some(file) => {
                let told = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.display()));
                Some(fs::read_to_string(file).map_err(told)?.trim().to_owned())
            }
        };
        let authorization = secret.map(|secret| match settings.client.as_str() {
            // RFC 7662 2.1 leaves both to the server.
            "" => Secret::new(format!("Bearer {secret}")),
            client => {
                let pair = format!("{}:{}", form_encoded(client), form_encoded(&secret));
                Secret::new(format!("Basic {}", STANDARD.encode(pair)))
            }
        });
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Ok(Introspection { settings, authorization, key, remembered: Mutex::default() })
    }

    /// Whose is this token, if that was asked a short time ago?
    pub fn knows(&self, token: &str, now: Instant) -> Option<String> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(&self.tag(token)).filter(|(_, until)| now < *until).map(|(user, _)| user.clone())
    }

    /// The question whose it is (RFC 7662 2.1).
    pub fn question(&self, token: &str) -> Question {
        let mut form = format!("token={}&token_type_hint=access_token", form_encoded(token));
        if self.authorization.is_none() && !self.settings.client.is_empty() {
            // RFC 6749 2.3.1: a client without a secret says who it is in the form.
            form.push_str(&format!("&client_id={}", form_encoded(&self.settings.client)));
        }
        Question {
            url: self.settings.endpoint.clone(),
            authorization: self.authorization.clone(),
            form: Secret::new(form),
            timeout: self.settings.timeout,
        }
    }

    /// Understand the answer (RFC 7662 2.2), and remember the token if it is good.
    pub fn judge(&self, token: &str, asked: &Asked, now: Instant) -> Judgement {
        let body = match asked {
            Asked::Said(200, body) => body,
            Asked::Said(status, _) => {
                return Judgement::Unknown(format!("the introspection endpoint answers {status}"));
            }
            Asked::Failed(reason) => return Judgement::Unknown(format!("the introspection endpoint: {reason}")),
        };
        let Ok(Value::Object(said)) = serde_json::from_slice(body) else {
            return Judgement::Unknown("the introspection endpoint does not answer with a JSON object".into());
        };
        match self.understand(&said) {
            Ok((user, left)) => {
                self.remember(token, &user, now + left.min(self.settings.cache), now);
                Judgement::Belongs(user)
            }
            Err(Some((denial, reason))) => Judgement::Denied(denial, reason),
            Err(None) => Judgement::Unknown("the answer of the introspection endpoint has no boolean `active`".into()),
        }
    }

    /// The user, and how long the token is good.
    fn understand(&self, said: &Map<String, Value>) -> Result<(String, Duration), Option<(Denial, String)>> {
        let denied = |denial, reason: String| Err(Some((denial, reason)));
        match said.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return denied(Denial::Token, "the token is not active".into()),
            _ => return Err(None),
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let left = match said.get("exp").and_then(Value::as_f64) {
            Some(until) if until <= now.as_secs_f64() => return denied(Denial::Token, "the token has expired".into()),
            Some(until) => Duration::try_from_secs_f64(until - now.as_secs_f64()).unwrap_or(Duration::MAX),
            None => Duration::MAX,
        };
        let scopes = said.get("scope").and_then(Value::as_str).unwrap_or_default();
        let wanted = self.settings.scope.as_str();
        if !wanted.is_empty() && !scopes.split(' ').any(|scope| scope == wanted) {
            return denied(Denial::Scope, format!("the token has not the scope {wanted}"));
        }
        match said.get(&self.settings.username).and_then(Value::as_str) {
            Some(user) if !user.is_empty() => Ok((user.to_owned(), left)),
            _ => denied(Denial::Token, format!("the answer names no user in `{}`", self.settings.username)),
        }
    }

    fn remember(&self, token: &str, user: &str, until: Instant, now: Instant) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, (_, until)| now < *until);
        }
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(self.tag(token), (user.to_owned(), until));
    }

    fn tag(&self, token: &str) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        tag
    }

    /// What the client is told before the exchange fails (RFC 7628 3.2.2, and Google's form of it).
    pub fn challenge(&self, kind: Bearer, denial: Denial) -> Vec<u8> {
        let mut told = match (kind, denial) {
            (Bearer::XOAuth2, Denial::Request) => json!({ "status": "400", "schemes": "bearer" }),
            (Bearer::XOAuth2, Denial::Token) => json!({ "status": "401", "schemes": "bearer" }),
            (Bearer::XOAuth2, Denial::Scope) => json!({ "status": "403", "schemes": "bearer" }),
            (Bearer::OAuthBearer, Denial::Request) => json!({ "status": "invalid_request" }),
            (Bearer::OAuthBearer, Denial::Token) => json!({ "status": "invalid_token" }),
            (Bearer::OAuthBearer, Denial::Scope) => json!({ "status": "insufficient_scope" }),
        };
        if !self.settings.scope.is_empty() {
            told["scope"] = self.settings.scope.as_str().into();
        }
        if !self.settings.configuration.is_empty() && kind == Bearer::OAuthBearer {
            told["openid-configuration"] = self.settings.configuration.as_str().into();
        }
        told.to_string().into_bytes()
    }
}

/// As a form has it (`application/x-www-form-urlencoded`).
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
