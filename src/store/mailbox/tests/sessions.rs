//! What sessions do, and that it survives a restart.

use std::sync::Arc;

use super::super::*;
use super::*;

#[test]
fn delivered_mail_gets_uids_in_order_and_keeps_them() {
    let at = Fixture::new();
    for n in 1..=3 {
        at.deliver(&format!("Subject: {n}\r\n\r\n"));
    }
    let inbox = at.inbox();
    assert_eq!(uids(&inbox), [1, 2, 3]);
    assert_eq!(text(&inbox, 2), "Subject: 2\n\n");
    assert_eq!((inbox.wire_size(2).unwrap(), inbox.uid_next()), (14, 4));
    assert_eq!(inbox.claim_recent(true), [1, 2, 3]);
    assert_eq!(at.names("new").len(), 3);
    assert_eq!(inbox.claim_recent(false), [1, 2, 3]);
    assert!(inbox.claim_recent(false).is_empty());
    assert!(at.names("new").is_empty() && at.names("cur").iter().all(|name| name.ends_with(":2,")));
    let validity = inbox.uid_validity();
    drop(inbox);
    let at = at.restart();
    at.deliver("Subject: 4\r\n\r\n");
    let inbox = at.inbox();
    assert_eq!((uids(&inbox), inbox.uid_validity()), (vec![1, 2, 3, 4], validity));
    assert_eq!(inbox.claim_recent(false), [4]);
}

#[test]
fn an_open_folder_is_shared_and_told() {
    let at = Fixture::new();
    let (one, two) = (at.inbox(), at.inbox());
    assert!(Arc::ptr_eq(&one, &two));
    let notice = Notice::new();
    one.listen(notice.raiser());
    let before = one.generation();
    at.deliver("x\r\n");
    assert!(notice.take());
    two.refresh().unwrap();
    assert_eq!(uids(&one), [1]);
    assert!(one.generation() > before);
}

#[test]
fn flags_go_into_names_and_other_letters_stay() {
    let at = Fixture::new();
    at.drop_in("cur", "1.a:2,PSx", "a\n");
    at.drop_in("new", "2.b", "b\n");
    let inbox = at.inbox();
    assert_eq!(inbox.keywords().last().unwrap(), "unknown-23");
    inbox.store_flags(&[1, 2, 9], Change::Add, Flags::FLAGGED, &["Todo".into()], None).unwrap();
    assert_eq!(at.names("cur"), ["1.a:2,FPSax", "2.b:2,Fa"]);
    assert_eq!(inbox.keywords()[0], "Todo");
    inbox.store_flags(&[1], Change::Replace, Flags::DRAFT, &[], None).unwrap();
    assert_eq!(at.names("cur")[0], "1.a:2,DP");
    inbox.store_flags(&[2], Change::Remove, Flags::FLAGGED, &["todo".into(), "none".into()], None).unwrap();
    assert_eq!(at.names("cur")[1], "2.b:2,");
    assert_eq!(inbox.keywords().iter().filter(|name| *name == "none").count(), 0);
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!((flags(&inbox, 1), flags(&inbox, 2)), ("D".into(), String::new()));
}

#[test]
fn mod_sequences_grow_and_guard() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let first = at.append(&inbox, "a\r\n", Flags::NONE);
    let before = inbox.message(first).unwrap().modseq;
    assert_eq!(inbox.highest_modseq(), before);
    inbox.store_flags(&[first], Change::Add, Flags::SEEN, &[], None).unwrap();
    let after = inbox.message(first).unwrap().modseq;
    assert!(after > before);
    assert_eq!(inbox.store_flags(&[first], Change::Add, Flags::DELETED, &[], Some(before)).unwrap(), [first]);
    assert_eq!(flags(&inbox, first), "S");
    assert!(inbox.store_flags(&[first], Change::Add, Flags::SEEN, &[], Some(after)).unwrap().is_empty());
    assert_eq!(inbox.message(first).unwrap().modseq, after, "nothing changed");
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!((inbox.message(first).unwrap().modseq, inbox.highest_modseq()), (after, after));
}

#[test]
fn keywords_past_the_26th_live_in_the_journal() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let uid = at.append(&inbox, "a\r\n", Flags::NONE);
    let names: Vec<String> = (0..30).map(|n| format!("key{n}")).collect();
    inbox.store_flags(&[uid], Change::Add, Flags::NONE, &names, None).unwrap();
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!(inbox.keywords(), names);
    assert_eq!(inbox.message(uid).unwrap().keywords, (1 << 30) - 1);
    let more: Vec<String> = (30..129).map(|n| format!("key{n}")).collect();
    assert!(matches!(inbox.store_flags(&[uid], Change::Add, Flags::NONE, &more, None), Err(Error::Limit(_))));
    inbox.store_flags(&[uid], Change::Remove, Flags::NONE, &names[1..], None).unwrap();
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!(inbox.message(uid).unwrap().keywords, 1);
}

#[test]
fn a_keyword_whose_name_could_not_be_written_is_no_keyword() {
    for (file, taken) in [("dovecot-keywords.tmp", 0), ("mailcote.journal", 26)] {
        let at = Fixture::new();
        let inbox = at.inbox();
        let uid = at.append(&inbox, "a\r\n", Flags::NONE);
        let names: Vec<String> = (0..=taken).map(|n| format!("key{n}")).collect();
        inbox.store_flags(&[uid], Change::Add, Flags::NONE, &names[..taken], None).unwrap();
        // A directory stands where the name must be written.
        let (path, aside) = (at.maildir().join(file), at.maildir().join("aside"));
        drop(fs::rename(&path, &aside));
        fs::create_dir(&path).unwrap();
        let last = &names[taken..];
        for _ in 0..2 {
            assert!(inbox.store_flags(&[uid], Change::Add, Flags::NONE, last, None).is_err(), "{file}");
        }
        fs::remove_dir(&path).unwrap();
        drop(fs::rename(&aside, &path));
        inbox.store_flags(&[uid], Change::Add, Flags::NONE, last, None).unwrap();
        drop(inbox);
        let at = at.restart();
        assert_eq!(at.inbox().keywords(), names, "{file}");
    }
}

#[test]
fn expunge_takes_only_what_is_deleted() {
    let at = Fixture::new();
    let inbox = at.inbox();
    for n in 0..4 {
        at.append(&inbox, &format!("{n}\r\n"), Flags::NONE);
    }
    inbox.store_flags(&[1, 2, 4], Change::Add, Flags::DELETED, &[], None).unwrap();
    assert_eq!(inbox.expunge(Some(&[2, 3])).unwrap(), [2]);
    assert_eq!(inbox.expunge(None).unwrap(), [1, 4]);
    assert_eq!(uids(&inbox), [3]);
    assert!(matches!(inbox.open(2), Err(Error::Gone)));
    assert_eq!(inbox.remove(&[3, 7]).unwrap(), [3]);
    assert_eq!((at.names("cur").len(), at.names("new").len()), (0, 0));
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!((uids(&inbox), inbox.uid_next()), (vec![], 5));
}

#[test]
fn append_keeps_flags_keywords_and_date() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let drafts = vec![
        (at.draft("a\r\n"), Flags::SEEN, vec!["$Forwarded".into()], Some(1_000_000_000)),
        (at.draft("b\r\n"), Flags::NONE, vec![], None),
    ];
    assert_eq!(inbox.append(drafts).unwrap(), [1, 2]);
    assert_eq!(inbox.internal_date(1).unwrap(), 1_000_000_000);
    assert_eq!((at.names("cur").len(), at.names("new").len(), at.names("tmp").len()), (1, 1, 0));
    assert_eq!(inbox.claim_recent(false), [1, 2]);
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!((flags(&inbox, 1), inbox.keywords()), ("S".into(), vec!["$Forwarded".to_string()]));
    assert_eq!(inbox.internal_date(1).unwrap(), 1_000_000_000);
}

#[test]
fn copy_and_move_keep_what_is_not_ours_in_a_name() {
    let at = Fixture::new();
    let (inbox, trash) = (at.inbox(), at.trash());
    at.drop_in("cur", "1.x:2,PS,more", "x\n");
    at.drop_in("cur", "2.x:2,P", "x\n");
    inbox.refresh().unwrap();
    inbox.copy(&[1], &trash).unwrap();
    inbox.move_to(&[1, 2], &trash).unwrap();
    let mut info: Vec<String> =
        at.names(".Trash/cur").iter().map(|name| name.split_once(':').unwrap().1.to_owned()).collect();
    info.sort();
    assert_eq!(info, ["2,P", "2,PS,more", "2,PS,more"]);
}

#[test]
fn copy_and_move_keep_everything_but_uids() {
    let at = Fixture::new();
    let (inbox, trash) = (at.inbox(), at.trash());
    at.append(&trash, "before\r\n", Flags::NONE);
    trash.store_flags(&[1], Change::Add, Flags::NONE, &["Other".into()], None).unwrap();
    inbox
        .append(vec![
            (at.draft("one\r\n"), Flags::FLAGGED, vec!["Work".into()], Some(86_400)),
            (at.draft("two\r\n"), Flags::NONE, vec![], Some(172_800)),
        ])
        .unwrap();
    assert_eq!(inbox.copy(&[1, 2, 3], &trash).unwrap(), [(1, 2), (2, 3)]);
    assert_eq!((uids(&inbox), uids(&trash)), (vec![1, 2], vec![1, 2, 3]));
    assert_eq!((text(&trash, 2), flags(&trash, 2)), ("one\n".into(), "F".into()));
    assert_eq!(trash.message(2).unwrap().keywords, 0b10);
    assert_eq!(trash.internal_date(3).unwrap(), 172_800);
    assert_eq!(inbox.move_to(&[2, 1], &trash).unwrap(), [(2, 4), (1, 5)]);
    assert_eq!((uids(&inbox), uids(&trash)), (vec![], vec![1, 2, 3, 4, 5]));
    assert_eq!((text(&trash, 4), trash.message(5).unwrap().keywords), ("two\n".into(), 0b10));
    assert_eq!(trash.copy(&[5], &trash).unwrap(), [(5, 6)]);
    assert_eq!(trash.move_to(&[6], &trash).unwrap(), [(6, 7)]);
    assert_eq!(text(&trash, 7), "one\n");
    assert!(at.names("tmp").is_empty() && names(&at.maildir().join(".Trash/tmp")).is_empty());
    drop((inbox, trash));
    let at = at.restart();
    assert_eq!(uids(&at.trash()), [1, 2, 3, 4, 5, 7]);
    assert!(uids(&at.inbox()).is_empty());
}

/// RFC 7162 3.1: a mod-sequence that was told never comes again, and HIGHESTMODSEQ never falls.
#[test]
fn modseqs_only_grow_whatever_is_lost() {
    let mut fixture = Fixture::new();
    let mut last = 0;
    let mut told = |mailbox: &Mailbox, what: &str| {
        let now = mailbox.highest_modseq();
        assert!(now > last, "{what}: {now} after {last}");
        last = now;
    };
    told(&fixture.inbox(), "an empty folder");
    fixture.append(&fixture.inbox(), "one", Flags::NONE);
    fixture.append(&fixture.inbox(), "two", Flags::DELETED);
    told(&fixture.inbox(), "arrivals");
    fixture.inbox().expunge(None).unwrap();
    told(&fixture.inbox(), "an expunge");
    fixture = fixture.restart();
    let inbox = fixture.inbox();
    let before = inbox.highest_modseq();
    assert_eq!(inbox.expunged_since(before - 1), Some(vec![2]), "the journal remembers");
    drop(inbox);
    let journal = fixture.maildir().join("mailcote.journal");
    fs::remove_file(&journal).unwrap();
    fixture = fixture.restart();
    let inbox = fixture.inbox();
    told(&inbox, "a lost journal");
    assert_eq!(inbox.expunged_since(before), None, "what went before is forgotten, and known to be");
    assert_eq!(inbox.expunged_since(inbox.highest_modseq()), Some(vec![]));
    fs::remove_file(&journal).unwrap();
    inbox.store_flags(&[1], Change::Add, Flags::SEEN, &[], None).unwrap();
    told(&inbox, "a journal lost while the folder is open");
    drop(inbox);
    fixture = fixture.restart();
    let inbox = fixture.inbox();
    assert!(inbox.highest_modseq() >= last, "it was written anew");
}

/// An expunge that only the list tells of: clients must still hear of it.
#[test]
fn an_expunge_that_the_journal_lost_is_new() {
    let mut fixture = Fixture::new();
    fixture.append(&fixture.inbox(), "one", Flags::NONE);
    fixture.append(&fixture.inbox(), "two", Flags::NONE);
    let known = fixture.inbox().highest_modseq();
    let list = fixture.maildir().join("dovecot-uidlist");
    let text = fs::read_to_string(&list).unwrap();
    let shorter: String = text.lines().filter(|line| !line.starts_with("2 ")).map(|line| format!("{line}\n")).collect();
    fs::remove_file(fixture.path_of("two")).unwrap();
    fs::write(&list, shorter).unwrap();
    fixture = fixture.restart();
    assert_eq!(fixture.inbox().expunged_since(known), Some(vec![2]));
}

/// RFC 7162 3.1.3: what another program did just before counts.
#[test]
fn a_condition_sees_changes_of_others() {
    let fixture = Fixture::new();
    let inbox = fixture.inbox();
    let (one, two) = (fixture.append(&inbox, "one", Flags::SEEN), fixture.append(&inbox, "two", Flags::SEEN));
    let known = inbox.highest_modseq();
    let path = fixture.path_of("two");
    let name = path.to_str().unwrap().to_owned();
    fs::rename(&path, format!("{}F", name.strip_suffix('S').unwrap()) + "S").unwrap();
    let refused = inbox.store_flags(&[one, two], Change::Add, Flags::DELETED, &[], Some(known)).unwrap();
    assert_eq!(refused, [two]);
    assert_eq!(inbox.message(two).unwrap().flags, Flags::SEEN.with(Flags::FLAGGED));
    assert!(inbox.message(one).unwrap().modseq > known);
    let refused = inbox.store_flags(&[one], Change::Add, Flags::FLAGGED, &[], Some(0)).unwrap();
    assert_eq!(refused, [one], "nothing is as old as that");
}
