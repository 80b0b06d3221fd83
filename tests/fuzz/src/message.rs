//! A message: scanned in pieces of any size its parts are the same; they lie within it and within their parents; ENVELOPE and BODYSTRUCTURE
//! can be written; texts can be decoded.

use mailcote::mail::part::Tree;
use mailcote::mail::scan::Scanner;
use mailcote::mail::{address_list, content, date, header, message_id, preview, render, subject, text, utf7};

fn scanned(message: &[u8], size: usize) -> Tree {
    let mut scanner = Scanner::new();
    message.chunks(size).for_each(|block| scanner.push(block));
    scanner.finish()
}

fn structure(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    render::structure::write(&mut out, tree, tree.root(), true);
    render::structure::write(&mut out, tree, tree.root(), false);
    out
}

/// The first byte is the size of the pieces.
pub fn run(data: &[u8]) {
    let Some((first, message)) = data.split_first() else { return };
    let tree = Tree::of(message);
    let length = message.len() as u64;
    for part in tree.parts() {
        let whole = part.whole().range();
        assert!(whole.start <= whole.end && whole.end <= length, "{whole:?} of {length}");
        for child in tree.children(part) {
            let inner = child.whole().range();
            assert!(whole.start <= inner.start && inner.end <= whole.end, "{inner:?} in {whole:?}");
        }
    }
    let written = structure(&tree);
    assert!(!written.contains(&b'\n') || written.windows(2).any(|two| two == b"\r\n"), "lines only in literals");
    for size in [1, usize::from(*first).max(2)] {
        let again = scanned(message, size);
        assert_eq!(again.parts().len(), tree.parts().len(), "in pieces of {size}");
        assert_eq!(
            structure(&again).escape_ascii().to_string(),
            written.escape_ascii().to_string(),
            "in pieces of {size}"
        );
    }
    if let Some((part, is_html)) = preview::part(&tree) {
        let body =
            message.get(part.whole().range().start as usize..part.whole().range().end as usize).unwrap_or_default();
        let mut decoded = String::new();
        text::Decoder::new(None, Some(b"utf-8")).push(body, true, &mut decoded);
        assert!(preview::of_text(&decoded, is_html).chars().count() <= 256, "RFC 8970 3.1: at most 256 characters");
    }
    let block = &message[..header::block_len(message).unwrap_or(message.len())];
    for field in header::fields(block) {
        let value = field.value();
        let _ = subject::base(&text::of_header(value));
        let _ = (date::parse(value), address_list::parse(value).len(), message_id::ids(value).count());
        assert!(field.range().end <= block.len());
    }
    let _ = content::Content::parse(block, first & 1 == 1);
    if let Some(name) = utf7::decode(message) {
        assert_eq!(utf7::decode(utf7::encode(&name).as_bytes()), Some(name), "what is a name comes back");
    }
}
