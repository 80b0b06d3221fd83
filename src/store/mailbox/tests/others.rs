//! What other processes wrote into the shared files, and names that they gave.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use super::super::super::{Home, Layout, Mailbox, Name, Owner, Settings, Store, Stores};
use super::super::Change;
use super::{Fixture, flags, names, uids};
use crate::fsio;
use crate::mail::Flags;

/// Another table of stores is as another process: it shares nothing but the files.
fn another_process(at: &Fixture) -> Arc<Store> {
    let home = Home { maildir: at.maildir(), layout: Layout::Maildirpp, owner: Owner::Daemon };
    let settings = Settings { hostname: "other.test".into(), ..Settings::default() };
    Stores::new(settings).unwrap().open(&home).unwrap()
}

fn append_to_list(at: &Fixture, lines: &str) {
    let mut list = fs::File::options().append(true).open(at.maildir().join("dovecot-uidlist")).unwrap();
    list.write_all(lines.as_bytes()).unwrap();
}

#[test]
fn keywords_past_the_26th_of_another_process_count() {
    let at = Fixture::new();
    let a = at.inbox();
    at.drop_in("cur", "1.m:2,", "x");
    a.refresh().unwrap();
    let words: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    let add = |mailbox: &Mailbox, flags, words: &[String]| {
        mailbox.store_flags(&[1], Change::Add, flags, words, None).unwrap();
    };
    let has = |mailbox: &Mailbox, word: usize| {
        let number = mailbox.keywords().iter().position(|name| *name == words[word]);
        number.is_some_and(|number| mailbox.message(1).unwrap().keywords & 1 << number != 0)
    };
    add(&a, Flags::NONE, &words[..28]);
    let other = another_process(&at);
    let b = other.mailbox(&Name::inbox()).unwrap();
    assert!(has(&b, 27));
    // B changes something else, and what A did meanwhile stays.
    add(&a, Flags::NONE, &words[28..29]);
    add(&b, Flags::SEEN, &[]);
    assert!(has(&b, 28) && flags(&b, 1) == "S");
    assert!(has(&at.inbox(), 28));
    // Who opens the folder again sees what went.
    a.store_flags(&[1], Change::Remove, Flags::NONE, &words[27..28], None).unwrap();
    add(&a, Flags::NONE, &words[29..30]);
    let b = other.mailbox(&Name::inbox()).unwrap();
    assert!(!has(&b, 27) && has(&b, 28) && has(&b, 29));
}

#[test]
fn a_uid_stays_with_a_file_that_gets_its_size_into_its_name() {
    let at = Fixture::new();
    let inbox = at.inbox();
    at.drop_in("cur", "1.m:2,", "x");
    inbox.refresh().unwrap();
    // Another program saw 2.m, gave it a UID, and renamed it.
    append_to_list(&at, "7 :2.m\n");
    at.drop_in("cur", "2.m,S=1:2,", "y");
    inbox.refresh().unwrap();
    assert_eq!(uids(&inbox), [1, 7]);
    at.drop_in("cur", "3.m:2,", "z");
    inbox.refresh().unwrap();
    let list = fs::read_to_string(at.maildir().join("dovecot-uidlist")).unwrap();
    assert!(list.contains("7 :2.m,S=1\n") && list.contains("8 :3.m\n"), "{list}");
    // And one that we knew under an older UID has the newer, whatever its fields.
    append_to_list(&at, "9 :3.m,S=1\n");
    fs::rename(at.maildir().join("cur/3.m:2,"), at.maildir().join("cur/3.m,S=1:2,")).unwrap();
    at.drop_in("cur", "4.m:2,", "a");
    inbox.refresh().unwrap();
    assert_eq!(uids(&inbox), [1, 7, 9, 10]);
}

#[test]
fn a_uid_of_another_program_is_one_files() {
    let (first, second) = ("1700000001.x.h,S=17", "1700000001.x.h,S=19");
    // The record's own base before or behind the other in order of arrival; and a base that only shares the key with both.
    for (base, want) in [(first, [2, 3]), (second, [3, 2]), ("1700000001.x.h", [2, 3])] {
        let at = Fixture::new();
        let inbox = at.inbox();
        at.drop_in("cur", "1600000001.a.h:2,", "a");
        inbox.refresh().unwrap();
        append_to_list(&at, &format!("2 :{base}\n"));
        for name in [first, second] {
            at.drop_in("cur", &format!("{name}:2,"), name);
        }
        inbox.refresh().unwrap();
        let texts = |inbox: &Mailbox| want.map(|uid| super::text(inbox, uid));
        assert_eq!((uids(&inbox), texts(&inbox)), (vec![1, 2, 3], [first, second].map(str::to_owned)), "{base}");
        // As the next process sees it.
        let other = another_process(&at);
        let again = other.mailbox(&Name::inbox()).unwrap();
        assert_eq!((uids(&again), texts(&again)), (vec![1, 2, 3], [first, second].map(str::to_owned)), "{base}");
    }
}

#[test]
fn uids_behind_a_fault_in_the_list_are_not_given_again() {
    let at = Fixture::new();
    let inbox = at.inbox();
    at.drop_in("cur", "1.m:2,", "x");
    inbox.refresh().unwrap();
    append_to_list(&at, "nonsense\n40 :2.m\n");
    at.drop_in("cur", "3.m:2,", "z");
    inbox.refresh().unwrap();
    assert_eq!(uids(&inbox), [1, 41]);
    assert_eq!(inbox.uid_next(), 42);
}

#[test]
fn a_name_without_room_for_flags() {
    let at = Fixture::new();
    let inbox = at.inbox();
    at.drop_in("new", &"1".repeat(255), "long");
    at.drop_in("new", "2.m", "short");
    inbox.refresh().unwrap();
    let all = uids(&inbox);
    assert_eq!(all.len(), 2);
    inbox.store_flags(&all, Change::Add, Flags::DELETED, &[], None).unwrap();
    assert_eq!(inbox.expunge(None).unwrap(), all);
    assert!(names(&at.maildir().join("cur")).is_empty() && names(&at.maildir().join("new")).is_empty());
}

#[test]
fn a_name_that_cannot_be_changed_holds_up_no_other() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let long = "1".repeat(255);
    at.drop_in("new", "2.m", "short");
    inbox.refresh().unwrap();
    // It got its UID from somebody else, and so keeps its name.
    append_to_list(&at, &format!("2 :{long}\n3 :4.m\n"));
    at.drop_in("new", &long, "long");
    at.drop_in("new", "4.m", "short");
    inbox.refresh().unwrap();
    assert_eq!(uids(&inbox), [1, 2, 3]);
    assert!(inbox.store_flags(&[1, 2, 3], Change::Add, Flags::FLAGGED, &[], None).is_err());
    assert_eq!([1, 2, 3].map(|uid| flags(&inbox, uid)), ["F", "", "F"]);
}

#[test]
fn flags_that_are_changed_are_told_even_if_they_cannot_be_noted() {
    let at = Fixture::new();
    let inbox = at.inbox();
    at.drop_in("cur", "1.m:2,", "x");
    inbox.refresh().unwrap();
    let before = (inbox.generation(), inbox.highest_modseq());
    let root = at.maildir();
    let broken = fsio::watch_steps(move |_, step| {
        let is_lock = step.path().starts_with(&root) && step.path().ends_with("mailcote.lock");
        if is_lock { Err(std::io::Error::from_raw_os_error(5)) } else { Ok(()) }
    });
    assert!(inbox.store_flags(&[1], Change::Add, Flags::FLAGGED, &[], None).is_err());
    assert!(inbox.generation() > before.0, "sessions are woken");
    let modseq = inbox.message(1).unwrap().modseq;
    assert!(flags(&inbox, 1) == "F" && modseq > before.1 && inbox.highest_modseq() >= modseq);
    drop(broken);
    inbox.store_flags(&[1], Change::Add, Flags::SEEN, &[], None).unwrap();
    drop(inbox);
    let at = at.restart();
    assert_eq!(flags(&at.inbox(), 1), "FS");
    assert!(at.inbox().message(1).unwrap().modseq > modseq, "noted at the next chance");
}
