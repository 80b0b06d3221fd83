//! BODY and BODYSTRUCTURE as IMAP writes them (RFC 3501 section 7.4.2, section 9 `body`).
//!
//! Recursion follows the part tree, whose depth [`crate::mail::scan::MAX_DEPTH`] bounds.

use super::envelope;
use super::{nstring, string};
use crate::mail::content::{Content, Media, Param};
use crate::mail::part::{Part, Shape, Tree};

/// Stands in a multipart in which no part was found, since the grammar demands one.
const NO_PART: &[u8] = b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0";

/// Write the structure of `part`; `extended` for BODYSTRUCTURE.
pub fn write(out: &mut Vec<u8>, tree: &Tree, part: &Part, extended: bool) {
    out.push(b'(');
    match part.shape {
        Shape::Multipart => multipart(out, tree, part, extended),
        Shape::Leaf | Shape::Message | Shape::Opaque => single(out, tree, part, extended),
    }
    out.push(b')');
}

fn multipart(out: &mut Vec<u8>, tree: &Tree, part: &Part, extended: bool) {
    for child in tree.children(part) {
        write(out, tree, child, extended);
    }
    if part.children.is_empty() {
        out.extend_from_slice(NO_PART);
        out.extend_from_slice(if extended { b" NIL NIL NIL NIL)" } else { b")" });
    }
    out.push(b' ');
    let media = part.content.media.as_ref();
    string(out, media.map_or(b"mixed", |media| &media.subtype));
    if extended {
        out.push(b' ');
        params(out, media.map_or(&[], |media| &media.params), false);
        extension(out, &part.content);
    }
}

fn single(out: &mut Vec<u8>, tree: &Tree, part: &Part, extended: bool) {
    let content = &part.content;
    let is_text = part.shape == Shape::Leaf && content.media.as_ref().is_none_or(|media| media.is_kind("text"));
    media_type(out, part.shape, content.media.as_ref());
    out.push(b' ');
    params(out, content.media.as_ref().map_or(&[], |media| &media.params), is_text);
    out.push(b' ');
    nstring(out, content.id.as_deref());
    out.push(b' ');
    nstring(out, content.description.as_deref());
    out.push(b' ');
    string(out, content.encoding.as_deref().unwrap_or(b"7bit"));
    out.extend_from_slice(format!(" {}", part.body.wire_size()).as_bytes());
    if let Some(message) = tree.embedded(part) {
        out.push(b' ');
        envelope::write(out, message.envelope.as_deref().unwrap_or(&Default::default()));
        out.push(b' ');
        write(out, tree, message, extended);
    }
    if is_text || part.shape == Shape::Message {
        out.extend_from_slice(format!(" {}", part.body.lines()).as_bytes());
    }
    if extended {
        out.push(b' ');
        nstring(out, content.md5.as_deref());
        extension(out, content);
    }
}

fn media_type(out: &mut Vec<u8>, shape: Shape, media: Option<&Media>) {
    match (shape, media) {
        // A limit was reached: whoever wants to look inside must fetch it.
        (Shape::Opaque, _) => out.extend_from_slice(b"\"application\" \"octet-stream\""),
        (Shape::Message, Some(media)) if media.is("message", "global") => {
            out.extend_from_slice(b"\"message\" \"global\"");
        }
        (Shape::Message, _) => out.extend_from_slice(b"\"message\" \"rfc822\""),
        (_, Some(media)) => {
            string(out, &media.kind);
            out.push(b' ');
            string(out, &media.subtype);
        }
        // RFC 2045 section 5.2.
        (_, None) => out.extend_from_slice(b"\"text\" \"plain\""),
    }
}

/// Parameters; of a text, the default charset is told where none is named (RFC 2045 section 5.2).
fn params(out: &mut Vec<u8>, params: &[Param], is_text: bool) {
    let needs_charset = is_text && !params.iter().any(|param| param.name.eq_ignore_ascii_case(b"charset"));
    if params.is_empty() && !needs_charset {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    let default = needs_charset.then_some((&b"charset"[..], &b"us-ascii"[..]));
    let all = params.iter().map(|param| (&param.name[..], &param.value[..])).chain(default);
    for (n, (name, value)) in all.enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        string(out, name);
        out.push(b' ');
        string(out, value);
    }
    out.push(b')');
}

/// Disposition, language, location.
fn extension(out: &mut Vec<u8>, content: &Content) {
    match &content.disposition {
        Some(disposition) => {
            out.extend_from_slice(b" (");
            string(out, &disposition.kind);
            out.push(b' ');
            params(out, &disposition.params, false);
            out.push(b')');
        }
        None => out.extend_from_slice(b" NIL"),
    }
    out.push(b' ');
    if content.languages.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        for (n, language) in content.languages.iter().enumerate() {
            out.push(if n == 0 { b'(' } else { b' ' });
            string(out, language);
        }
        out.push(b')');
    }
    out.push(b' ');
    nstring(out, content.location.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(message: &str, extended: bool) -> String {
        let tree = Tree::of(message.as_bytes());
        let mut out = Vec::new();
        write(&mut out, &tree, tree.root(), extended);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn structures() {
        let text = "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" ";
        let table = [
            ("plain", "A: b\n\nbody\n", format!("{text}6 1 NIL NIL NIL NIL)")),
            (
                "everything",
                "Content-Type: image/png; name=\"a b\"\nContent-ID: <x>\nContent-Description: d\n\
                 Content-Transfer-Encoding: BASE64\nContent-MD5: m\nContent-Disposition: inline; filename=f\n\
                 Content-Language: en, de\nContent-Location: l\n\nAAAA\n",
                "(\"image\" \"png\" (\"name\" \"a b\") \"<x>\" \"d\" \"BASE64\" 6 \"m\" \
                 (\"inline\" (\"filename\" \"f\")) (\"en\" \"de\") \"l\")"
                    .into(),
            ),
            (
                "multipart",
                "Content-Type: multipart/mixed; boundary=x\nContent-Disposition: inline\n\n--x\n\na\n--x--\n",
                format!("({text}1 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"x\") (\"inline\" NIL) NIL NIL)"),
            ),
            (
                "multipart without parts",
                "Content-Type: multipart/mixed\n\nx\n",
                format!("({text}0 0 NIL NIL NIL NIL) \"mixed\" NIL NIL NIL NIL)"),
            ),
            (
                "message",
                "Content-Type: message/rfc822\n\nSubject: s\n\nb\n",
                format!(
                    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) \
                     {text}3 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"
                ),
            ),
        ];
        for (case, message, want) in table {
            assert_eq!(structure(message, true), want, "{case}");
        }
    }

    #[test]
    fn global_messages_are_messages_where_they_are_known() {
        let message = "Content-Type: message/global\n\nSubject: \u{e4}\n\nb\n";
        assert!(structure(message, false).starts_with("(\"message\" \"global\" NIL NIL NIL \"7bit\" 18)"));
        let mut scanner = crate::mail::scan::Scanner::seeing_global(true);
        scanner.push(message.as_bytes());
        let (tree, mut out) = (scanner.finish(), Vec::new());
        write(&mut out, &tree, tree.root(), false);
        let text = "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1)";
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "(\"message\" \"global\" NIL NIL NIL \"7bit\" 18 (NIL {{2}}\r\n\u{e4} NIL NIL NIL NIL NIL NIL NIL NIL) {text} 3)"
            )
        );
    }

    #[test]
    fn body_has_no_extension_data() {
        let message =
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x\nContent-Type: multipart/a\n\n--x--\n";
        let text = "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" ";
        assert_eq!(structure(message, false), format!("({text}1 0)({text}0 0) \"a\") \"mixed\")"));
    }

    #[test]
    fn the_deepest_nesting_fits_on_the_stack() {
        let messages = "Content-Type: message/rfc822\n\n".repeat(1000);
        assert!(structure(&messages, true).contains("(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" "));
    }
}
