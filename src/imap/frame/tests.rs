//! Tests of framing: tables of dialogues, each cut in several ways, and the limits.

use super::*;

/// Streams literals of commands that begin with `s`, refuses those of `r`, keeps the others.
#[derive(Default)]
struct Test {
    streamed: Vec<u8>,
}

impl Policy for Test {
    fn announced(&mut self, literal: &Announcement<'_>) -> Verdict {
        match literal.before.first() {
            Some(b's') => Verdict::Stream,
            Some(b'r') => Verdict::Refuse(Reply::no("TOOBIG", "too big")),
            _ => Verdict::Keep,
        }
    }
    fn data(&mut self, bytes: &[u8]) {
        self.streamed.extend_from_slice(bytes);
    }
}

/// Feed `bytes`, so many at a time; what was found, in words; what was sent; what was streamed.
fn feed(frame: &mut Frame, bytes: &[u8], at_a_time: usize) -> (Vec<String>, String, Vec<u8>) {
    let (mut input, mut out, mut policy, mut found) = (Input::new(), Out::new(), Test::default(), Vec::new());
    for piece in bytes.chunks(at_a_time) {
        input.extend(piece);
        loop {
            found.push(match frame.next(&mut input, &mut policy, &mut out) {
                Framed::Nothing => break,
                Framed::Command(command) => String::from_utf8_lossy(&command).into_owned(),
                Framed::Refused(tag, reply) => format!("!{} {}", tag.unwrap_or("*".into()), reply.text),
                Framed::Hopeless => "hopeless".into(),
            });
            assert!(frame.held() <= MAX_LINE + MAX_LITERALS + 2);
            if found.last().is_some_and(|last| last == "hopeless") {
                break;
            }
        }
    }
    (found, String::from_utf8_lossy(out.bytes()).into_owned(), policy.streamed)
}

#[test]
fn commands_and_literals() {
    let go = "+ Ready for the literal\r\n";
    let table: &[(&str, &str, &[&str], &str, &str)] = &[
        ("two lines", "a x\r\nb y\r\n", &["a x", "b y"], "", ""),
        ("half a line", "a x", &[], "", ""),
        ("empty line", "\r\n", &[""], "", ""),
        ("literal", "a {3}\r\nx\r\n y\r\n", &["a {3}\r\nx\r\n y"], go, ""),
        ("literal+", "a {3+}\r\nx\r\n y\r\nb\r\n", &["a {3+}\r\nx\r\n y", "b"], "", ""),
        ("two literals", "a {1+}\r\nx {1}\r\ny\r\n", &["a {1+}\r\nx {1}\r\ny"], go, ""),
        ("empty literal", "a {0}\r\n\r\n", &["a {0}\r\n"], go, ""),
        ("literal8", "a ~{1+}\r\n\0\r\n", &["a ~{1+}\r\n\0"], "", ""),
        ("looks like one", "a {3} \r\na {x}\r\na {}\r\n", &["a {3} ", "a {x}", "a {}"], "", ""),
        ("a command inside", "a {6+}\r\nb no\r\n\r\n", &["a {6+}\r\nb no\r\n"], "", ""),
        ("streamed", "s {3}\r\nx\r\n y\r\n", &["s {3}\r\n y"], go, "x\r\n"),
        ("refused", "r {3}\r\nb\r\n", &["!r too big", "b"], "", ""),
        ("refused+", "r {3+}\r\nb\r\n\r\nc\r\n", &["!r too big", "c"], "", ""),
        ("refused+, then more", "r {1+}\r\nx {2+}\r\ny\n {2}\r\nc\r\n", &["!r too big", "c"], "", ""),
        ("bare LF", "a x\nb y\r\nc\r\n", &["!a Lines end with CRLF; a bare LF is not a line end", "c"], "", ""),
        (
            "no number",
            "a {99999999999999999999}\r\nc\r\n",
            &["!a Literal size is not a number that fits in 63 bits", "c"],
            "",
            "",
        ),
        ("huge", "a {4294967295}\r\nc\r\n", &["!a Literal is too big for this command", "c"], "", ""),
        (
            "huge+",
            "a {4294967295+}\r\nc\r\n",
            &["!a Literals over 4096 bytes must wait for + before login", "hopeless"],
            "",
            "",
        ),
    ];
    for (name, bytes, found, sent, streamed) in table {
        for at_a_time in [1, 2, 3, 1000] {
            let (mut is, out, data) = feed(&mut Frame::new(), bytes.as_bytes(), at_a_time);
            is.dedup_by(|a, b| a == "hopeless" && b == "hopeless");
            assert_eq!(is, *found, "{name}");
            assert_eq!((out.as_str(), data.as_slice()), (*sent, streamed.as_bytes()), "{name}");
        }
    }
}

#[test]
fn long_lines_are_refused_once_and_the_next_is_whole() {
    let fits = format!("a {}\r\nb\r\n", "x".repeat(MAX_LINE_BEFORE_LOGIN - 4));
    let long = format!("a {}\r\nb\r\n", "x".repeat(MAX_LINE_BEFORE_LOGIN - 3));
    let literal = format!("a {} {{3+}}\r\nb\r\n\r\nc\r\n", "x".repeat(MAX_LINE_BEFORE_LOGIN));
    let untagged = format!("{}\r\nb\r\n", "x".repeat(3 * MAX_LINE_BEFORE_LOGIN));
    for at_a_time in [1, 7, 100_000] {
        let found = |text: &str| feed(&mut Frame::new(), text.as_bytes(), at_a_time).0;
        assert_eq!(found(&fits)[0].len(), MAX_LINE_BEFORE_LOGIN - 2);
        assert_eq!(found(&long), ["!a Command line is too long", "b"]);
        assert_eq!(found(&literal), ["!a Command line is too long", "c"]);
        assert_eq!(found(&untagged), ["!* Command line is too long", "b"]);
    }
    let mut frame = Frame::new();
    frame.set_logged_in(true);
    assert_eq!(feed(&mut frame, long.as_bytes(), 1000).0.len(), 2);
}

/// RFC 7888 section 5.
#[test]
fn a_stranger_sends_little_without_being_asked() {
    let literal = |size: usize| format!("a {{{size}+}}\r\n{}\r\nb\r\n", "x".repeat(size));
    let feed = |frame: &mut Frame, size| feed(frame, literal(size).as_bytes(), 1000).0;
    assert!(feed(&mut Frame::new(), 4096)[0].starts_with("a {4096+}"));
    assert!(feed(&mut Frame::new(), 4097)[0].starts_with("!a Literals over 4096"));
    let mut frame = Frame::new();
    frame.set_logged_in(true);
    assert!(feed(&mut frame, 4097)[0].starts_with("a {4097+}"));
}

#[test]
fn literals_of_one_command_share_a_limit() {
    let third = MAX_LINE_BEFORE_LOGIN / 3 + 1;
    let literal = format!("{{{third}+}}\r\n{}", "x".repeat(third));
    let found = feed(&mut Frame::new(), format!("a {literal} {literal} {literal}\r\nb\r\n").as_bytes(), 1000).0;
    assert_eq!(found, ["!a Literal is too big for this command", "b"]);
}

#[test]
fn an_endless_line_is_hopeless() {
    let bytes = vec![b'x'; usize::try_from(MAX_DROP_BEFORE_LOGIN).unwrap() + 2 * MAX_LINE_BEFORE_LOGIN];
    let found = feed(&mut Frame::new(), &bytes, 4096).0;
    assert_eq!(found.last().map(String::as_str), Some("hopeless"));
    assert_eq!(found.iter().filter(|found| *found != "hopeless").count(), 1);
}

#[test]
fn a_plain_line_has_no_literal() {
    let (mut frame, mut input) = (Frame::new(), Input::new());
    input.extend(b"abc {5}\r\nDONE\r\n");
    assert_eq!(frame.next_line(&mut input), Framed::Command(b"abc {5}".to_vec()));
    assert_eq!(frame.next_line(&mut input), Framed::Command(b"DONE".to_vec()));
    assert_eq!(frame.next_line(&mut input), Framed::Nothing);
}
