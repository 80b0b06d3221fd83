//! `mailcote.cache`: what it says is what the files say, whatever happens to it.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::super::super::cache::FILE;
use super::super::super::{Mailbox, Tour};
use super::{Fixture, uids};
use crate::mail::Flags;
use crate::store::cache::Wants;

const ALL: Wants = Wants::NUMBERS
    .and(Wants::SORT)
    .and(Wants::THREAD)
    .and(Wants::FIELDS)
    .and(Wants::ENVELOPE)
    .and(Wants::WIRE_SIZE)
    .and(Wants::STRUCTURE)
    .and(Wants::BODY)
    .and(Wants::TREE)
    .and(Wants::PREVIEW);

fn message(n: u32) -> String {
    format!(
        "From: Someone <u{n}@example.org>\nTo: a@b\nSubject: Re: number {n}\nDate: Mon, 1 Jan 2024 00:00:{:02} +0100\n\
         Message-ID: <{n}@x>\nReferences: <0@x> <1@x>\nX-Other: {n}\n\nText {n}\n",
        n % 60
    )
}

/// All that is known of the messages, as text, in two visits: first of the heads, then of everything.
fn seen(mailbox: &Mailbox, wanted: &[u32]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut heads = 0;
    visit(mailbox, Wants::ENVELOPE, wanted, &mut |_| heads += 1);
    visit(mailbox, ALL, wanted, &mut |facts| {
        let (sort, thread) = (facts.sort(), facts.thread());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        lines.push(format!(
            "{} {} {:?} {:?} | {} {} {} {} | {} {:?} | {} | {} | {} | {} | {} | {:?} | {}",
            facts.uid(),
            facts.size(),
            facts.sent(),
            facts.sent_day(),
            text(sort.subject),
            sort.is_reply,
            text(sort.from),
            text(sort.display_from),
            text(thread.id),
            thread.references().map(text).collect::<Vec<_>>(),
            text(facts.fields().unwrap()),
            text(facts.envelope()),
            facts.wire_size(),
            text(facts.structure()),
            text(facts.body()),
            facts.tree().unwrap().parts().len(),
            text(facts.preview()),
        ));
    });
    assert_eq!(heads, wanted.len());
    lines
}

fn visit(mailbox: &Mailbox, wants: Wants, wanted: &[u32], take: &mut dyn FnMut(&crate::store::cache::Facts<'_>)) {
    let (mut tour, mut done) = (Tour::new(wants), 0);
    while done < wanted.len() {
        let mut budget = 100_000;
        let visited = mailbox
            .visit(&mut tour, &wanted[done..], &mut budget, |facts| {
                take(facts);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(visited.done > 0 && visited.failed.is_none());
        done += visited.done;
    }
}

fn fixture(count: u32) -> (Fixture, Arc<Mailbox>) {
    let fixture = Fixture::new();
    let inbox = fixture.inbox();
    for n in 1..=count {
        fixture.drop_in("cur", &format!("{n}.mail:2,"), &message(n));
    }
    inbox.refresh().unwrap();
    assert_eq!(uids(&inbox).len() as u32, count);
    (fixture, inbox)
}

/// The same, straight from the files.
fn expected(mailbox: &Mailbox) -> Vec<String> {
    // With the cache made unwritable by a directory of its name.
    let path = mailbox.dir.join(FILE);
    let _ = fs::remove_file(&path);
    fs::create_dir(&path).unwrap();
    let lines = seen(mailbox, &uids(mailbox));
    fs::remove_dir(&path).unwrap();
    lines
}

#[test]
fn says_what_the_files_say() {
    let (fixture, inbox) = fixture(700);
    let want = expected(&inbox);
    assert_eq!(want.len(), 700);
    assert!(want[6].contains("NUMBER 7") || want.iter().any(|line| line.contains("| NUMBER 7 true U7 SOMEONE |")));
    assert!(want.iter().any(|line| line.contains("7@x [\"0@x\", \"1@x\"]") && line.ends_with("| Text 7")));
    let all = uids(&inbox);
    assert_eq!(seen(&inbox, &all), want, "cold");
    assert!(inbox.dir.join(FILE).exists());
    assert_eq!(seen(&inbox, &all), want, "warm");
    let some: Vec<u32> = all.iter().copied().filter(|uid| uid % 7 == 0).collect();
    assert_eq!(seen(&inbox, &some).len(), some.len());
    // Warm means: without the files.
    fs::rename(inbox.dir.join("cur"), inbox.dir.join("away")).unwrap();
    fs::create_dir(inbox.dir.join("cur")).unwrap();
    assert_eq!(seen(&inbox, &all), want, "no file is opened");
    fs::remove_dir(inbox.dir.join("cur")).unwrap();
    fs::rename(inbox.dir.join("away"), inbox.dir.join("cur")).unwrap();
    drop(inbox);
    let fixture = fixture.restart();
    let inbox = fixture.inbox();
    assert_eq!(seen(&inbox, &all), want, "after a restart");
}

#[test]
fn gaps_are_filled_in_any_order() {
    let (_fixture, inbox) = fixture(600);
    let want = expected(&inbox);
    let all = uids(&inbox);
    let of =
        |set: &[u32]| -> Vec<String> { set.iter().map(|uid| want[all.binary_search(uid).unwrap()].clone()).collect() };
    for step in [50, 7, 3, 2, 1] {
        let set: Vec<u32> = all.iter().copied().filter(|uid| uid % step == 0).collect();
        assert_eq!(seen(&inbox, &set), of(&set), "every {step}th");
    }
    for uid in &all {
        assert_eq!(seen(&inbox, &[*uid]), of(&[*uid]));
    }
}

#[test]
fn any_damage_is_only_a_loss() {
    let (_fixture, inbox) = fixture(40);
    let want = expected(&inbox);
    let all = uids(&inbox);
    let path = inbox.dir.join(FILE);
    seen(&inbox, &all);
    let whole = fs::read(&path).unwrap();
    let damage: [(&str, &dyn Fn()); 8] = [
        ("deleted", &|| fs::remove_file(&path).unwrap()),
        ("cut", &|| fs::write(&path, &whole[..whole.len() / 2]).unwrap()),
        ("cut in place", &|| fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap()),
        ("empty", &|| fs::write(&path, "").unwrap()),
        ("zeros at the end", &|| fs::write(&path, [&whole[..], &[0; 5000]].concat()).unwrap()),
        ("another version", &|| fs::write(&path, [b"mailcote.cache 9", &whole[16..]].concat()).unwrap()),
        ("another UIDVALIDITY", &|| {
            let mut other = whole.clone();
            other[20] ^= 1;
            fs::write(&path, other).unwrap();
        }),
        ("replaced by an old one", &|| {
            fs::remove_file(&path).unwrap();
            fs::write(&path, &whole).unwrap();
        }),
    ];
    for (what, damage) in damage {
        damage();
        assert_eq!(seen(&inbox, &all), want, "{what}");
        assert!(path.exists(), "{what}: there is a new one");
        assert_eq!(seen(&inbox, &all), want, "{what}, again");
    }
    for at in (0..whole.len()).step_by(397) {
        seen(&inbox, &all);
        let file = fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        if file.read_at(&mut byte, at as u64).unwrap() == 0 {
            continue;
        }
        file.write_all_at(&[byte[0] ^ 0x10], at as u64).unwrap();
        assert_eq!(seen(&inbox, &all), want, "byte {at}");
    }
}

#[test]
fn a_torn_tail_is_cut_off_by_the_next_writer() {
    let (_fixture, inbox) = fixture(40);
    let want = expected(&inbox);
    let all = uids(&inbox);
    seen(&inbox, &all[..20]);
    let path = inbox.dir.join(FILE);
    let whole = fs::read(&path).unwrap();
    seen(&inbox, &all[20..]);
    let longer = fs::read(&path).unwrap();
    fs::write(&path, &longer[..longer.len() - 10]).unwrap();
    assert_eq!(seen(&inbox, &all), want);
    assert_eq!(&fs::read(&path).unwrap()[..whole.len()], &whole, "what was good stays");
    assert_eq!(seen(&inbox, &all), want);
}

#[test]
fn records_of_another_message_are_not_believed() {
    let (fixture, inbox) = fixture(5);
    let all = uids(&inbox);
    seen(&inbox, &all);
    drop(inbox);
    let Fixture { root, stores, store } = fixture;
    drop((stores, store));
    let cur = root.path().join("Maildir/cur");
    // An old backup of the uidlist: the same UIDVALIDITY and UID, another message.
    let list = root.path().join("Maildir/dovecot-uidlist");
    let text = fs::read_to_string(&list).unwrap();
    fs::remove_file(root.path().join("Maildir/mailcote.journal")).unwrap();
    fs::write(&list, text.replace(":3.mail", ":x.mail")).unwrap();
    fs::rename(cur.join("3.mail:2,"), cur.join("x.mail:2,")).unwrap();
    fs::write(cur.join("x.mail:2,"), message(99)).unwrap();
    let fixture = Fixture::in_directory(root);
    let inbox = fixture.inbox();
    let lines = seen(&inbox, &uids(&inbox));
    assert!(lines.iter().any(|line| line.contains("NUMBER 99")), "{lines:?}");
    assert_eq!(lines, expected(&inbox));
}

#[test]
fn gone_messages_leave_and_the_file_shrinks() {
    let (fixture, inbox) = fixture(1_500);
    let all = uids(&inbox);
    seen(&inbox, &all);
    let path = inbox.dir.join(FILE);
    let before = fs::metadata(&path).unwrap().len();
    let gone: Vec<u32> = all.iter().copied().filter(|uid| uid % 10 != 0).collect();
    inbox.store_flags(&gone, super::super::Change::Add, Flags::DELETED, &[], None).unwrap();
    inbox.expunge(Some(&gone)).unwrap();
    let left = uids(&inbox);
    let want: Vec<String> = seen(&inbox, &left);
    drop(inbox);
    let fixture = fixture.restart();
    let inbox = fixture.inbox();
    assert!(fs::metadata(&path).unwrap().len() < before);
    assert_eq!(seen(&inbox, &left), want);
}

#[test]
fn two_processes_fill_one_file() {
    let (fixture, inbox) = fixture(300);
    let want = expected(&inbox);
    let all = uids(&inbox);
    let home = super::super::super::Home {
        maildir: fixture.maildir(),
        layout: super::super::super::Layout::Maildirpp,
        owner: super::super::super::Owner::Daemon,
    };
    // Another table of stores is as another process: it shares nothing but the files.
    type Settings = super::super::super::Settings;
    let settings = Settings { hostname: "other.test".into(), ..Settings::default() };
    let others = super::super::super::Stores::new(settings).unwrap();
    let other = others.open(&home).unwrap().mailbox(&super::super::super::Name::inbox()).unwrap();
    std::thread::scope(|scope| {
        for mailbox in [&inbox, &other] {
            scope.spawn(|| {
                for round in 0..20 {
                    let set: Vec<u32> = all.iter().copied().filter(|uid| uid % 20 <= round).collect();
                    let lines = seen(mailbox, &set);
                    assert!(lines.iter().zip(&set).all(|(line, uid)| *line == want[all.binary_search(uid).unwrap()]));
                    if round % 5 == 4 {
                        let _ = fs::remove_file(mailbox.dir.join(FILE));
                    }
                }
            });
        }
    });
    assert_eq!(seen(&inbox, &all), want);
    assert_eq!(seen(&other, &all), want);
}

#[test]
fn sizes_of_what_is_kept() {
    let (_fixture, inbox) = fixture(300);
    let all = uids(&inbox);
    seen(&inbox, &all);
    let each = fs::metadata(inbox.dir.join(FILE)).unwrap().len() / 300;
    assert!(each < 1_400, "{each} bytes a message");
}

#[test]
fn what_is_still_being_written_is_not_kept() {
    let fixture = Fixture::new();
    let inbox = fixture.inbox();
    // As `cp` into new/ does it, with a client that looks at once.
    let path = fixture.maildir().join("new/1.slow");
    let mut file = fs::File::create(&path).unwrap();
    inbox.refresh().unwrap();
    assert_eq!((inbox.wire_size(1).unwrap(), seen(&inbox, &[1]).len()), (0, 1));
    std::io::Write::write_all(&mut file, message(1).as_bytes()).unwrap();
    let whole = message(1).replace('\n', "\r\n").len() as u64;
    let check = |inbox: &Mailbox| {
        assert_eq!(inbox.wire_size(1).unwrap(), whole);
        assert!(seen(inbox, &[1])[0].contains("NUMBER 1"));
        seen(inbox, &[1])
    };
    let lines = check(&inbox);
    assert!(!inbox.dir.join(FILE).exists(), "not kept yet");
    drop(inbox);
    let fixture = fixture.restart();
    check(&fixture.inbox());
    // At rest it is.
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(61)).unwrap();
    check(&fixture.inbox());
    assert!(fixture.inbox().dir.join(FILE).exists());
    fs::write(&path, "").unwrap();
    assert_eq!(check(&fixture.inbox()).len(), lines.len(), "from the cache");
}
