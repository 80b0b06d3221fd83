//! How SASL messages travel on a line: base64, strictly.
//!
//! Owns the coding that SMTP (RFC 4954 4), POP3 (RFC 5034 4) and IMAP (RFC 3501 6.2.2, RFC 4959 3) share: a message is
//! base64 of RFC 4648 4 with its padding and nothing else, `=` stands for an empty initial response, `*` cancels.
//! Refuses anything else as malformed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Octets in a line of an exchange without CRLF: 12288 with it (RFC 4954 4), the largest that any of the protocols must
/// take.
pub const MAX_LINE: usize = 12288 - 2;

/// A line of the client in an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A message.
    Data(Vec<u8>),
    /// `*`: the client gives up.
    Cancel,
    /// Not base64.
    Malformed,
}

/// Understand a line that answers a challenge.
pub fn response(line: &[u8]) -> Response {
    match line {
        b"*" => Response::Cancel,
        line => STANDARD.decode(line).map_or(Response::Malformed, Response::Data),
    }
}

/// Understand the initial response in an AUTH or AUTHENTICATE command; `None` if it is malformed.
pub fn initial(text: &[u8]) -> Option<Vec<u8>> {
    match text {
        b"=" => Some(Vec::new()),
        b"" => None,
        text => STANDARD.decode(text).ok(),
    }
}

/// A challenge as it is sent, behind the protocol's own `334 ` or `+ `.
pub fn challenge(message: &[u8]) -> String {
    STANDARD.encode(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, want) in [
            ("", Response::Data(Vec::new())),
            ("AGEAYg==", Response::Data(b"\0a\0b".to_vec())),
            ("*", Response::Cancel),
            ("=", Response::Malformed),
            ("AGEAYg", Response::Malformed),
            ("AGEAYh==", Response::Malformed),
            ("AGEA Yg==", Response::Malformed),
            ("AGEAYg==*", Response::Malformed),
        ] {
            assert_eq!(response(line.as_bytes()), want, "{line:?}");
        }
    }

    #[test]
    fn initial_responses() {
        assert_eq!(initial(b"="), Some(Vec::new()));
        assert_eq!(initial(b"AGEAYg=="), Some(b"\0a\0b".to_vec()));
        assert_eq!(initial(b"*"), None);
        assert_eq!(initial(b""), None);
    }
}
