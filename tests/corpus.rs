//! Real messages: in by SMTP, out by IMAP and POP3, byte for byte; and what IMAP says of them beside an installed Dovecot 2.3.
//!
//! Needs `dovecot` for the comparison. Where we differ from Dovecot on purpose, [`DIFFERENCES`] says why, and the test fails if a
//! difference is gone as well as if there is a new one.

#[allow(dead_code, reason = "each test file uses the part that it needs")]
#[path = "support/dovecot.rs"]
mod dovecot;
#[path = "corpus/messages.rs"]
mod messages;
#[path = "corpus/responses.rs"]
mod responses;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use messages::wire;
use responses::{Fetched, Value, fetch};
use support::{Client, Demo};

/// A message whose BODYSTRUCTURE differs from Dovecot's: what of ours Dovecot does not have, what of Dovecot's we do not have, and why.
struct Difference {
    message: &'static str,
    ours: &'static str,
    dovecots: &'static str,
    why: &'static str,
}

const DIFFERENCES: [Difference; 4] = [
    Difference {
        message: "missing-subtype.eml",
        ours: "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 16 1 ",
        dovecots: "(\"\" \"\" NIL NIL NIL \"7bit\" 16 ",
        why: "Content-Type `application-x-gzip; name=...` has no subtype. RFC 2045 5.2: what cannot be read is \
              text/plain in us-ascii. Dovecot sends an empty type, which no client knows",
    },
    Difference {
        message: "startrek.eml",
        ours: "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 46125 2436 ",
        dovecots: "(\"\" \"\" NIL NIL NIL \"7bit\" 46125 ",
        why: "Content-Type `X-BE2; 12`: the same",
    },
    Difference {
        message: "rfc2060.eml",
        ours: "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 318 ",
        dovecots: "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 320 ",
        why: "the line end before a boundary belongs to the boundary (RFC 2046 5.1.1), also where the line before is the \
              end boundary of a multipart inside. Dovecot counts it to the part, which breaks signatures of such parts (RFC 1847)",
    },
    Difference {
        message: "list.mbox 0",
        ours: "(\"Boundary\" \"===========================_ _= 1212158(26598)\")",
        dovecots: "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) \"mixed\" NIL NIL NIL NIL)",
        why: "Content-Type `multipart/mixed;; Boundary=...`: we pass over an empty parameter; Dovecot loses those behind it, and \
              with the boundary the parts",
    },
];

/// Put messages into a Maildir as another program does.
fn drop_into(maildir: &Path, messages: &[(String, Vec<u8>)], owner: Option<u32>) {
    for folder in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(maildir.join(folder)).expect("a Maildir");
    }
    for (n, (_, text)) in messages.iter().enumerate() {
        let name = format!("1700000000.M{n:06}P1.corpus");
        std::fs::write(maildir.join("tmp").join(&name), text).expect("a message");
        std::fs::rename(maildir.join("tmp").join(&name), maildir.join("new").join(&name)).expect("delivered");
    }
    let Some(owner) = owner else { return };
    for entry in walkdir::WalkDir::new(maildir.parent().expect("a home")) {
        std::os::unix::fs::chown(entry.expect("a file").path(), Some(owner), Some(owner)).expect("chown");
    }
}

/// What a server says of the messages, by their text on the wire.
fn look(client: &mut Client, count: usize) -> BTreeMap<Vec<u8>, Fetched> {
    client.imap("select INBOX");
    let all = fetch(client, "fetch 1:* (ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[])");
    assert_eq!(all.len(), count);
    let text = |fetched: &Fetched| match &fetched["BODY[]"] {
        Value::Text(text) => text.clone(),
        other => panic!("BODY[] is {other}"),
    };
    all.into_iter().map(|fetched| (text(&fetched), fetched)).collect()
}

#[test]
fn structures_are_dovecots() {
    if support::program("dovecot").is_none() {
        return;
    }
    let messages = messages::all();
    let root = tempfile::tempdir().expect("a directory");
    let dovecot = dovecot::Dovecot::start(root.path(), "");
    drop_into(&dovecot.maildir("corpus"), &messages, nix::unistd::geteuid().is_root().then_some(dovecot::NOBODY));
    let mut theirs = Client::to(dovecot.imap);
    theirs.line();
    theirs.imap(&format!("login corpus {}", dovecot::PASSWORD));
    let theirs = look(&mut theirs, messages.len());

    let demo = Demo::with(&["--users", "1"]);
    drop_into(&demo.user("user1").maildir, &messages, None);
    let ours = look(&mut demo.imap("user1"), messages.len());

    let mut wrong = Vec::new();
    for (name, text) in &messages {
        let (ours, theirs) = (&ours[&wire(text)], &theirs[&wire(text)]);
        let expected = DIFFERENCES.iter().find(|difference| difference.message == name);
        if ours["ENVELOPE"] != theirs["ENVELOPE"] {
            wrong.push(format!("{name}: ENVELOPE\n  {}\n  {}", ours["ENVELOPE"], theirs["ENVELOPE"]));
        }
        let (our, their) = (ours["BODYSTRUCTURE"].to_string(), theirs["BODYSTRUCTURE"].to_string());
        match expected {
            None if our == their && ours["BODY"] == theirs["BODY"] => {}
            None => wrong.push(format!("{name}: BODYSTRUCTURE\n  {our}\n  {their}")),
            Some(known) => {
                let as_known = our.contains(known.ours)
                    && !their.contains(known.ours)
                    && their.contains(known.dovecots)
                    && !our.contains(known.dovecots);
                if !as_known {
                    wrong.push(format!("{name}: not the difference that is known ({})\n  {our}\n  {their}", known.why));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} messages:\n{}", wrong.len(), wrong.join("\n"));
}

/// How a message is handed over.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Dotted lines.
    Data,
    /// A chunk, without looking at lines (RFC 3030).
    Bdat,
}

fn deliver(client: &mut Client, text: &[u8], way: Way) {
    client.smtp("MAIL FROM:<sender@example.org> BODY=8BITMIME", "250");
    client.smtp("RCPT TO:<user1@demo.test>", "250");
    let text = wire(text);
    match way {
        Way::Data => {
            client.smtp("DATA", "354");
            for line in text.split_inclusive(|b| *b == b'\n') {
                if line.starts_with(b".") {
                    client.raw(b".");
                }
                client.raw(line);
            }
            client.raw(if text.ends_with(b"\n") { b".\r\n" } else { b"\r\n.\r\n" });
        }
        Way::Bdat => {
            client.send(&format!("BDAT {} LAST", text.len()));
            client.raw(&text);
        }
    }
    client.reply("the message", "250");
}

/// `text` without the fields that delivery put before it: Return-Path, Delivered-To, Received, and only these.
fn without_added(text: &[u8]) -> &[u8] {
    let mut rest = text;
    for name in ["Return-Path: ", "Delivered-To: ", "Received: "] {
        assert!(
            rest.starts_with(name.as_bytes()),
            "{name} in {}",
            String::from_utf8_lossy(&text[..400.min(text.len())])
        );
        let mut lines = rest.split_inclusive(|b| *b == b'\n');
        let mut len = lines.next().map_or(0, <[u8]>::len);
        len +=
            lines.take_while(|line| line.starts_with(b"\t") || line.starts_with(b" ")).map(<[u8]>::len).sum::<usize>();
        rest = &rest[len..];
    }
    rest
}

#[test]
fn in_by_smtp_and_out_by_imap_and_pop3() {
    let messages = messages::all();
    let demo = Demo::with(&["--users", "1"]);
    let mut smtp = demo.connect("smtp");
    smtp.smtp("EHLO test", "250");
    for way in [Way::Data, Way::Bdat] {
        for (_, text) in &messages {
            deliver(&mut smtp, text, way);
        }
    }

    let mut imap = demo.imap("user1");
    imap.imap("select INBOX");
    let by_imap = fetch(&mut imap, "fetch 1:* (RFC822.SIZE BODY.PEEK[])");
    assert_eq!(by_imap.len(), 2 * messages.len());
    let mut pop3 = demo.pop3("user1");
    for (n, fetched) in by_imap.iter().enumerate() {
        let (name, original) = &messages[n % messages.len()];
        let Value::Text(text) = &fetched["BODY[]"] else { panic!("{name}: no text") };
        let mut expected = wire(original);
        if n < messages.len() && !expected.ends_with(b"\n") {
            // DATA ends with CRLF.CRLF: its first CRLF is the message's (RFC 5321 4.1.1.4). BDAT adds nothing.
            expected.extend_from_slice(b"\r\n");
        }
        assert!(without_added(text) == expected, "{name} ({n}) comes back changed");
        assert_eq!(fetched["RFC822.SIZE"], Value::Atom(text.len().to_string()), "{name}");
        assert!(retrieve(&mut pop3, n + 1) == end_line(text), "{name} ({n}) is different by POP3");
    }
}

/// RETR: the message with its dots undone.
fn retrieve(pop3: &mut Client, number: usize) -> Vec<u8> {
    pop3.pop3(&format!("RETR {number}"));
    let mut text = Vec::new();
    loop {
        let line = pop3.raw_line();
        if line == b".\r\n" {
            return text;
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// POP3 ends every message with CRLF, since a dot on a line of its own must follow (RFC 1939 section 3).
fn end_line(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// What no SMTP brings in, but another program may leave in a Maildir: IMAP sends a lone CR as it is and NUL as 0x80, which a
/// literal may hold (RFC 3501 section 9). SMTP refuses both.
#[test]
fn bytes_that_mail_must_not_have() {
    let demo = Demo::with(&["--users", "1"]);
    let odd = b"Subject: odd\n\na\rb\0c\nd".to_vec();
    drop_into(&demo.user("user1").maildir, &[("odd".into(), odd)], None);
    let mut imap = demo.imap("user1");
    imap.imap("select INBOX");
    let fetched = fetch(&mut imap, "fetch 1 (RFC822.SIZE BODY.PEEK[])");
    assert_eq!(fetched[0]["BODY[]"], Value::Text(b"Subject: odd\r\n\r\na\rb\x80c\r\nd".to_vec()));
    assert_eq!(fetched[0]["RFC822.SIZE"], Value::Atom("24".into()));

    let mut smtp = demo.connect("smtp");
    smtp.smtp("EHLO test", "250");
    for body in [&b"a\rb\r\n"[..], b"a\nb\r\n"] {
        smtp.smtp("MAIL FROM:<sender@example.org>", "250");
        smtp.smtp("RCPT TO:<user1@demo.test>", "250");
        smtp.smtp("DATA", "354");
        smtp.raw(&[b"Subject: odd\r\n\r\n", body, b".\r\n"].concat());
        smtp.reply("a lone CR or LF", "5");
    }
}

/// A literal's size is a promise. When another program cuts the file while it is sent, no bytes that we could make up are the
/// message: the connection ends, and the client sees that it has not got it.
#[test]
fn a_message_cut_while_it_is_sent_ends_the_connection() {
    const LINES: usize = 1_000_000;
    let demo = Demo::with(&["--users", "1"]);
    let text = format!("Subject: big\n\n{}", "0123456789012345678901234567890123456789\n".repeat(LINES)).into_bytes();
    let maildir = demo.user("user1").maildir;
    drop_into(&maildir, &[("big".into(), text.clone())], None);
    let mut imap = demo.imap("user1");
    imap.imap("select INBOX");
    imap.send("f fetch 1 BODY.PEEK[]");
    let size = wire(&text).len();
    assert_eq!(imap.line(), format!("* 1 FETCH (BODY[] {{{size}}}"));
    imap.bytes(1000);
    let file = ["cur", "new"].iter().find_map(|folder| {
        std::fs::read_dir(maildir.join(folder)).expect("a folder").next().map(|entry| entry.expect("a file").path())
    });
    let file = std::fs::OpenOptions::new().write(true).open(file.expect("the message")).expect("open");
    file.set_len(1_000_000).expect("cut");
    let mut got = 1000;
    loop {
        match imap.raw_line().len() {
            0 => break,
            n => got += n,
        }
    }
    assert!(got < size, "{got} of {size} bytes");
    demo.imap("user1").imap("select INBOX");
}
