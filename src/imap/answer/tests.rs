//! Responses of messages in temporary files, whole and step by step.

use super::*;
use crate::imap::parse::Cursor;
use proptest::prelude::*;
use std::io::Write;

/// The response to FETCH `items` of `message`, and how many steps it took.
fn fetch_in_steps(message: &[u8], items: &str, step: u64) -> (String, usize) {
    let fetch = Cursor::new(format!("1 {items}").as_bytes()).fetch().unwrap();
    let wanted = Wanted::new(fetch.items, false, Enabled::default());
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(message).unwrap();
    let source = wanted.extent.map(|extent| Source::new(file, extent).unwrap());
    let facts = Facts {
        number: 1,
        uid: 7,
        flags: Flags::SEEN,
        recent: true,
        keywords: 2,
        tell_flags: wanted.sets_seen,
        date: 837_571_465,
        size: 99,
        modseq: 1,
        saved: None,
        email_id: String::new(),
    };
    let names = ["a".to_owned(), "Work".to_owned()];
    let (mut sent, mut out, mut steps) = (Vec::new(), Out::new(), 1);
    let mut answer = Answer::new(facts, source, None);
    loop {
        match answer.check(&wanted, &mut step.clone()).unwrap() {
            Check::Unknown => {}
            Check::Good => break,
            Check::Undecodable => return ("undecodable".into(), steps),
        }
    }
    answer.begin_response(&wanted, &mut out);
    while !answer.step(&wanted, &names, &mut out, &mut step.clone()).unwrap() {
        assert!(out.bytes().len() < 2 * crate::wire::STEP_BYTES);
        sent.extend_from_slice(out.bytes());
        out.clear();
        steps += 1;
    }
    sent.extend_from_slice(out.bytes());
    (String::from_utf8_lossy(&sent).into_owned(), steps)
}

fn some_facts() -> Facts {
    Facts {
        number: 1,
        uid: 7,
        flags: Flags::NONE,
        recent: false,
        keywords: 0,
        tell_flags: false,
        date: 0,
        size: 0,
        modseq: 1,
        saved: None,
        email_id: String::new(),
    }
}

#[test]
fn slices_of_a_part_scan_once() {
    let message = format!("Content-Type: multipart/mixed; boundary=x\n\n--x\n\n{}\n--x--\n", "line\n".repeat(100_000));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(message.as_bytes()).unwrap();
    let (mut memory, mut text, mut first_cost, mut read) = (None, Vec::new(), 0, 0);
    while text.len() < 600_000 {
        let item = format!("1 BODY.PEEK[1]<{}.50000>", text.len());
        let wanted = Wanted::new(Cursor::new(item.as_bytes()).fetch().unwrap().items, false, Enabled::default());
        let source = Source::new(file.try_clone().unwrap(), Extent::All).unwrap();
        let (mut out, mut budget) = (Out::new(), u64::MAX);
        let mut answer = Answer::new(some_facts(), Some(source), memory.take());
        while answer.check(&wanted, &mut budget).unwrap() == Check::Unknown {}
        answer.begin_response(&wanted, &mut out);
        assert!(answer.step(&wanted, &[], &mut out, &mut budget).unwrap());
        memory = answer.into_memory();
        let start = out.bytes().iter().position(|b| *b == b'\n').unwrap() + 1;
        text.extend_from_slice(&out.bytes()[start..out.bytes().len() - 3]);
        read += u64::MAX - budget;
        first_cost = if first_cost == 0 { read } else { first_cost };
    }
    assert!(text.chunks(6).all(|line| line == b"line\r\n"));
    assert!(first_cost >= 500_000 && read < 4 * first_cost, "first {first_cost}, all {read}");
}

#[test]
fn comparing_many_names_with_many_fields_is_work_for_several_steps() {
    let message = "a:\n".repeat(20_000) + "\nbody\n";
    let names: String = (0..100).map(|n| format!("n{n} ")).collect();
    let items: Vec<String> = (0..10).map(|n| format!("BODY.PEEK[HEADER.FIELDS ({names}x{n})]")).collect();
    let items = format!("({})", items.join(" "));
    let (text, steps) = fetch_in_steps(message.as_bytes(), &items, 8 << 20);
    assert_eq!(text.matches("{2}").count(), 10);
    assert!(steps >= 2, "{steps}");
    let (_, steps) = fetch_in_steps(b"Subject: x\n\n", &items, 8 << 20);
    assert_eq!(steps, 1);
}

/// The value of the one item.
fn item(message: &str, item: &str) -> String {
    let peek = item.replacen("BODY[", "BODY.PEEK[", 1);
    let (text, _) = fetch_in_steps(message.as_bytes(), &peek, u64::MAX);
    let text = text.strip_prefix("* 1 FETCH (").and_then(|text| text.strip_suffix(")\r\n")).unwrap();
    let name = item.split('<').next().unwrap();
    text.strip_prefix(name).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn without_the_file() {
    let want =
        "* 1 FETCH (FLAGS (\\Seen \\Recent Work) INTERNALDATE \"17-Jul-1996 02:44:25 +0000\" RFC822.SIZE 99)\r\n";
    assert_eq!(fetch_in_steps(b"", "FAST", u64::MAX).0, want);
    assert_eq!(
        Wanted::new(vec![Item::Flags, Item::Size], true, Enabled::default()).items,
        [Item::Uid, Item::Flags, Item::Size]
    );
    assert_eq!(Wanted::new(vec![Item::Flags], true, Enabled::default()).extent, None);
    assert_eq!(Wanted::new(vec![Item::Envelope], true, Enabled::default()).extent, Some(Extent::Header));
}

#[test]
fn pieces_of_a_plain_message() {
    let message = "Subject: plain\nX-A: 1\nx-a: 2\n fold\nY: z\n\nbody\nline2\n";
    let header = "Subject: plain\r\nX-A: 1\r\nx-a: 2\r\n fold\r\nY: z\r\n\r\n";
    let table = [
        ("BODY[]", format!(" {{60}}\r\n{header}body\r\nline2\r\n")),
        ("BODY[HEADER]", format!(" {{47}}\r\n{header}")),
        ("BODY[TEXT]", " {13}\r\nbody\r\nline2\r\n".into()),
        ("BODY[1]", " {13}\r\nbody\r\nline2\r\n".into()),
        ("BODY[1.MIME]", format!(" {{47}}\r\n{header}")),
        ("BODY[1.HEADER]", " NIL".into()),
        ("BODY[1.1]", " NIL".into()),
        ("BODY[2]", " NIL".into()),
        ("BODY[HEADER.FIELDS (y X-A)]", " {31}\r\nX-A: 1\r\nx-a: 2\r\n fold\r\nY: z\r\n\r\n".into()),
        ("BODY[HEADER.FIELDS (none)]", " {2}\r\n\r\n".into()),
        ("BODY[HEADER.FIELDS.NOT (Subject x-a)]", " {8}\r\nY: z\r\n\r\n".into()),
        ("BODY[HEADER.FIELDS (Subject)]<8.7>", "<8> {7}\r\n plain\r".into()),
        ("BODY[]<0.5>", "<0> {5}\r\nSubje".into()),
        ("BODY[]<45.6>", "<45> {6}\r\n\r\nbody".into()),
        ("BODY[]<58.10>", "<58> {2}\r\n\r\n".into()),
        ("BODY[]<60.10>", "<60> {0}\r\n".into()),
        ("BODY[TEXT]<4294967295.4294967295>", "<4294967295> {0}\r\n".into()),
        ("BODY[1]<5.3>", "<5> {3}\r\n\nli".into()),
    ];
    for (name, want) in table {
        assert_eq!(item(message, name), want, "{name}");
    }
}

#[test]
fn pieces_of_a_multipart() {
    let message = "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-ID: c1\n\na1\n\
        --x\nContent-Type: message/rfc822\nContent-ID: c2\n\nSubject: in\nX: y\n\nb2\nb3\n--x--\n";
    let table = [
        ("BODY[1]", " {2}\r\na1"),
        ("BODY[1.MIME]", " {18}\r\nContent-ID: c1\r\n\r\n"),
        ("BODY[1.TEXT]", " NIL"),
        ("BODY[2]", " {27}\r\nSubject: in\r\nX: y\r\n\r\nb2\r\nb3"),
        ("BODY[2.MIME]", " {48}\r\nContent-Type: message/rfc822\r\nContent-ID: c2\r\n\r\n"),
        ("BODY[2.HEADER]", " {21}\r\nSubject: in\r\nX: y\r\n\r\n"),
        ("BODY[2.TEXT]", " {6}\r\nb2\r\nb3"),
        ("BODY[2.HEADER.FIELDS (Subject)]", " {15}\r\nSubject: in\r\n\r\n"),
        ("BODY[2.1]", " {6}\r\nb2\r\nb3"),
        ("BODY[2.1.MIME]", " {21}\r\nSubject: in\r\nX: y\r\n\r\n"),
        ("BODY[3]", " NIL"),
    ];
    for (name, want) in table {
        assert_eq!(item(message, name), want, "{name}");
    }
}

#[test]
fn seen_is_told_with_the_message() {
    assert!(
        fetch_in_steps(b"a: b\n\nc", "BODY[TEXT]", u64::MAX).0.ends_with("{1}\r\nc FLAGS (\\Seen \\Recent Work))\r\n")
    );
    let both = fetch_in_steps(b"a: b\n\nc", "(RFC822.TEXT FLAGS)", u64::MAX).0;
    assert_eq!(both, "* 1 FETCH (RFC822.TEXT {1}\r\nc FLAGS (\\Seen \\Recent Work))\r\n");
}

#[test]
fn big_messages_come_in_steps() {
    let message = format!("Subject: x\n\n{}", "0123456789\n".repeat(400_000));
    let (text, steps) = fetch_in_steps(message.as_bytes(), "(BODYSTRUCTURE BODY.PEEK[])", 1 << 20);
    assert!(steps > 10, "{steps}");
    assert!(text.starts_with(
        "* 1 FETCH (BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 4800000 400000 "
    ));
    assert!(text.contains(" BODY[] {4800014}\r\nSubject: x\r\n\r\n0123456789\r\n"));
    assert_eq!(text.matches("0123456789\r\n").count(), 400_000);
    assert!(text.ends_with("9\r\n)\r\n"));
}

#[test]
fn a_header_longer_than_any_limit_is_sent_whole() {
    let message = format!("X: {}\nSubject: s\n\nbody\n", "y".repeat(crate::mail::scan::MAX_HEADER));
    let size = message.len() + 4;
    assert!(item(&message, "BODY[HEADER]").starts_with(&format!(" {{{}}}\r\nX: yyy", size - 6)));
    assert_eq!(item(&message, "BODY[TEXT]"), " {6}\r\nbody\r\n");
}

#[test]
fn a_hundred_thousand_nested_messages() {
    let message = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let text = item(&message, "BODYSTRUCTURE");
    assert_eq!(text.matches("\"rfc822\"").count(), crate::mail::scan::MAX_DEPTH - 1);
    let deep = format!("BODY[{}1]", "1.".repeat(50));
    assert!(item(&message, &deep).ends_with("Content-Type: message/rfc822\r\n\r\n"));
}

proptest! {
    /// Every literal has the size that it claims, in whatever steps.
    #[test]
    fn literals_are_true(
        message in "(Content-Type: multipart/mixed; boundary=x\n\n)?[ab:x\\-\r\n\0]{0,60}",
        name in prop::sample::select(vec![
            "BODY[]", "BODY[TEXT]", "BODY[HEADER]", "BODY[1]", "BODY[1.MIME]", "BODY[HEADER.FIELDS (a)]",
            "BODY[]<3.9>", "BODY[TEXT]<1.4>", "BODY[1]<2.2>",
        ]),
    ) {
        let value = item(&message, name);
        if let Some((_, literal)) = value.split_once('{') {
            let (size, bytes) = literal.split_once("}\r\n").unwrap();
            // 0x80 became U+FFFD, which has three bytes.
            prop_assert_eq!(size.parse::<usize>().unwrap(), bytes.replace('\u{fffd}', "0").len());
        } else {
            prop_assert!(value.ends_with(" NIL"));
        }
    }
}

#[test]
fn decoded_parts() {
    let message = "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Transfer-Encoding: quoted-printable\n\na=0Ab \nc=\n\n\
        --x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAECCg==\n\
        --x\nContent-Type: image/png\nContent-Transfer-Encoding: quoted-printable\n\n=0A=\n\n\n\
        --x\nContent-Type: text/plain; charset=UTF-16\nContent-Transfer-Encoding: base64\n\nAAo=\n\
        --x\nContent-Transfer-Encoding: x-y\n\nz\n--x\n\n8 bit\n\n--x--\n";
    let table = [
        ("BINARY[1]", " {7}\r\na\r\nb\r\nc"),
        ("BINARY[2]", " ~{4}\r\n\0\u{1}\u{2}\n"),
        ("BINARY[2]<1.2>", "<1> {2}\r\n\u{1}\u{2}"),
        ("BINARY.SIZE[2]", " 4"),
        ("BINARY[3]", " {3}\r\n\n\r\n"),
        ("BINARY[4]", " ~{2}\r\n\0\n"),
        ("BINARY[6]", " {7}\r\n8 bit\r\n"),
        ("BINARY[7]", " NIL"),
        ("BINARY.SIZE[7]", " 0"),
    ];
    for (name, want) in table {
        let peek = name.replace("BINARY[", "BINARY.PEEK[");
        let (text, _) = fetch_in_steps(message.as_bytes(), &peek, u64::MAX);
        assert_eq!(text, format!("* 1 FETCH ({}{want})\r\n", name.split('<').next().unwrap()), "{name}");
    }
    for name in ["BINARY[5]", "BINARY.PEEK[5]", "BINARY.SIZE[5]"] {
        assert_eq!(fetch_in_steps(message.as_bytes(), name, u64::MAX).0, "undecodable", "{name}");
    }
    assert!(Wanted::new(Cursor::new(b"1 BINARY[]").fetch().unwrap().items, false, Enabled::default()).sets_seen);
    assert!(
        !Wanted::new(Cursor::new(b"1 (BINARY.PEEK[] BINARY.SIZE[])").fetch().unwrap().items, false, Enabled::default())
            .sets_seen
    );
}

/// Too big for memory: decoded in steps, whole and in slices, with the same result.
#[test]
fn big_decoded_parts() {
    let line = "=00=01=3D some text that is neither = \r\nshort nor=20\n";
    let message = format!("Mime-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\n{}", line.repeat(10_000));
    let want = "\0\u{1}= some text that is neither short nor \r\n".repeat(10_000);
    let (text, steps) = fetch_in_steps(message.as_bytes(), "BINARY.PEEK[1]", 1);
    assert!(steps > 10, "{steps}");
    assert!(text == format!("* 1 FETCH (BINARY[1] ~{{{}}}\r\n{want})\r\n", want.len()));
    let (text, _) = fetch_in_steps(message.as_bytes(), "BINARY.SIZE[1]", 1);
    assert_eq!(text, format!("* 1 FETCH (BINARY.SIZE[1] {})\r\n", want.len()));

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(message.as_bytes()).unwrap();
    let (mut memory, mut got, mut read) = (None, Vec::new(), 0);
    while got.len() < want.len() {
        let item = format!("1 BINARY.PEEK[1]<{}.7001>", got.len());
        let wanted = Wanted::new(Cursor::new(item.as_bytes()).fetch().unwrap().items, false, Enabled::default());
        let source = Source::new(file.try_clone().unwrap(), Extent::All).unwrap();
        let (mut out, mut budget) = (Out::new(), u64::MAX);
        let mut answer = Answer::new(some_facts(), Some(source), memory.take());
        while answer.check(&wanted, &mut budget).unwrap() == Check::Unknown {}
        answer.begin_response(&wanted, &mut out);
        assert!(answer.step(&wanted, &[], &mut out, &mut budget).unwrap());
        memory = answer.into_memory();
        let start = out.bytes().iter().position(|b| *b == b'\n').unwrap() + 1;
        got.extend_from_slice(&out.bytes()[start..out.bytes().len() - 3]);
        read += u64::MAX - budget;
    }
    assert!(got == want.as_bytes());
    // Two or three blocks a slice; from the start each time it would be 15 MB.
    assert!(read < 64 * message.len() as u64 / 2, "{read}");
}
