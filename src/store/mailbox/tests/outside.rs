//! What other programs do to a folder that we have open, with and without a watch.

use super::super::*;
use super::*;

/// The ways in which a folder is looked at: with a listener (events) and without (times of directories).
fn both_ways(test: impl Fn(&Fixture, &Mailbox, &Notice)) {
    for watched in [false, true] {
        let at = Fixture::new();
        let inbox = at.inbox();
        let notice = Notice::new();
        if watched {
            inbox.listen(notice.raiser());
        }
        test(&at, &inbox, &notice);
    }
}

#[test]
fn everything_others_do_is_seen_by_the_next_refresh() {
    both_ways(|at, inbox, _| {
        let cur = at.maildir().join("cur");
        at.drop_in("new", "10.a", "a\n");
        at.drop_in("new", "11.b", "b\n");
        at.drop_in("cur", "12.c:2,S", "c\n");
        inbox.refresh().unwrap();
        assert_eq!(uids(inbox), [1, 2, 3]);
        assert_eq!(flags(inbox, 3), "S");
        // Another reader moves and flags.
        fs::rename(at.maildir().join("new/10.a"), cur.join("10.a:2,R")).unwrap();
        fs::rename(cur.join("12.c:2,S"), cur.join("12.c:2,FS")).unwrap();
        let before = inbox.highest_modseq();
        inbox.refresh().unwrap();
        assert_eq!((uids(inbox), flags(inbox, 1), flags(inbox, 3)), (vec![1, 2, 3], "R".into(), "FS".into()));
        assert!(inbox.message(3).unwrap().modseq > before);
        // A quota tool writes the size into the name: the same message.
        fs::rename(cur.join("12.c:2,FS"), cur.join("12.c,S=2:2,FS")).unwrap();
        fs::remove_file(at.maildir().join("new/11.b")).unwrap();
        inbox.refresh().unwrap();
        assert_eq!(uids(inbox), [1, 3]);
        assert_eq!(text(inbox, 3), "c\n");
        // A name that comes and goes within one refresh never was.
        at.drop_in("new", "13.d", "d\n");
        fs::remove_file(at.maildir().join("new/13.d")).unwrap();
        inbox.refresh().unwrap();
        assert_eq!((uids(inbox), inbox.uid_next()), (vec![1, 3], 4));
    });
}

#[test]
fn a_name_changed_outside_is_followed_by_every_operation() {
    both_ways(|at, inbox, _| {
        let cur = at.maildir().join("cur");
        for n in 1..=6 {
            at.drop_in("cur", &format!("{n}.x:2,"), &format!("{n}\n"));
        }
        inbox.refresh().unwrap();
        let flag = |n: u32| fs::rename(cur.join(format!("{n}.x:2,")), cur.join(format!("{n}.x:2,F"))).unwrap();
        (1..=6).for_each(flag);
        assert_eq!(text(inbox, 1), "1\n");
        inbox.store_flags(&[2], Change::Add, Flags::SEEN, &[], None).unwrap();
        assert!(cur.join("2.x:2,FS").exists(), "neither change is lost: {:?}", at.names("cur"));
        assert_eq!(inbox.remove(&[3]).unwrap(), [3]);
        assert!(!cur.join("3.x:2,F").exists());
        let trash = at.trash();
        assert_eq!(inbox.copy(&[4], &trash).unwrap(), [(4, 1)]);
        assert_eq!(inbox.move_to(&[5], &trash).unwrap(), [(5, 2)]);
        assert_eq!(inbox.wire_size(6).unwrap(), 3);
        assert_eq!(uids(inbox), [1, 2, 4, 6]);
    });
}

#[test]
fn what_is_gone_is_passed_over() {
    both_ways(|at, inbox, _| {
        for n in 1..=5 {
            at.drop_in("cur", &format!("{n}.x:2,T"), "x\n");
        }
        inbox.refresh().unwrap();
        for n in 1..=4 {
            fs::remove_file(at.maildir().join(format!("cur/{n}.x:2,T"))).unwrap();
        }
        assert!(matches!(inbox.open(1), Err(Error::Gone)));
        inbox.store_flags(&[1, 2, 5], Change::Add, Flags::SEEN, &[], None).unwrap();
        assert_eq!(inbox.copy(&[3, 5], &at.trash()).unwrap(), [(5, 1)]);
        assert_eq!(inbox.move_to(&[4], &at.trash()).unwrap(), []);
        assert_eq!(inbox.expunge(None).unwrap(), [5]);
        assert!(uids(inbox).is_empty());
    });
}

#[test]
fn a_flag_taken_back_outside_saves_the_message() {
    both_ways(|at, inbox, _| {
        at.drop_in("cur", "1.x:2,T", "x\n");
        inbox.refresh().unwrap();
        fs::rename(at.maildir().join("cur/1.x:2,T"), at.maildir().join("cur/1.x:2,")).unwrap();
        assert!(inbox.expunge(None).unwrap().is_empty());
        assert_eq!(uids(inbox), [1]);
    });
}

#[test]
fn a_message_that_comes_back_gets_a_new_uid() {
    both_ways(|at, inbox, _| {
        at.drop_in("cur", "1.x:2,S", "x\n");
        inbox.refresh().unwrap();
        let aside = at.root.path().join("aside");
        fs::rename(at.maildir().join("cur/1.x:2,S"), &aside).unwrap();
        inbox.refresh().unwrap();
        assert!(uids(inbox).is_empty());
        fs::rename(&aside, at.maildir().join("cur/1.x:2,S")).unwrap();
        inbox.refresh().unwrap();
        assert_eq!(uids(inbox), [2]);
    });
}

#[test]
fn idle_is_woken_at_any_distance() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let notice = Notice::new();
    inbox.listen(notice.raiser());
    for (n, pause) in [0, 1, 2, 5, 10, 30, 100, 300].into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(pause));
        at.drop_in("new", &format!("{n}.x"), "x\n");
        eventually(&inbox, &notice, |inbox| uids(inbox).len() == n + 1);
    }
    fs::rename(at.maildir().join("new/3.x"), at.maildir().join("cur/3.x:2,S")).unwrap();
    eventually(&inbox, &notice, |inbox| flags(inbox, 4) == "S");
    fs::remove_file(at.maildir().join("cur/3.x:2,S")).unwrap();
    eventually(&inbox, &notice, |inbox| uids(inbox).len() == 7);
}

#[test]
fn thousands_of_messages_dropped_in_are_told_to_everybody_with_the_same_uids() {
    const MESSAGES: usize = 3_000;
    let at = Fixture::new();
    let inbox = at.inbox();
    let notices: Vec<Notice> = (0..10).map(|_| Notice::new()).collect();
    notices.iter().for_each(|notice| inbox.listen(notice.raiser()));
    std::thread::scope(|scope| {
        let seen: Vec<_> = notices
            .iter()
            .map(|notice| {
                let inbox = &inbox;
                scope.spawn(move || {
                    let start = Instant::now();
                    while uids(inbox).len() < MESSAGES {
                        assert!(start.elapsed() < 6 * PATIENCE, "{} messages only", uids(inbox).len());
                        if notice.take() {
                            inbox.refresh_if_free(notice.raiser()).unwrap();
                        } else {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                    uids(inbox)
                })
            })
            .collect();
        for n in 0..MESSAGES {
            at.drop_in("new", &format!("{}.M{n}P1.x", 1_000_000 + n), "x\n");
        }
        for seen in seen {
            assert_eq!(seen.join().unwrap().len(), MESSAGES);
        }
    });
    let list = fs::read_to_string(at.maildir().join("dovecot-uidlist")).unwrap();
    let mut bases: Vec<&str> = list.lines().skip(1).map(|line| line.split_once(" :").unwrap().1).collect();
    assert_eq!(bases.len(), MESSAGES, "every message is listed once");
    bases.sort_unstable();
    bases.dedup();
    assert_eq!(bases.len(), MESSAGES);
}

#[test]
fn a_folder_deleted_renamed_or_replaced_closes() {
    both_ways(|at, _, notice| {
        let name = Name::parse("Trash").unwrap();
        let trash = at.trash();
        trash.listen(notice.raiser());
        at.append(&trash, "x\r\n", Flags::NONE);
        at.store.rename(&name, &Name::parse("Old").unwrap()).unwrap();
        assert!(notice.take());
        assert!(matches!(trash.refresh(), Err(Error::NotFound)));
        assert!(matches!(trash.store_flags(&[1], Change::Add, Flags::SEEN, &[], None), Err(Error::NotFound)));
        at.store.create(&name, None).unwrap();
        let again = at.trash();
        assert!(again.uid_validity() != trash.uid_validity() && uids(&again).is_empty());
        // The same by another program, behind our back.
        fs::rename(at.maildir().join(".Trash"), at.root.path().join("gone")).unwrap();
        assert!(matches!(again.refresh(), Err(Error::NotFound)));
        assert!(matches!(at.store.mailbox(&name), Err(Error::NotFound)));
    });
}

#[test]
fn what_is_no_message_is_left_alone() {
    both_ways(|at, inbox, _| {
        fs::create_dir(at.maildir().join("cur/directory")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at.maildir().join("cur/link")).unwrap();
        nix::unistd::mkfifo(&at.maildir().join("new/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(at.maildir().join("cur/.hidden"), "x").unwrap();
        inbox.refresh().unwrap();
        assert!(uids(inbox).is_empty());
        assert_eq!((at.names("cur").len(), at.names("new").len()), (3, 1));
    });
}

#[test]
fn two_names_of_one_base() {
    both_ways(|at, inbox, _| {
        let cur = at.maildir().join("cur");
        at.drop_in("cur", "1.x:2,S", "first\n");
        inbox.refresh().unwrap();
        // Another message under the same base: it gets a name and a UID of its own and keeps its flags.
        at.drop_in("cur", "1.x:2,F", "second\n");
        inbox.refresh().unwrap();
        inbox.refresh().unwrap();
        assert_eq!(uids(inbox), [1, 2]);
        let texts: Vec<String> = uids(inbox).into_iter().map(|uid| text(inbox, uid) + &flags(inbox, uid)).collect();
        assert_eq!(texts, ["first\nS", "second\nF"]);
        // A second link to one file, just made: somebody is moving it; one message.
        fs::hard_link(cur.join("1.x:2,S"), at.maildir().join("new/1.x")).unwrap();
        inbox.refresh().unwrap();
        assert_eq!(uids(inbox), [1, 2]);
        assert!(at.maildir().join("new/1.x").exists());
        fs::remove_file(cur.join("1.x:2,S")).unwrap();
        inbox.refresh().unwrap();
        assert_eq!((uids(inbox), text(inbox, 1)), (vec![1, 2], "first\n".into()));
    });
}

#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    both_ways(|at, inbox, _| {
        let name = std::ffi::OsStr::from_bytes(b"1.\xff\xfe:2,S");
        fs::write(at.maildir().join("cur").join(name), "x\n").unwrap();
        inbox.refresh().unwrap();
        assert_eq!((uids(inbox), text(inbox, 1)), (vec![1], "x\n".into()));
        inbox.store_flags(&[1], Change::Add, Flags::FLAGGED, &[], None).unwrap();
        assert_eq!(text(inbox, 1), "x\n");
    });
}

#[test]
fn a_folder_that_was_left_is_kept_and_still_true() {
    both_ways(|at, _, notice| {
        at.deliver("1\r\n");
        let inbox = at.inbox();
        inbox.listen(notice.raiser());
        inbox.store_flags(&[1], Change::Add, Flags::SEEN, &["Todo".into()], None).unwrap();
        let first = Arc::downgrade(&inbox);
        drop(inbox);
        // While nobody looks: new mail, and a flag by another program.
        at.drop_in("new", "2.x", "2\n");
        let name = at.names("cur").into_iter().next().unwrap();
        fs::rename(at.maildir().join("cur").join(&name), at.maildir().join("cur").join(name.replace(":2,", ":2,F")))
            .unwrap();
        let inbox = at.inbox();
        assert!(std::ptr::eq(first.as_ptr(), Arc::as_ptr(&inbox)), "opened anew");
        assert_eq!((uids(&inbox), flags(&inbox, 1)), (vec![1, 2], "FS".into()));
        drop(inbox);
        // Somebody has decided that this is another folder.
        let list = at.maildir().join("dovecot-uidlist");
        let text = fs::read_to_string(&list).unwrap();
        fs::write(list.with_extension("new"), text.replacen(" V1", " V2", 1)).unwrap();
        fs::rename(list.with_extension("new"), &list).unwrap();
        let inbox = at.inbox();
        assert!(!std::ptr::eq(first.as_ptr(), Arc::as_ptr(&inbox)));
        assert!(inbox.uid_validity().to_string().starts_with("2"));
    });
}

#[test]
fn a_renamed_folder_and_one_made_in_its_place_are_watched() {
    let at = Fixture::new();
    let name = |text: &str| Name::parse(text).unwrap();
    at.store.create(&name("A"), None).unwrap();
    let (old, first) = (at.store.mailbox(&name("A")).unwrap(), Notice::new());
    old.listen(first.raiser());
    old.refresh().unwrap();
    at.store.rename(&name("A"), &name("B")).unwrap();
    at.store.create(&name("A"), None).unwrap();
    // The session on the old folder has not looked yet: its object is there still.
    let open = |text: &str| {
        let (mailbox, notice) = (at.store.mailbox(&name(text)).unwrap(), Notice::new());
        mailbox.listen(notice.raiser());
        mailbox.refresh().unwrap();
        notice.take();
        (mailbox, notice)
    };
    let opened = [("A", open("A")), ("B", open("B"))];
    drop((old, first));
    for (text, (mailbox, notice)) in &opened {
        at.drop_in(&format!(".{text}/new"), &format!("1.{text}"), "x\n");
        eventually(mailbox, notice, |mailbox| uids(mailbox).len() == 1);
    }
}

#[test]
fn a_late_note_of_our_own_delivery_hides_nothing() {
    let at = Fixture::new();
    let (inbox, notice) = (at.inbox(), Notice::new());
    inbox.listen(notice.raiser());
    inbox.refresh().unwrap();
    at.drop_in("new", "1.x", "x\n");
    eventually(&inbox, &notice, |inbox| uids(inbox) == [1]);
    fs::rename(at.maildir().join("new/1.x"), at.maildir().join("cur/1.x:2,F")).unwrap();
    // Now the rename is noted.
    assert!(inbox.process.watch.fence(PATIENCE));
    inbox.delivered(b"1.x");
    inbox.refresh().unwrap();
    assert_eq!(flags(&inbox, 1), "F");
}

#[test]
fn uids_given_by_others_are_told_before_greater_ones() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let claim = |uid: u32| {
        let name = format!("{uid}.other");
        at.drop_in("cur", &format!("{name}:2,S"), "other\n");
        let list = at.maildir().join("dovecot-uidlist");
        let text = fs::read_to_string(&list).unwrap();
        fs::write(&list, format!("{text}{uid} :{name}\n")).unwrap();
    };
    // We have looked and found one file; then another program adds one, and numbers it before we get the lock.
    at.drop_in("new", "9.ours", "ours\n");
    claim(1);
    {
        let mut disk = inbox.lock_disk();
        let fresh = vec![scan::File { name: (*b"9.ours").into(), place: Which::New }];
        let difference = scan::Difference { fresh, ..scan::Difference::default() };
        inbox.commit(&mut disk, difference, &HashSet::new()).unwrap();
    }
    assert_eq!((uids(&inbox), text(&inbox, 1), text(&inbox, 2)), (vec![1, 2], "other\n".into(), "ours\n".into()));
}

#[test]
fn a_new_folder_under_an_old_name_is_watched() {
    let at = Fixture::new();
    let name = Name::parse("Trash").unwrap();
    let dir = at.maildir().join(".Trash");
    let away: [&dyn Fn(); 4] = [
        &|| at.store.delete(&name).unwrap(),
        &|| at.store.rename(&name, &Name::parse("Old").unwrap()).unwrap(),
        &|| fs::rename(&dir, at.root.path().join("moved")).unwrap(),
        &|| fs::remove_dir_all(&dir).unwrap(),
    ];
    for (case, go_away) in away.iter().enumerate() {
        let (trash, before) = (at.trash(), Notice::new());
        trash.listen(before.raiser());
        trash.refresh().unwrap();
        go_away();
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        at.store.create(&name, None).unwrap();
        let (again, notice) = (at.trash(), Notice::new());
        assert!(!Arc::ptr_eq(&trash, &again), "case {case}");
        again.listen(notice.raiser());
        again.refresh().unwrap();
        fs::write(dir.join("new").join(format!("{case}.x")), "x\n").unwrap();
        eventually(&again, &notice, |again| uids(again) == [1]);
    }
}
