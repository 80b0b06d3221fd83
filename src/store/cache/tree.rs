//! A part tree in a record.
//!
//! Parts in the order in which they begin, each: shape, distance to its parent, the four places as differences, its content
//! fields, and for a message in the message its envelope. The envelope of the whole message is not repeated here: it is empty in
//! what [`decode`] gives.

use super::coding::{Reader, put, put_bytes, put_maybe};
use crate::mail::address_list::{MAX_ADDRESSES, Mailbox};
use crate::mail::content::{Content, Disposition, Media, Param};
use crate::mail::envelope::Envelope;
use crate::mail::part::{Part, Position, Shape, Span, Tree};
use crate::mail::scan::MAX_PARTS;

/// Parameters of one field, addresses, or languages that are read back: more is no record of ours.
const MAX_LIST: usize = MAX_ADDRESSES * 16;

/// Append `tree` to `out`.
pub(super) fn encode(tree: &Tree, out: &mut Vec<u8>) {
    put(tree.parts().len() as u64, out);
    let mut last = Position::default();
    for (index, part) in tree.parts().iter().enumerate() {
        out.push(match part.shape {
            Shape::Leaf => 0,
            Shape::Multipart => 1,
            Shape::Message => 2,
            Shape::Opaque => 3,
        });
        put(part.parent.map_or(0, |parent| index - parent) as u64, out);
        put_position(part.header.start, last, out);
        put_position(part.header.end, part.header.start, out);
        put_position(part.body.end, part.header.end, out);
        last = part.header.start;
        content(&part.content, out);
        out.push(u8::from(part.envelope.is_some()));
        if let (1.., Some(envelope)) = (index, &part.envelope) {
            put_envelope(envelope, out);
        }
    }
}

fn put_position(at: Position, from: Position, out: &mut Vec<u8>) {
    put(at.offset - from.offset, out);
    put(at.lines - from.lines, out);
    put(at.bare - from.bare, out);
}

fn content(content: &Content, out: &mut Vec<u8>) {
    // Most parts have little: one byte says what is there.
    let has = [
        content.media.is_some(),
        content.encoding.is_some(),
        content.id.is_some(),
        content.description.is_some(),
        content.md5.is_some(),
        content.disposition.is_some(),
        !content.languages.is_empty(),
        content.location.is_some(),
    ];
    out.push(has.iter().enumerate().fold(0, |bits, (n, has)| bits | u8::from(*has) << n));
    if let Some(media) = &content.media {
        put_bytes(&media.kind, out);
        put_bytes(&media.subtype, out);
        put_params(&media.params, out);
    }
    let texts = [&content.encoding, &content.id, &content.description, &content.md5];
    texts.into_iter().flatten().for_each(|text| put_bytes(text, out));
    if let Some(disposition) = &content.disposition {
        put_bytes(&disposition.kind, out);
        put_params(&disposition.params, out);
    }
    if !content.languages.is_empty() {
        put(content.languages.len() as u64, out);
        content.languages.iter().for_each(|language| put_bytes(language, out));
    }
    content.location.iter().for_each(|text| put_bytes(text, out));
}

fn put_params(params: &[Param], out: &mut Vec<u8>) {
    put(params.len() as u64, out);
    for param in params {
        put_bytes(&param.name, out);
        put_bytes(&param.value, out);
    }
}

fn put_envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    for text in [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id] {
        put_maybe(text.as_deref(), out);
    }
    for list in [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc] {
        put(list.len() as u64, out);
        for one in list {
            for text in [&one.name, &one.route, &one.mailbox, &one.host] {
                put_maybe(text.as_deref(), out);
            }
        }
    }
}

/// Read it back; `None` if it is not what [`encode`] writes.
pub(super) fn decode(bytes: &[u8]) -> Option<Tree> {
    let mut from = Reader(bytes);
    let count = from.number().filter(|count| (1..=MAX_PARTS + 1).contains(count))?;
    let mut parts: Vec<Part> = Vec::new();
    let mut last = Position::default();
    for index in 0..count {
        let shape = match from.byte()? {
            0 => Shape::Leaf,
            1 => Shape::Multipart,
            2 => Shape::Message,
            3 => Shape::Opaque,
            _ => return None,
        };
        let parent = match from.number::<usize>()? {
            0 if index == 0 => None,
            0 => return None,
            distance => Some(index.checked_sub(distance)?),
        };
        let start = position(&mut from, last)?;
        let middle = position(&mut from, start)?;
        let end = position(&mut from, middle)?;
        last = start;
        let content = read_content(&mut from)?;
        let envelope = match (from.byte()?, index) {
            (0, _) => None,
            (1, 0) => Some(Box::default()),
            (1, _) => Some(Box::new(envelope(&mut from)?)),
            _ => return None,
        };
        let header = Span { start, end: middle };
        parts.push(Part::new(parent, shape, header, Span { start: middle, end }, content, envelope));
    }
    Tree::from_parts(parts).filter(|_| from.0.is_empty())
}

fn position(from: &mut Reader<'_>, last: Position) -> Option<Position> {
    Some(Position {
        offset: last.offset.checked_add(from.number()?)?,
        lines: last.lines.checked_add(from.number()?)?,
        bare: last.bare.checked_add(from.number()?)?,
    })
}

fn read_content(from: &mut Reader<'_>) -> Option<Content> {
    let bits = from.byte()?;
    let has = |n: u8| bits >> n & 1 == 1;
    let mut content = Content::default();
    if has(0) {
        let (kind, subtype) = (from.bytes()?.to_vec(), from.bytes()?.to_vec());
        content.media = Some(Media { kind, subtype, params: params(from)? });
    }
    let slots = [&mut content.encoding, &mut content.id, &mut content.description, &mut content.md5];
    for (n, slot) in (1..).zip(slots) {
        if has(n) {
            *slot = Some(from.bytes()?.to_vec());
        }
    }
    if has(5) {
        content.disposition = Some(Disposition { kind: from.bytes()?.to_vec(), params: params(from)? });
    }
    if has(6) {
        content.languages = list(from, |from| Some(from.bytes()?.to_vec()))?;
    }
    if has(7) {
        content.location = Some(from.bytes()?.to_vec());
    }
    Some(content)
}

fn params(from: &mut Reader<'_>) -> Option<Vec<Param>> {
    list(from, |from| Some(Param { name: from.bytes()?.to_vec(), value: from.bytes()?.to_vec() }))
}

fn list<T>(from: &mut Reader<'_>, mut one: impl FnMut(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = from.number().filter(|count| *count <= MAX_LIST)?;
    (0..count).map(|_| one(from)).collect()
}

fn envelope(from: &mut Reader<'_>) -> Option<Envelope> {
    let mut text = || Some(from.maybe()?.map(<[u8]>::to_vec));
    let (date, subject, in_reply_to, message_id) = (text()?, text()?, text()?, text()?);
    let mut addresses = || {
        list(from, |from| {
            let mut text = || Some(from.maybe()?.map(<[u8]>::to_vec));
            Some(Mailbox { name: text()?, route: text()?, mailbox: text()?, host: text()? })
        })
    };
    Some(Envelope {
        date,
        subject,
        from: addresses()?,
        sender: addresses()?,
        reply_to: addresses()?,
        to: addresses()?,
        cc: addresses()?,
        bcc: addresses()?,
        in_reply_to,
        message_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trees_come_back() {
        let messages: [&[u8]; 4] = [
            b"A: b\n\nbody\n",
            b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\n\
              Content-Language: en, de\nContent-Disposition: attachment; filename=\"f\"\n\na\n--x\n\
              Content-Type: message/rfc822\nContent-ID: <i>\n\nFrom: A <a@b>, g: c@d;\nSubject: s\n\nb\n--x--\n",
            b"Content-Type: message/rfc822\n\nContent-Type: multipart/digest; boundary=d\n\n--d\n\nTo: x\n\ny\r\n--d--\n",
            b"",
        ];
        for message in messages {
            let mut tree = Tree::of(message);
            let mut bytes = Vec::new();
            encode(&tree, &mut bytes);
            tree.forget_envelope();
            assert_eq!(decode(&bytes), Some(tree), "{}", message.escape_ascii());
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in any::<Vec<u8>>()) {
            decode(&bytes);
        }
    }
}
