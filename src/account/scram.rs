//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), without the pauses and the files.
//!
//! ```text
//! client-first  n,,n=user,r=ABC          -> First, then Exchange::begin
//! server-first  r=ABCxyz,s=salt,i=4096
//! client-final  c=biws,r=ABCxyz,p=proof  -> Exchange::finish gives a Proof
//! server-final  v=signature              <- Proof::check
//! ```
//!
//! Owns the grammar and the arithmetic. Refuses extensions that must be understood (`m=`), a proof over another nonce
//! or channel, and the channel-binding flag `y` ("I could bind, but you did not offer it") when we did offer it: then
//! somebody between us has removed -PLUS from the list (RFC 5802 6). The only channel binding is `tls-exporter` (RFC
//! 9266), which is safe with TLS 1.3. A user who does not exist gets salt and iterations like everybody else, always
//! the same for a name, and a proof that never fits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::password::{mac, same, sha256};

/// What the channel of this exchange offers.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    /// The mechanism chosen was -PLUS.
    pub plus: bool,
    /// -PLUS was announced.
    pub offered: bool,
    /// `tls-exporter` of the connection.
    pub exporter: Option<[u8; 32]>,
}

/// Why an exchange ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Not the mechanism's syntax.
    Syntax,
    /// Somebody removed -PLUS from our list, or the client binds to another channel.
    Binding,
}

/// The client's first message.
#[derive(Debug, PartialEq, Eq)]
pub struct First {
    /// User name, unescaped.
    pub name: String,
    /// Authorization identity, unescaped; empty if not given.
    pub authzid: String,
    nonce: String,
    /// gs2-header, as it must come back in `c=`, and the channel-binding data behind it.
    header: Vec<u8>,
    bare: String,
}

impl First {
    /// Understand it, and check the channel-binding flag.
    pub fn parse(message: &[u8], channel: &Channel) -> Result<First, Wrong> {
        let text = std::str::from_utf8(message).map_err(|_| Wrong::Syntax)?;
        let mut parts = text.splitn(3, ',');
        let (flag, authzid, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(flag), Some(authzid), Some(bare)) => (flag, authzid, bare),
            _ => return Err(Wrong::Syntax),
        };
        let mut header = format!("{flag},{authzid},").into_bytes();
        match (flag, channel) {
            ("n", Channel { plus: false, .. }) | ("y", Channel { plus: false, offered: false, .. }) => {}
            ("y", Channel { plus: false, .. }) => return Err(Wrong::Binding),
            ("p=tls-exporter", Channel { plus: true, exporter: Some(data), .. }) => header.extend_from_slice(data),
            (flag, Channel { plus: true, .. }) if flag.starts_with("p=") => return Err(Wrong::Binding),
            _ => return Err(Wrong::Syntax),
        }
        let authzid = match authzid {
            "" => String::new(),
            text => unescape(text.strip_prefix("a=").ok_or(Wrong::Syntax)?)?,
        };
        let mut fields = bare.split(',');
        let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(Wrong::Syntax)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).filter(|nonce| is_nonce(nonce));
        let nonce = nonce.ok_or(Wrong::Syntax)?.to_owned();
        Ok(First { name: unescape(name)?, authzid, nonce, header, bare: bare.to_owned() })
    }
}

/// An exchange between our first message and the client's last.
#[derive(Debug)]
pub struct Exchange {
    nonce: String,
    header: Vec<u8>,
    /// client-first-message-bare "," server-first-message ","
    so_far: String,
}

impl Exchange {
    /// Our first message. `random` is our part of the nonce.
    pub fn begin(first: First, random: &[u8], salt: &[u8], iterations: u32) -> (Exchange, Vec<u8>) {
        let nonce = format!("{}{}", first.nonce, STANDARD.encode(random));
        let message = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let so_far = format!("{},{message},", first.bare);
        (Exchange { nonce, header: first.header, so_far }, message.into_bytes())
    }

    /// The client's last message.
    pub fn finish(self, message: &[u8]) -> Result<Proof, Wrong> {
        let text = std::str::from_utf8(message).map_err(|_| Wrong::Syntax)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Wrong::Syntax)?;
        let mut fields = without_proof.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Wrong::Syntax)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Wrong::Syntax)?;
        let binding = STANDARD.decode(binding).map_err(|_| Wrong::Syntax)?;
        let proof = STANDARD.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(Wrong::Syntax)?;
        if !same(&binding, &self.header) || !same(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(Wrong::Binding);
        }
        Ok(Proof { message: format!("{}{without_proof}", self.so_far).into_bytes(), proof })
    }
}

/// What the client claims, to be checked against somebody's keys.
#[derive(Debug)]
pub struct Proof {
    /// AuthMessage.
    message: Vec<u8>,
    proof: [u8; 32],
}

impl Proof {
    /// Our last message, if the client knows the password of these keys.
    pub fn check(&self, stored_key: &[u8; 32], server_key: &[u8; 32]) -> Option<Vec<u8>> {
        let mut client_key = mac(stored_key, &self.message);
        client_key.iter_mut().zip(self.proof).for_each(|(byte, proof)| *byte ^= proof);
        if !same(&sha256(&client_key), stored_key) {
            return None;
        }
        Some(format!("v={}", STANDARD.encode(mac(server_key, &self.message))).into_bytes())
    }
}

/// `saslname`: `=2C` is a comma, `=3D` an equals sign, and nothing else may follow an equals sign.
fn unescape(text: &str) -> Result<String, Wrong> {
    let mut parts = text.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(rest) = part.strip_prefix("2C") {
            name.push(',');
            name.push_str(rest);
        } else if let Some(rest) = part.strip_prefix("3D") {
            name.push('=');
            name.push_str(rest);
        } else {
            return Err(Wrong::Syntax);
        }
    }
    if name.is_empty() || name.contains('\0') { Err(Wrong::Syntax) } else { Ok(name) }
}

/// Printable ASCII without a comma; the length is bounded by that of the line.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::password::Keys;
    use super::*;

    const CLEAR: Channel = Channel { plus: false, offered: false, exporter: None };
    const OFFERED: Channel = Channel { plus: false, offered: true, exporter: Some([7; 32]) };
    const PLUS: Channel = Channel { plus: true, offered: true, exporter: Some([7; 32]) };

    /// The example of RFC 7677 3: user `user`, password `pencil`.
    #[test]
    fn the_example_of_the_rfc() {
        let first = First::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &CLEAR).unwrap();
        assert_eq!((first.name.as_str(), first.authzid.as_str()), ("user", ""));
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let (mut exchange, _) = Exchange::begin(first, b"", &salt, 4096);
        // The server's part of the RFC's nonce is not base64.
        exchange.nonce.push_str("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        exchange.so_far =
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,", exchange.nonce);
        let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let proof = exchange.finish(last).unwrap();
        let keys = Keys::derive(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        let answer = proof.check(&keys.stored_key, &keys.server_key).unwrap();
        assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let other = Keys::derive(b"pencil2", &salt, NonZeroU32::new(4096).unwrap());
        assert_eq!(proof.check(&other.stored_key, &other.server_key), None);
    }

    #[test]
    fn channel_binding_flags() {
        for (message, channel, want) in [
            ("n,,n=u,r=x", CLEAR, Ok(())),
            ("n,,n=u,r=x", OFFERED, Ok(())),
            ("y,,n=u,r=x", CLEAR, Ok(())),
            ("y,,n=u,r=x", OFFERED, Err(Wrong::Binding)),
            ("p=tls-exporter,,n=u,r=x", PLUS, Ok(())),
            ("p=tls-unique,,n=u,r=x", PLUS, Err(Wrong::Binding)),
            ("p=tls-exporter,,n=u,r=x", OFFERED, Err(Wrong::Syntax)),
            ("n,,n=u,r=x", PLUS, Err(Wrong::Syntax)),
            ("y,,n=u,r=x", PLUS, Err(Wrong::Syntax)),
        ] {
            assert_eq!(First::parse(message.as_bytes(), &channel).map(|_| ()), want, "{message} {channel:?}");
        }
    }

    #[test]
    fn first_messages() {
        let first = First::parse(b"n,a=ad=3Dmin,n=a=2Cb,r=x,e=t", &CLEAR).unwrap();
        assert_eq!((first.name.as_str(), first.authzid.as_str()), ("a,b", "ad=min"));
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=",
            "n,,n=u",
            "n,,n=u,r=",
            "n,,m=x,n=u,r=x",
            "n,,n=a=2cb,r=x",
            "n,b=x,n=u,r=x",
            "n,,n=u,r=a b",
            "z,,n=u,r=x",
            "n,,n=a\0,r=x",
        ] {
            assert_eq!(First::parse(bad.as_bytes(), &CLEAR), Err(Wrong::Syntax), "{bad:?}");
        }
    }

    #[test]
    fn last_messages() {
        let proof = STANDARD.encode([1; 32]);
        let bound = STANDARD.encode([b"p=tls-exporter,,".as_slice(), &[7; 32]].concat());
        let wrong = STANDARD.encode([b"p=tls-exporter,,".as_slice(), &[8; 32]].concat());
        for (first, channel, last, want) in [
            ("n,,", CLEAR, format!("c=biws,r=xAQID,p={proof}"), None),
            ("n,,", CLEAR, format!("c=biws,r=xAQID,ext=1,p={proof}"), None),
            ("n,,", CLEAR, format!("c=biws,r=xAQIDx,p={proof}"), Some(Wrong::Binding)),
            ("n,,", CLEAR, format!("c=eSws,r=xAQID,p={proof}"), Some(Wrong::Binding)),
            ("n,,", CLEAR, "c=biws,r=xAQID,p=AAAA".into(), Some(Wrong::Syntax)),
            ("n,,", CLEAR, "c=biws,r=xAQID".into(), Some(Wrong::Syntax)),
            ("n,,", CLEAR, "".into(), Some(Wrong::Syntax)),
            ("p=tls-exporter,,", PLUS, format!("c={bound},r=xAQID,p={proof}"), None),
            ("p=tls-exporter,,", PLUS, format!("c={wrong},r=xAQID,p={proof}"), Some(Wrong::Binding)),
        ] {
            let first = First::parse(format!("{first}n=u,r=x").as_bytes(), &channel).unwrap();
            let (exchange, _) = Exchange::begin(first, &[1, 2, 3], b"salt", 4096);
            assert_eq!(exchange.finish(last.as_bytes()).err(), want, "{last}");
        }
    }
}
