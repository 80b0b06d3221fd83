//! Every limit on what a client sends, from the outside: past it the command has its tagged answer, and the session lives on.
//!
//! The numbers are those of the constants themselves; that a command just below its limit works is shown where it costs little.

use crate::imap::frame::{MAX_LINE, MAX_LINE_BEFORE_LOGIN, MAX_LITERALS, MAX_UNASKED};
use crate::imap::parse::cursor::MAX_DEPTH;
use crate::imap::parse::flag;
use crate::imap::parse::list::{MAX_PATTERN_BYTES, MAX_PATTERNS};
use crate::imap::parse::metadata::MAX_ENTRIES;
use crate::imap::parse::search::MAX_KEYS;
use crate::imap::parse::set::MAX_RANGES;
use crate::imap::testing::{Client, World};
use crate::imap::updates::MAX_UPDATES;
use crate::store::keywords::MAX_KEYWORDS;
use crate::store::metadata::{self, MAX_VALUE};
use crate::wire::Want;

/// Send `command` (its tag is `b`), which must be answered so, and NOOP.
#[track_caller]
fn answers(client: &mut Client, what: &str, command: &str, want: &str) {
    let said = client.says(&format!("{command}\r\n"));
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with(want), "{what}: {want} is not {last:.200}");
    let noop = client.says("n noop\r\n");
    assert!(noop.starts_with("n OK "), "{what}: the session lives: {noop:.200}");
    assert!(matches!(client.want, Want::Input), "{what}");
}

fn selected(world: &World) -> Client {
    let mut client = world.client();
    client.login();
    client.says("a append inbox {12+}\r\nSubject: x\r\n\r\n");
    assert!(client.says("a select inbox\r\n").contains("a OK"));
    client
}

fn repeated(piece: &str, count: usize) -> String {
    vec![piece; count].join(" ")
}

#[test]
fn before_login() {
    let world = World::new();
    let mut client = world.client();
    let long = "x".repeat(MAX_LINE_BEFORE_LOGIN);
    answers(&mut client, "line", &format!("b login {long} y"), "b BAD ");
    let size = MAX_LINE_BEFORE_LOGIN + 1;
    answers(&mut client, "literal", &format!("b login {{{size}}}"), "b BAD [TOOBIG] ");
    // RFC 7888 section 5: LITERAL-.
    let size = MAX_UNASKED as usize + 1;
    let unasked = format!("b login {{{size}+}}\r\n{} y", "x".repeat(size));
    answers(&mut client, "literal that comes unasked", &unasked, "b BAD [TOOBIG] ");
    answers(&mut client, "fields of ID", &format!("b id ({})", repeated("\"a\" \"b\"", 31)), "b BAD ");
}

#[test]
fn lines_literals_and_nesting() {
    let world = World::new();
    let mut client = selected(&world);
    let long = "x".repeat(MAX_LINE);
    answers(&mut client, "line", &format!("b list \"\" {long}"), "b BAD ");
    let size = MAX_LITERALS + 1;
    answers(&mut client, "literal", &format!("b create {{{size}}}"), "b BAD [TOOBIG] ");
    let unasked = format!("b create {{{size}+}}\r\n{}", "x".repeat(size));
    answers(&mut client, "literal that comes unasked", &unasked, "b BAD [TOOBIG] ");
    let half = MAX_LITERALS / 2 + 1;
    let two = format!("b rename {{{half}+}}\r\n{} {{{half}+}}\r\n{}", "x".repeat(half), "y".repeat(half));
    answers(&mut client, "literals together", &two, "b BAD [TOOBIG] ");
    answers(&mut client, "message", "b append inbox {1000001}", "b NO [TOOBIG] ");
    let messages = " {1+}\r\nx".repeat(101);
    answers(&mut client, "messages of one APPEND", &format!("b append inbox{messages}"), "b NO [LIMIT] ");
    for (what, command) in [
        ("SEARCH in parentheses", format!("b search {}all{}", "(".repeat(1001), ")".repeat(1001))),
        ("SEARCH with NOT", format!("b search {}all", "not ".repeat(1001))),
        ("THREAD", format!("b thread references utf-8 {}", "(".repeat(10_000))),
        ("LIST", format!("b list {}", "(".repeat(10_000))),
        ("FETCH", format!("b fetch 1 {}", "(".repeat(10_000))),
        ("STORE", format!("b store 1 +flags {}", "(".repeat(10_000))),
        ("SETMETADATA", format!("b setmetadata inbox {}", "(".repeat(10_000))),
    ] {
        answers(&mut client, what, &command, "b BAD ");
    }
    let inside = format!("b search {}all{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    answers(&mut client, "SEARCH just so", &inside, "b OK ");
}

#[test]
fn lists() {
    let world = World::new();
    let mut client = selected(&world);
    let set = vec!["1"; MAX_RANGES].join(",");
    answers(&mut client, "sequence set", &format!("b fetch {set},1 (uid)"), "b BAD ");
    answers(&mut client, "sequence set just so", &format!("b fetch {set} (uid)"), "b OK ");
    answers(&mut client, "UID set", &format!("b uid store {set},1 +flags (x)"), "b BAD ");
    let too_many = MAX_KEYS + 1;
    answers(&mut client, "keys of SEARCH", &format!("b search {}", repeated("seen", too_many)), "b BAD ");
    answers(&mut client, "keys just so", &format!("b search {}", repeated("seen", MAX_KEYS)), "b OK ");
    answers(&mut client, "keys of SORT", &format!("b sort (date) utf-8 {}", repeated("seen", too_many)), "b BAD ");
    answers(&mut client, "keys of THREAD", &format!("b thread refs utf-8 {}", repeated("seen", too_many)), "b BAD ");
    answers(&mut client, "criteria", &format!("b sort ({}) utf-8 all", repeated("date", 21)), "b BAD ");
    let items: Vec<String> = (1..=101).map(|n| format!("body.peek[{n}]")).collect();
    answers(&mut client, "items", &format!("b fetch 1 ({})", items.join(" ")), "b BAD ");
    let fields = format!("b fetch 1 body.peek[header.fields ({})]", repeated("x", 201));
    answers(&mut client, "fields", &fields, "b BAD ");
    answers(&mut client, "patterns", &format!("b list \"\" ({})", repeated("x", MAX_PATTERNS + 1)), "b BAD ");
    answers(&mut client, "patterns just so", &format!("b list \"\" ({})", repeated("x", MAX_PATTERNS)), "b OK ");
    let long = "x".repeat(MAX_PATTERN_BYTES / 10);
    answers(&mut client, "long patterns", &format!("b list \"\" ({})", repeated(&long, 11)), "b BAD ");
    answers(&mut client, "patterns and a reference", &format!("b list {long} ({})", repeated(&long, 6)), "b BAD ");
    answers(&mut client, "name", &format!("b create {}", "x".repeat(1001)), "b NO [CANNOT] ");
    answers(&mut client, "levels of a name", &format!("b create {}", vec!["x"; 33].join("/")), "b NO [CANNOT] ");
    client.says("q enable qresync\r\n");
    let matches = "b select inbox (qresync (1 1 (1:10001 1:10001)))";
    answers(&mut client, "pairs of QRESYNC", matches, "b BAD ");
}

#[test]
fn metadata_and_flags() {
    let world = World::new();
    let mut client = selected(&world);
    let value = format!("b setmetadata inbox (/private/comment {{{}}}", MAX_VALUE + 1);
    answers(&mut client, "value", &value, &format!("b NO [METADATA MAXSIZE {MAX_VALUE}] "));
    let unasked =
        format!("b setmetadata \"\" (/private/comment {{{}+}}\r\n{})", MAX_VALUE + 1, "x".repeat(MAX_VALUE + 1));
    answers(&mut client, "value that comes unasked", &unasked, &format!("b NO [METADATA MAXSIZE {MAX_VALUE}] "));
    let entry = |n: usize| format!("/private/vendor/x/{n}");
    let entries: Vec<String> = (0..=MAX_ENTRIES).map(entry).collect();
    answers(&mut client, "entries asked for", &format!("b getmetadata inbox ({})", entries.join(" ")), "b BAD ");
    let name = format!("b setmetadata inbox (/private/{} \"x\")", "x".repeat(metadata::MAX_NAME));
    answers(&mut client, "name of an entry", &name, "b BAD ");
    let mut set = |from: usize, count: usize| {
        let values: Vec<String> = (from..from + count).map(|n| format!("{} \"v\"", entry(n))).collect();
        client.says(&format!("b setmetadata inbox ({})\r\n", values.join(" ")))
    };
    assert!(set(0, MAX_ENTRIES + 1).starts_with("b BAD "), "entries of one command");
    for from in (0..metadata::MAX_ENTRIES).step_by(MAX_ENTRIES) {
        assert!(set(from, MAX_ENTRIES).starts_with("b OK "));
    }
    assert!(set(metadata::MAX_ENTRIES, 1).starts_with("b NO [METADATA TOOMANY] "), "entries of a mailbox");
    let keywords = |from: usize, count: usize| {
        let names: Vec<String> = (from..from + count).map(|n| format!("k{n}")).collect();
        format!("b store 1 +flags.silent ({})", names.join(" "))
    };
    answers(&mut client, "keywords of one STORE", &keywords(0, flag::MAX_KEYWORDS + 1), "b BAD ");
    // RFC 9051 7.1: PERMANENTFLAGS again, without \*, when the last one is taken.
    let said = client.says(&format!("{}\r\n", keywords(0, MAX_KEYWORDS)));
    assert!(said.contains(" k127)] ") && !said.contains("\\*") && said.contains("b OK "), "{said:.200}");
    answers(&mut client, "one more", &keywords(MAX_KEYWORDS, 1), "b NO [LIMIT] ");
    // RFC 3501 7.1: no \* where no new ones can be made.
    let said = client.says("s select inbox\r\n");
    let flags = said.lines().find(|line| line.contains("[PERMANENTFLAGS (")).unwrap_or_default();
    assert!(flags.contains(" k127)]") && !flags.contains("\\*"), "{flags:.200}");
    answers(&mut client, "one that is there", &keywords(0, 1), "b OK ");
    let long = "k".repeat(flag::MAX_KEYWORD + 1);
    answers(&mut client, "length of a keyword", &format!("b store 1 +flags ({long})"), "b BAD ");
    // RFC 5267 4.3.1.
    for n in 0..MAX_UPDATES {
        assert!(client.says(&format!("u{n} search return (update) all\r\n")).contains("OK"));
    }
    let said = client.says("b search return (update) all\r\n");
    assert!(said.contains("* NO [NOUPDATE \"b\"] ") && said.contains("b OK "), "{said}");
}

/// As many as come in one piece: each is answered, in order, and others have their turn in between.
#[test]
fn pipelined_commands() {
    let world = World::new();
    let mut client = selected(&world);
    let steps = client.steps;
    let commands: String = (0..5000).map(|n| format!("t{n} noop\r\n")).collect();
    let said = client.says(&commands);
    let tags: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(tags.iter().enumerate().all(|(n, tag)| *tag == format!("t{n}")) && tags.len() == 5000);
    assert!(client.steps - steps >= 5000 / super::COMMANDS_A_STEP as usize);
}
