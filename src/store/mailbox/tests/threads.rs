//! Several sessions and deliveries at once; whatever the order, nothing is lost, doubled or renumbered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::super::*;
use super::*;
use crate::store::journal::{self, Journal, Record};
use crate::store::lock::{Guard, Lock};

#[test]
fn sessions_deliveries_and_other_programs_at_once() {
    const ROUNDS: u32 = 60;
    let at = Fixture::new();
    let (inbox, trash) = (at.inbox(), at.trash());
    let notice = Notice::new();
    inbox.listen(notice.raiser());
    let done = AtomicBool::new(false);
    // What a session was told of a UID must never become untrue.
    let told: Mutex<BTreeMap<u32, String>> = Mutex::default();
    std::thread::scope(|scope| {
        let workers = [
            scope.spawn(|| (0..ROUNDS).for_each(|n| at.deliver(&format!("delivered {n}\r\n")))),
            scope.spawn(|| {
                for n in 0..ROUNDS {
                    let uid = at.append(&inbox, &format!("appended {n}\r\n"), Flags::SEEN);
                    told.lock().unwrap().insert(uid, format!("appended {n}\n"));
                }
            }),
            scope.spawn(|| {
                (0..ROUNDS).for_each(|n| at.drop_in("new", &format!("{n}.outside"), &format!("outside {n}\n")))
            }),
            scope.spawn(|| {
                for n in 0..ROUNDS {
                    inbox.refresh().unwrap();
                    inbox.claim_recent(false);
                    let all = uids(&inbox);
                    inbox
                        .store_flags(
                            &all,
                            Change::Add,
                            if n % 2 == 0 { Flags::FLAGGED } else { Flags::SEEN },
                            &["k".into()],
                            None,
                        )
                        .unwrap();
                }
            }),
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let some: Vec<u32> = uids(&inbox).into_iter().filter(|uid| uid % 5 == 0).collect();
                    inbox.store_flags(&some, Change::Add, Flags::DELETED, &[], None).unwrap();
                    for uid in inbox.expunge(Some(&some)).unwrap() {
                        assert!(matches!(inbox.open(uid), Err(Error::Gone)));
                    }
                }
            }),
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let some: Vec<u32> = uids(&inbox).into_iter().filter(|uid| uid % 7 == 0).collect();
                    inbox.move_to(&some, &trash).unwrap();
                    let back: Vec<u32> = uids(&trash).into_iter().take(1).collect();
                    trash.move_to(&back, &inbox).unwrap();
                }
            }),
        ];
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for uid in uids(&inbox) {
                    let text = match inbox.open(uid) {
                        Ok(mut file) => std::io::read_to_string(&mut file).unwrap(),
                        Err(Error::Gone) => continue,
                        Err(e) => panic!("{e}"),
                    };
                    let mut told = told.lock().unwrap();
                    assert_eq!(
                        *told.entry(uid).or_insert_with(|| text.clone()),
                        text,
                        "UID {uid} is another message now"
                    );
                }
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    inbox.refresh().unwrap();
    // Each message is in one place at most, and only what had a chance to be expunged is missing.
    let mut texts: Vec<String> = uids(&inbox).into_iter().map(|uid| text(&inbox, uid)).collect();
    texts.extend(uids(&trash).into_iter().map(|uid| text(&trash, uid)));
    let distinct: BTreeSet<&String> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "a message is there twice");
    assert!(texts.len() >= 3 * ROUNDS as usize * 3 / 4, "{} left", texts.len());
    let before: Vec<(u32, String)> = uids(&inbox).into_iter().map(|uid| (uid, text(&inbox, uid))).collect();
    let next = inbox.uid_next();
    drop((inbox, trash));
    let at = at.restart();
    let inbox = at.inbox();
    let after: Vec<(u32, String)> = uids(&inbox).into_iter().map(|uid| (uid, text(&inbox, uid))).collect();
    assert_eq!((after, inbox.uid_next()), (before, next));
    assert!(at.names("tmp").is_empty());
}

#[test]
fn two_processes_on_one_folder_agree() {
    // Two sets of stores share nothing but the disk, as two processes do.
    let at = Fixture::new();
    let home = at.store.home().clone();
    let other = Stores::new(Settings {
        hostname: "other.test".into(),
        coexist: false,
        default_folders: vec![],
        ..Settings::default()
    })
    .unwrap();
    let other = other.open(&home).unwrap();
    let (here, there) = (at.inbox(), other.mailbox(&Name::inbox()).unwrap());
    std::thread::scope(|scope| {
        for (store, mailbox) in [(&at.store, &here), (&other, &there)] {
            scope.spawn(move || {
                for n in 0..40 {
                    let mut draft = store.draft().unwrap();
                    draft.write(format!("{n}\r\n").as_bytes()).unwrap();
                    if n % 2 == 0 {
                        mailbox.append(vec![(draft, Flags::NONE, vec![], None)]).unwrap();
                    } else {
                        store.deliver(draft, &Name::inbox()).unwrap();
                        mailbox.refresh().unwrap();
                    }
                }
            });
        }
    });
    let view = |mailbox: &Mailbox| {
        mailbox.refresh().unwrap();
        let all: Vec<(u32, String)> = uids(mailbox).into_iter().map(|uid| (uid, text(mailbox, uid))).collect();
        all
    };
    let seen = view(&here);
    assert_eq!(seen.len(), 80);
    assert_eq!(view(&there), seen);
}

#[test]
fn opposite_moves_do_not_wait_for_each_other() {
    let at = Fixture::new();
    let (inbox, trash) = (at.inbox(), at.trash());
    for folder in [&inbox, &trash] {
        for n in 0..10 {
            at.append(folder, &format!("{n}\r\n"), Flags::NONE);
        }
    }
    std::thread::scope(|scope| {
        for (from, to) in [(&inbox, &trash), (&trash, &inbox)] {
            scope.spawn(move || {
                for _ in 0..30 {
                    let some: Vec<u32> = uids(from).into_iter().take(2).collect();
                    from.move_to(&some, to).unwrap();
                }
            });
        }
    });
    assert_eq!(uids(&inbox).len() + uids(&trash).len(), 20);
}

#[test]
fn a_folder_is_deleted_before_or_after_a_change_in_it_and_not_meanwhile() {
    let at = Fixture::new();
    let trash = at.trash();
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let is_there = scope.spawn(|| {
            let _hold = trash.hold();
            begun.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            at.maildir().join(".Trash/cur").is_dir()
        });
        begins.recv().unwrap();
        at.store.delete(&Name::parse("Trash").unwrap()).unwrap();
        assert!(is_there.join().unwrap());
    });
}

#[test]
fn who_was_passed_over_is_woken_again() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let notice = Notice::new();
    inbox.listen(notice.raiser());
    let working = inbox.lock_disk();
    at.drop_in("new", "1.x", "x\n");
    // Does not wait, although somebody is at work.
    inbox.refresh_if_free(notice.raiser()).unwrap();
    let start = Instant::now();
    while !notice.take() {
        assert!(start.elapsed() < PATIENCE);
    }
    inbox.refresh_if_free(notice.raiser()).unwrap();
    assert!(uids(&inbox).is_empty());
    drop(working);
    assert!(notice.take(), "the work is done: look again");
    inbox.refresh_if_free(notice.raiser()).unwrap();
    assert_eq!(uids(&inbox), [1]);
}

#[test]
fn changes_get_mod_sequences_above_those_of_another_process() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let uids: Vec<u32> = (0..3).map(|_| at.append(&inbox, "x\r\n", Flags::NONE)).collect();
    // Its clock is an hour ahead.
    let told = |hours: u64| {
        let highest = journal::next_modseq(0) + hours * 3_600_000_000;
        let (mut journal, _) = Journal::open(&at.maildir()).unwrap();
        let lock = Lock::take(&at.maildir(), Guard::Folder, false).unwrap();
        journal.append(&lock, &[Record::Modseq { highest, forgotten: 0 }], false, 0o600).unwrap();
        highest
    };
    let first = told(1);
    inbox.remove(&uids[..1]).unwrap();
    assert_eq!(inbox.expunged_since(first), Some(vec![uids[0]]));
    let second = told(2);
    inbox.store_flags(&uids[1..2], Change::Add, Flags::SEEN, &[], None).unwrap();
    let modseq = |mailbox: &Mailbox, uid| mailbox.message(uid).unwrap().modseq;
    assert!(modseq(&inbox, uids[1]) > second && modseq(&inbox, uids[2]) < first);
    assert_eq!(inbox.highest_modseq(), modseq(&inbox, uids[1]));
    drop(inbox);
    let again = at.restart();
    assert_eq!(again.inbox().expunged_since(first), Some(vec![uids[0]]));
    assert!(modseq(&again.inbox(), uids[1]) > second);
}
