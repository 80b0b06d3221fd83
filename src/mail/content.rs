//! What a part says about itself: the `Content-*` fields (RFC 2045, 2183, 2231, 3066, 2557).
//!
//! Values are kept as written, folds removed, nothing decoded: that is what BODYSTRUCTURE wants (RFC 3501
//! section 7.4.2). Where a field is there twice the first counts. Nothing is refused: a field that cannot be read is
//! as if absent (for Content-Type, RFC 2045 section 5.2 says so), and a parameter that cannot be read is passed
//! over up to the next semicolon. Sizes are bounded by the header block that is given ([`super::scan::MAX_HEADER`]), numbers by
//! [`MAX_VALUES`]: what comes behind so many is not read.

use super::header::{self, Field};
use super::lex::{Lexer, is_token};

/// Parameters (pieces of RFC 2231 counted each) or languages of one field. A file name in so many pieces would be longer than any
/// file system takes; each costs memory many times its letters.
pub const MAX_VALUES: usize = 1000;

/// A parameter, `charset=utf-8`. The pieces of RFC 2231 continuations are joined; a name ends with `*` if its value is
/// percent-encoded by RFC 2231.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Name as written.
    pub name: Vec<u8>,
    /// Value without quotes.
    pub value: Vec<u8>,
}

/// A Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `text` of `text/plain`, as written.
    pub kind: Vec<u8>,
    /// `plain` of `text/plain`, as written; empty if there is no slash.
    pub subtype: Vec<u8>,
    /// The parameters: plain ones as they come, then those of RFC 2231 by name.
    pub params: Vec<Param>,
}

impl Media {
    /// Is it `kind`/`subtype`, in any case?
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.is_kind(kind) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Is its first half `kind`, in any case?
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// The value of the first parameter `name`, in any case.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        self.params.iter().find(|p| p.name.eq_ignore_ascii_case(name.as_bytes())).map(|p| &p.value[..])
    }
}

/// A Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// `attachment`, as written.
    pub kind: Vec<u8>,
    /// The parameters.
    pub params: Vec<Param>,
}

/// The `Content-*` fields of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Content-Type; `None` if absent or unreadable.
    pub media: Option<Media>,
    /// Content-Transfer-Encoding; `None` if absent or unreadable (then 7bit).
    pub encoding: Option<Vec<u8>>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language: its tags.
    pub languages: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
}

impl Content {
    /// Read a header block. A part `in_multipart` has content fields; anything else has them only if it says that it is
    /// MIME, by Mime-Version or Content-Type (a Content-Transfer-Encoding alone, before MIME, meant nothing).
    pub fn parse(block: &[u8], in_multipart: bool) -> Content {
        let mut content = Content::default();
        let mut is_mime = in_multipart;
        for field in header::fields(block) {
            if field.is("Mime-Version") {
                is_mime = true;
            } else if let Some(name) = after_content(field.name) {
                is_mime |= name.eq_ignore_ascii_case(b"Type");
                content.take(name, &field);
            }
        }
        if is_mime { content } else { Content::default() }
    }

    /// Parameters and languages: what takes more memory than its letters.
    pub fn values(&self) -> usize {
        let media = self.media.as_ref().map_or(0, |media| media.params.len());
        let disposition = self.disposition.as_ref().map_or(0, |disposition| disposition.params.len());
        media + disposition + self.languages.len()
    }

    fn take(&mut self, name: &[u8], field: &Field<'_>) {
        let text = |slot: &mut Option<Vec<u8>>| {
            slot.get_or_insert_with(|| field.unfolded().into_owned());
        };
        match name.to_ascii_lowercase().as_slice() {
            b"type" if self.media.is_none() => self.media = media(field.value()),
            b"transfer-encoding" if self.encoding.is_none() => self.encoding = encoding(field.value()),
            b"id" => text(&mut self.id),
            b"description" => text(&mut self.description),
            b"md5" => text(&mut self.md5),
            b"location" => text(&mut self.location),
            b"disposition" if self.disposition.is_none() => self.disposition = Some(disposition(field.value())),
            b"language" if self.languages.is_empty() => self.languages = languages(field.value()),
            _ => {}
        }
    }
}

/// `Type` of `Content-Type`.
fn after_content(name: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = name.split_at_checked("Content-".len())?;
    prefix.eq_ignore_ascii_case(b"Content-").then_some(rest)
}

fn media(value: &[u8]) -> Option<Media> {
    let mut lexer = Lexer::new(value);
    lexer.cfws();
    let kind = lexer.token().to_vec();
    let mut subtype = Vec::new();
    if lexer.eat(b'/') {
        lexer.cfws();
        subtype = lexer.token().to_vec();
        if subtype.is_empty() {
            return None;
        }
    }
    if kind.is_empty() || !matches!(lexer.peek(), None | Some(b';')) {
        return None;
    }
    // "multipart; boundary=x" says too little to look for parts in it.
    if subtype.is_empty() && lexer.peek().is_some() {
        return None;
    }
    Some(Media { kind, subtype, params: params(&mut lexer) })
}

fn encoding(value: &[u8]) -> Option<Vec<u8>> {
    let mut lexer = Lexer::new(value);
    lexer.cfws();
    let token = lexer.token();
    (!token.is_empty() && lexer.is_at_end()).then(|| token.to_vec())
}

fn disposition(value: &[u8]) -> Disposition {
    let mut lexer = Lexer::new(value);
    lexer.cfws();
    let kind = lexer.token().to_vec();
    Disposition { kind, params: params(&mut lexer) }
}

/// Tags up to the first that is none (RFC 3066 section 2.1 through RFC 3282 section 2).
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut lexer = Lexer::new(value);
    let mut tags = Vec::new();
    loop {
        lexer.cfws();
        let tag = lexer.token();
        if tag.is_empty() {
            return tags;
        }
        tags.push(tag.to_vec());
        if !lexer.eat(b',') || tags.len() == MAX_VALUES {
            return tags;
        }
    }
}

/// Parameters up to the end of the value.
fn params(lexer: &mut Lexer<'_>) -> Vec<Param> {
    let mut plain = Vec::new();
    let mut pieces = Vec::new();
    while !lexer.is_at_end() && plain.len() + pieces.len() < MAX_VALUES {
        lexer.run(|b| b != b';');
        lexer.skip();
        lexer.cfws();
        let name = lexer.token();
        if !lexer.eat(b'=') {
            continue;
        }
        lexer.cfws();
        let value = match lexer.peek() {
            // A string that never ends has eaten what follows it, so there is no value to trust.
            Some(b'"') => match lexer.quoted_string() {
                Some(value) => value,
                None => break,
            },
            // An RFC 2047 word is not allowed here, but it is what is found.
            Some(b'=') => lexer.run(|b| is_token(b) || matches!(b, b'=' | b'?')).to_vec(),
            _ => lexer.run(is_token).to_vec(),
        };
        lexer.cfws();
        match Piece::parse(name, value) {
            Ok(piece) => pieces.push(piece),
            Err(param) => plain.push(param),
        }
    }
    join(&mut plain, pieces);
    plain
}

/// A parameter of RFC 2231: `name*0`, `name*0*`, or `name*`.
struct Piece {
    base: Vec<u8>,
    section: Option<u32>,
    encoded: bool,
    value: Vec<u8>,
}

impl Piece {
    fn parse(name: &[u8], value: Vec<u8>) -> Result<Piece, Param> {
        let (base, encoded) = name.strip_suffix(b"*").map_or((name, false), |base| (base, true));
        let star = base.iter().rposition(|b| *b == b'*');
        let section = star.and_then(|star| std::str::from_utf8(&base[star + 1..]).ok()?.parse().ok());
        match (star, section) {
            (Some(star), Some(_)) => Ok(Piece { base: base[..star].to_vec(), section, encoded, value }),
            (None, _) if encoded => Ok(Piece { base: base.to_vec(), section, encoded, value }),
            _ => Err(Param { name: name.to_vec(), value }),
        }
    }

    fn into_param(self) -> Param {
        let mut name = self.base;
        if let Some(section) = self.section {
            name.extend_from_slice(format!("*{section}").as_bytes());
        }
        if self.encoded {
            name.push(b'*');
        }
        Param { name, value: self.value }
    }
}

/// Join the pieces that have all numbers from 0 on (RFC 2231 section 3), by name; others stay as they are.
fn join(params: &mut Vec<Param>, mut pieces: Vec<Piece>) {
    pieces.sort_by_cached_key(|piece| (piece.base.to_ascii_lowercase(), piece.section));
    let mut pieces = pieces.into_iter().peekable();
    while let Some(first) = pieces.next() {
        let mut group = vec![first];
        while let Some(next) = pieces.next_if(|next| next.base.eq_ignore_ascii_case(&group[0].base)) {
            group.push(next);
        }
        if (0..).zip(&group).any(|(n, piece)| piece.section != Some(n)) {
            params.extend(group.into_iter().map(Piece::into_param));
            continue;
        }
        let encoded = group.iter().any(|piece| piece.encoded);
        let mut name = group[0].base.clone();
        let mut value = Vec::new();
        if encoded {
            name.push(b'*');
            if !group[0].encoded {
                value.extend_from_slice(b"''");
            }
        }
        for piece in group {
            match encoded && !piece.encoded {
                true => percent_encode(&piece.value, &mut value),
                false => value.extend_from_slice(&piece.value),
            }
        }
        params.push(Param { name, value });
    }
}

/// A plain piece among encoded ones must not be read as encoded.
fn percent_encode(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b' ' | b'%' | b'*' | b'\'' | 0x7f.. | ..b' ' => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `kind/subtype name=value ...`, or `-`.
    fn show(value: &str) -> String {
        let block = format!("Content-Type: {value}\n\n");
        Content::parse(block.as_bytes(), false).media.map_or("-".into(), |media| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let mut out = format!("{}/{}", text(&media.kind), text(&media.subtype));
            for param in &media.params {
                out += &format!(" {}={}", text(&param.name), text(&param.value));
            }
            out
        })
    }

    #[test]
    fn content_types() {
        let table = [
            ("plain", "text/plain; charset=utf-8", "text/plain charset=utf-8"),
            ("case kept", "TEXT/Plain", "TEXT/Plain"),
            ("quoted", "text/plain; name=\"a \\\"b\"", "text/plain name=a \"b"),
            ("folded", "text/plain; name=\"a\n b\"", "text/plain name=a b"),
            ("comments and spaces", "text / plain ; (c) x = y (d)", "text/plain x=y"),
            ("no subtype", "text", "text/"),
            ("no subtype but parameters", "multipart; boundary=x", "-"),
            ("empty subtype", "text/", "-"),
            ("empty", "", "-"),
            ("junk after the type", "text/plain x=y", "-"),
            ("value empty", "text/plain; charset=; x=y", "text/plain charset= x=y"),
            ("no value", "text/plain; charset; x=y", "text/plain x=y"),
            ("two semicolons", "text/plain; x=y;;z=w;", "text/plain x=y z=w"),
            ("junk after a value", "text/plain; x=a b; y=z", "text/plain x=a y=z"),
            ("string without end", "image/png; name=\"a; x=y", "image/png"),
            ("encoded word", "text/plain; name==?utf-8?q?x?=", "text/plain name==?utf-8?q?x?="),
            ("not a token", "text/plain; x=a=b?c; y=z", "text/plain x=a y=z"),
            ("8-bit", "text/plain; x=é", "text/plain x=é"),
            ("pieces", "text/plain; a*0=x; a*1=y", "text/plain a=xy"),
            ("pieces in disorder", "text/plain; a*1=y; b=c; a*0=x", "text/plain b=c a=xy"),
            ("piece missing", "text/plain; a*0=x; a*2=z", "text/plain a*0=x a*2=z"),
            ("encoded pieces", "text/plain; a*0*=utf-8''x%20; a*1=\"y z\"", "text/plain a*=utf-8''x%20y%20z"),
            ("encoded", "text/plain; a*=utf-8''x%20", "text/plain a*=utf-8''x%20"),
            ("star in a name", "text/plain; a*x=1; b=2", "text/plain a*x=1 b=2"),
        ];
        for (case, value, want) in table {
            assert_eq!(show(value), want, "{case}");
        }
    }

    #[test]
    fn other_fields() {
        let block = b"Mime-Version: 1.0\nContent-Transfer-Encoding: base64 (c)\nContent-ID: <a@b>\n c\n\
            Content-Language: en, de-DE\ncontent-disposition: attachment; filename=\"x y\"\n\
            Content-Location: http://x/\nContent-MD5: abc=\nContent-Description: d\nContent-Description: e\n\n";
        let content = Content::parse(block, false);
        assert_eq!(content.encoding.as_deref(), Some(&b"base64"[..]));
        assert_eq!(content.id.as_deref(), Some(&b"<a@b> c"[..]));
        assert_eq!(content.languages, [b"en".to_vec(), b"de-DE".to_vec()]);
        assert_eq!(content.disposition.unwrap().params[0].value, b"x y");
        assert_eq!(content.location.as_deref(), Some(&b"http://x/"[..]));
        assert_eq!(content.md5.as_deref(), Some(&b"abc="[..]));
        assert_eq!(content.description.as_deref(), Some(&b"d"[..]));
    }

    #[test]
    fn before_mime_there_was_no_content() {
        let block = b"Content-Transfer-Encoding: base64\n\n";
        assert_eq!(Content::parse(block, false), Content::default());
        assert_ne!(Content::parse(block, true), Content::default());
    }

    proptest! {
        #[test]
        fn never_panics(value in any::<Vec<u8>>(), text in "[a*0-9;=\"%' \n]{0,40}") {
            Content::parse(&[b"Content-Type: ", &value[..]].concat(), false);
            show(&text);
        }
    }
}
