//! Every key on one message, and charsets.

use super::*;
use crate::imap::parse::Cursor;

const UIDS: [u32; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

fn program(text: &[u8]) -> Result<Program, Reply> {
    let search = Cursor::new(text).search().unwrap();
    Program::new(search, &View::of(&UIDS), &["Work".to_owned(), "$Junk".to_owned()])
}

fn candidate() -> Candidate {
    let message = Message { uid: 70, flags: Flags::SEEN.with(Flags::DRAFT), keywords: 1, modseq: 1 };
    Candidate { number: 7, message, recent: true }
}

/// What a search without bodies says of [`candidate`] with this header, of 1,000 bytes, from 2 January 2020.
fn judge(text: &str, header: &str) -> Option<bool> {
    let program = program(text.as_bytes()).unwrap();
    let mut known = program.nothing_known();
    program.look_at_memory(&candidate(), &mut known);
    program.look_at_stat::<()>(&mut known, || Ok(1_577_923_200), || Ok(1000), || Ok(None), || Ok("M1".into())).unwrap();
    program.look_at_header(header.as_bytes(), &mut known);
    program.judge(&known)
}

#[test]
fn keys() {
    let header =
        "Date: Wed, 1 Jan 2020 23:59:59 -0800\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle\nTo: a@b\nX-Empty:\n\n";
    let matching = [
        "ALL",
        "SEEN",
        "DRAFT",
        "UNANSWERED",
        "UNDELETED",
        "UNFLAGGED",
        "RECENT",
        "KEYWORD work",
        "UNKEYWORD $junk",
        "UNKEYWORD None",
        "7",
        "1:*",
        "5:9",
        "UID 70",
        "UID 60:80,90",
        "UID *:1",
        "SINCE 2-Jan-2020",
        "ON 2-Jan-2020",
        "BEFORE 3-Jan-2020",
        "LARGER 999",
        "SMALLER 1001",
        "SENTON 1-Jan-2020",
        "SENTSINCE 1-Jan-2020",
        "SENTBEFORE 2-Jan-2020",
        "SUBJECT \"GRÜßE\"",
        "SUBJECT \"grüße an\"",
        "TO A@B",
        "HEADER x-empty \"\"",
        "HEADER To \"\"",
        "TEXT \"to: a@b\"",
        "NOT ANSWERED",
        "OR ANSWERED SEEN",
        "SEEN DRAFT 7",
        "(SEEN (DRAFT 7))",
        "NOT (SEEN ANSWERED)",
        "OR TEXT nowhere SEEN",
    ];
    for text in matching {
        assert_eq!(judge(text, header), Some(true), "{text}");
    }
    let others = [
        "UNSEEN",
        "ANSWERED",
        "OLD",
        "NEW",
        "KEYWORD $junk",
        "UNKEYWORD work",
        "6",
        "8:*",
        "UID 71:*",
        "UID 7",
        "SINCE 3-Jan-2020",
        "ON 1-Jan-2020",
        "BEFORE 2-Jan-2020",
        "LARGER 1000",
        "SMALLER 1000",
        "SENTON 2-Jan-2020",
        "SUBJECT b@a",
        "CC \"\"",
        "HEADER X-None \"\"",
        "NOT SEEN",
        "OR ANSWERED UNSEEN",
        "SEEN ANSWERED",
        "TEXT nowhere UNSEEN",
    ];
    for text in others {
        assert_eq!(judge(text, header), Some(false), "{text}");
    }
    for text in ["BODY x", "TEXT nowhere", "OR BODY x UNSEEN", "BODY x SEEN", "NOT BODY x"] {
        assert_eq!(judge(text, header), None, "{text}");
    }
    assert_eq!(judge("SENTBEFORE 1-Jan-2030", "Date: rubbish\n\n"), Some(false), "no date is no day");
}

#[test]
fn charsets() {
    let latin = program(b"CHARSET ISO-8859-1 SUBJECT \"gr\xfc\xdfe\"").unwrap();
    let mut known = latin.nothing_known();
    latin.look_at_header("Subject: Grüße\n".as_bytes(), &mut known);
    assert_eq!(latin.judge(&known), Some(true));
    let refused = program(b"CHARSET x-klingon ALL").err().unwrap();
    assert!(refused.code.unwrap().starts_with("BADCHARSET (US-ASCII UTF-8 "));
    assert!(program(b"CHARSET utf-8 SUBJECT \"\xff\"").is_err());
    assert!(program(b"SUBJECT \"\xc3\xa9\"").is_ok());
}
