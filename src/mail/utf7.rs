//! Modified UTF-7: how folder names travel in IMAP (RFC 3501 section 5.1.3) and how Dovecot writes them on disk.
//!
//! Owns the two directions and nothing else. Decoding is strict: a name has exactly one spelling, so two different
//! byte strings can never mean the same folder. Refused are bytes outside printable ASCII, a shift that is not closed,
//! printable ASCII inside base64, empty or adjacent shifts, left-over bits, and unpaired surrogates.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// Does the character stand for itself? (`&` does too, but is written `&-`.)
fn is_plain(c: char) -> bool {
    (' '..='~').contains(&c)
}

/// The one spelling of `text`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let plain = is_plain(first);
        let (run, after) = rest.split_at(rest.find(|c| is_plain(c) != plain).unwrap_or(rest.len()));
        rest = after;
        if plain {
            out.push_str(&run.replace('&', "&-"));
        } else {
            let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            out.push('&');
            out.push_str(&BASE64.encode(units));
            out.push('-');
        }
    }
    out
}

/// The text, or `None` if `bytes` is not the one spelling of any text.
pub fn decode(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, shifted)) = rest.split_once('&') {
        let (run, after) = shifted.split_once('-')?;
        out.push_str(plain);
        if run.is_empty() {
            out.push('&');
        } else {
            let units = BASE64.decode(run).ok()?;
            let (pairs, odd) = units.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            for c in char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair))) {
                out.push(c.ok()?);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    // Every other deviation (RFC 3501 section 5.1.3: no superfluous shifts, no printable ASCII in base64) shows here.
    (encode(&out) == name).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_one_spelling() {
        for (text, spelling) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("Müll", "M&APw-ll"),
            ("R&D", "R&-D"),
            ("&", "&-"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("😀", "&2D3eAA-"),
            ("a\tb", "a&AAk-b"),
            ("é&é", "&AOk-&-&AOk-"),
        ] {
            assert_eq!(encode(text), spelling, "{text}");
            assert_eq!(decode(spelling.as_bytes()).as_deref(), Some(text), "{spelling}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for (case, bad) in [
            ("8-bit byte", &b"M\xfcll"[..]),
            ("UTF-8", "Müll".as_bytes()),
            ("control character", b"a\tb"),
            ("shift not closed", b"M&APw"),
            ("bare ampersand", b"R&D"),
            ("printable ASCII in base64", b"&AGE-"),
            ("adjacent shifts", b"&AOk-&AOk-"),
            ("left-over bits", b"&APx-"),
            ("odd number of bytes", b"&AP-"),
            ("lone surrogate", b"&2D0-"),
            ("slash of ordinary base64", b"&U/BTFw-"),
            ("padding", b"&AOk=-"),
        ] {
            assert_eq!(decode(bad), None, "{case}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_comes_back(text in ".{0,40}") {
            proptest::prop_assert_eq!(decode(encode(&text).as_bytes()), Some(text));
        }
    }
}
