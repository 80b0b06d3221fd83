//! Structures, whole and broken, and the limits.

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const MIXED: &str = "Content-Type: multipart/mixed; boundary=x\n\n";

/// `kind/subtype`, wire size and lines of the body; children in brackets.
fn show(message: &[u8]) -> String {
    let tree = Tree::of(message);
    let mut out = String::new();
    show_part(&tree, tree.root(), &mut out);
    out
}

fn show_part(tree: &Tree, part: &Part, out: &mut String) {
    *out += match part.shape {
        Shape::Leaf => "leaf",
        Shape::Multipart => "multi",
        Shape::Message => "message",
        Shape::Opaque => "opaque",
    };
    if part.shape != Shape::Multipart {
        *out += &format!(" {} {}", part.body.wire_size(), part.body.lines());
    }
    if part.shape == Shape::Multipart || part.shape == Shape::Message {
        *out += " [";
        for (n, child) in tree.children(part).enumerate() {
            *out += if n > 0 { ", " } else { "" };
            show_part(tree, child, out);
        }
        *out += "]";
    }
}

/// Sizes and lines are what Dovecot 2.3.19 gives.
#[test]
fn structures() {
    let table: [(&str, &str, &str); 24] = [
        ("no header at all", "\nbody\n", "leaf 6 1"),
        ("empty", "", "leaf 0 0"),
        ("header only", "Subject: x\n", "leaf 0 0"),
        ("no line end", "Subject: x\n\nbody", "leaf 4 0"),
        ("crlf and bare lf", "A: b\r\n\r\na\r\nb\rc\nd", "leaf 9 2"),
        ("two parts", "--x\n\na\n--x\n\nb\n--x--\nepilogue\n", "multi [leaf 1 0, leaf 1 0]"),
        ("preamble, no end", "pre\n--x\nContent-Type: text/html\n\na\n", "multi [leaf 3 1]"),
        ("boundary in header", "--x\nContent-Type: text/html\n--x\n\nb\n--x--\n", "multi [leaf 0 0, leaf 1 0]"),
        ("boundaries only", "--x\n--x\n--x--\n", "multi [leaf 0 0, leaf 0 0]"),
        ("no boundary", "text\n", "multi []"),
        ("longer line matches", "--xyz\n\na\n--x--\n", "multi [leaf 1 0]"),
        ("spaces behind", "--x \n\na\n--x-- \n", "multi [leaf 1 0]"),
        ("space before", " --x\n\na\n--x--\n", "multi []"),
        ("no last line end", "--x\n\na\n--x--", "multi [leaf 1 0]"),
        ("end first", "--x--\n--x\n\na\n", "multi []"),
        ("parts behind the end", "--x\n\na\n--x--\n--x\n\nb\n--x--\n", "multi [leaf 1 0]"),
        (
            "inner without end",
            "--x\nContent-Type: multipart/a; boundary=y\n\n--y\n\n1\n--x\n\nb\n--x--\n",
            "multi [multi [leaf 1 0], leaf 1 0]",
        ),
        (
            "same boundary inside",
            "--x\nContent-Type: multipart/a; boundary=x\n\n--x\n\n1\n--x--\n\n--x\n\nb\n--x--\n",
            "multi [multi [leaf 1 0], leaf 1 0]",
        ),
        (
            "prefix of the inner",
            "--x\nContent-Type: multipart/a; boundary=xx\n\n--xx\n\n1\n--xx--\n\n--x\n\nb\n--x--\n",
            "multi [multi [leaf 1 0], leaf 1 0]",
        ),
        (
            "message",
            "--x\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n--x--\n",
            "multi [message 19 2 [leaf 4 0]]",
        ),
        (
            "message cut in its header",
            "--x\nContent-Type: message/rfc822\n\nSubject: a\n--x--\n",
            "multi [message 12 1 [leaf 0 0]]",
        ),
        (
            "message cut before its header",
            "--x\nContent-Type: message/rfc822\n--x--\n",
            "multi [message 0 0 [leaf 0 0]]",
        ),
        ("empty parts", "--x\n\n--x\n\n\n--x\n\n\n\n--x--\n", "multi [leaf 0 0, leaf 0 0, leaf 2 1]"),
        ("multipart without boundary", "--x\nContent-Type: multipart/a\n\n--q\n--x--\n", "multi [multi []]"),
    ];
    for (n, (case, body, want)) in table.iter().enumerate() {
        let message = if n < 5 { (*body).to_string() } else { format!("{MIXED}{body}") };
        assert_eq!(show(message.as_bytes()), *want, "{case}");
    }
}

#[test]
fn digests_hold_messages() {
    let digest = "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: a\n\nb\n\
        --x\nContent-Type: text/plain\n\nq\n--x\nContent-ID: 3\n\nSubject: c\n\nd\n--x--\n";
    let tree = Tree::of(digest.as_bytes());
    let shapes: Vec<_> = tree.children(tree.root()).map(|part| part.shape).collect();
    assert_eq!(shapes, [Shape::Message, Shape::Leaf, Shape::Message]);
    let inner = tree.embedded(tree.find(&[1]).unwrap()).unwrap();
    assert_eq!(inner.envelope.as_ref().unwrap().subject.as_deref(), Some(&b"a"[..]));
}

#[test]
fn a_hundred_thousand_levels_are_quick() {
    let started = Instant::now();
    let messages = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let tree = Tree::of(messages.as_bytes());
    assert_eq!(tree.parts().len(), MAX_DEPTH);
    assert_eq!(tree.parts().last().unwrap().shape, Shape::Opaque);

    let multiparts: String =
        (0..100_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n:06}\n\n--b{n:06}\n")).collect();
    assert_eq!(Tree::of(multiparts.as_bytes()).parts().len(), MAX_DEPTH);
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
}

#[test]
fn too_many_parts_end_the_multipart() {
    let many = format!("{MIXED}{}", "--x\n\na\n".repeat(2 * MAX_PARTS));
    let tree = Tree::of(many.as_bytes());
    assert_eq!(tree.parts().len(), MAX_PARTS);
    assert_eq!(tree.root().body.end.offset, many.len() as u64);

    let big = format!("{MIXED}{}", format!("--x\nContent-ID: {}\n\n", "y".repeat(MAX_HEADER)).repeat(100));
    assert!(Tree::of(big.as_bytes()).parts().len() < 40);
}

#[test]
fn a_header_past_the_limit_still_has_its_length() {
    let message = format!("Subject: a\nX: {}\nDate: late\n\nbody\n", "y".repeat(MAX_HEADER));
    let tree = Tree::of(message.as_bytes());
    assert_eq!(tree.root().body.wire_size(), 6);
    let envelope = tree.root().envelope.as_ref().unwrap();
    assert_eq!((envelope.subject.is_some(), envelope.date.is_some()), (true, false));
}

/// What a mail of some megabytes may cost does not grow with the addresses and parameters that fit into it.
#[test]
fn fields_do_not_take_more_memory_than_is_meant() {
    let values = |tree: &Tree| -> usize {
        let of = |part: &Part| part.content.values() + part.envelope.as_ref().map_or(0, |e| e.addresses());
        tree.parts().iter().map(of).sum()
    };
    let many = "a,".repeat(MAX_HEADER / 2 - 20);
    let digest = format!(
        "Content-Type: multipart/digest; boundary=x\n\n{}--x--\n",
        format!("--x\n\nFrom: {many}\n\nb\n").repeat(8)
    );
    let tree = Tree::of(digest.as_bytes());
    assert!(values(&tree) <= MAX_VALUES + 2, "{}", values(&tree));
    let shapes: Vec<_> = tree.children(tree.root()).map(|part| part.shape).collect();
    assert_eq!(shapes, [Shape::Message, Shape::Opaque]);
    let last = tree.children(tree.root()).last().unwrap();
    assert!(last.body.wire_size() > MAX_HEADER as u64 / 2 && last.children.is_empty());
    assert_eq!(
        Tree::from_parts(
            tree.parts()
                .iter()
                .cloned()
                .map(|mut p| {
                    p.children.clear();
                    p
                })
                .collect()
        ),
        Some(tree)
    );

    let many = ";a=b".repeat(MAX_HEADER / 8);
    let part = format!(
        "--x\nContent-Type: text/plain{many}\nContent-Disposition: inline{many}\nContent-Language: {}\n\nb\n",
        "a,".repeat(9000)
    );
    let mixed = format!("{MIXED}{}--x--\n", part.repeat(20));
    let tree = Tree::of(mixed.as_bytes());
    assert!(values(&tree) <= MAX_VALUES, "{}", values(&tree));
    assert_eq!(tree.parts().last().unwrap().shape, Shape::Opaque);
    // The message's own fields are there, however many.
    let tree = Tree::of(format!("From: {0}\nTo: {0}\n{MIXED}--x\n\na\n--x--\n", "a,".repeat(10_000)).as_bytes());
    assert_eq!((values(&tree), tree.parts().len()), (20_001, 1));
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "\n",
        "\r\n",
        "\r",
        "--x",
        "--x--",
        "--y",
        "--",
        " ",
        "a",
        "Subject: s",
        "Content-Type: ",
        "multipart/mixed; boundary=x",
        "multipart/digest; boundary=y",
        "message/rfc822",
        "text/plain",
        "\0",
        "é",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_do_not_matter_and_spans_nest(message in pieces(), cut in 1_usize..7) {
        let whole = Tree::of(&message);
        let mut scanner = Scanner::new();
        for block in message.chunks(cut) {
            scanner.push(block);
        }
        prop_assert_eq!(&scanner.finish(), &whole);
        for part in whole.parts() {
            prop_assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
            prop_assert!(part.body.start <= part.body.end && part.body.end.offset <= message.len() as u64);
            prop_assert!(part.shape != Shape::Message || part.children.len() == 1);
            if let Some(parent) = part.parent {
                let around = whole.parts()[parent].body;
                prop_assert!(around.start <= part.header.start && part.body.end <= around.end);
            }
        }
        prop_assert_eq!(whole.root().body.end.offset, message.len() as u64);
    }

    #[test]
    fn never_panics(message in any::<Vec<u8>>()) {
        Tree::of(&message);
    }
}
