//! Damaged and missing files, full and read-only disks, crashes between two steps.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::super::super::uidlist::Record;
use super::super::*;
use super::*;
use crate::store::{journal, uidlist::Damage};
use crate::{clock, fsio};

fn list(at: &Fixture) -> PathBuf {
    at.maildir().join("dovecot-uidlist")
}

/// Three messages with UIDs 2, 4 and 5, UIDNEXT 6.
fn with_history() -> (Fixture, u32) {
    let at = Fixture::new();
    let inbox = at.inbox();
    for n in 1..=5 {
        at.append(&inbox, &format!("{n}\r\n"), Flags::SEEN);
    }
    inbox.remove(&[1, 3]).unwrap();
    let validity = inbox.uid_validity();
    drop(inbox);
    (at.restart(), validity)
}

fn assert_unchanged(at: &Fixture, validity: u32, case: &str) {
    let inbox = at.inbox();
    assert_eq!((uids(&inbox), inbox.uid_validity(), inbox.uid_next()), (vec![2, 4, 5], validity, 6), "{case}");
    let texts: Vec<String> = uids(&inbox).into_iter().map(|uid| text(&inbox, uid)).collect();
    assert_eq!(texts, ["2\n", "4\n", "5\n"], "{case}");
}

#[test]
fn a_damaged_uidlist_is_set_aside_and_rebuilt() {
    let whole = |text: &str| text.to_owned();
    type Damage<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(&str, Damage<'_>); 6] = [
        ("whole", &whole),
        ("empty", &|_| String::new()),
        ("NULs", &|text| "\0".repeat(text.len())),
        ("header gone", &|text| text.split_once('\n').unwrap().1.into()),
        ("order", &|text| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.swap(1, 2);
            lines.join("\n") + "\n"
        }),
        ("half a line in the middle", &|text| text.replacen(" :", "\n:", 1)),
    ];
    for (case, damage) in cases {
        let (at, validity) = with_history();
        let text = fs::read_to_string(list(&at)).unwrap();
        fs::write(list(&at), damage(&text)).unwrap();
        assert_unchanged(&at, validity, case);
        let broken = names(&at.maildir()).iter().filter(|name| name.starts_with("dovecot-uidlist.broken-")).count();
        assert_eq!(broken, usize::from(case != "whole"), "{case}");
        // And with what was rebuilt.
        let at = at.restart();
        assert_unchanged(&at, validity, case);
    }
}

#[test]
fn a_uidlist_that_lost_its_end_is_completed() {
    let (at, validity) = with_history();
    let text = fs::read_to_string(list(&at)).unwrap();
    fs::write(list(&at), &text[..text.find("\n4 ").unwrap() + 3]).unwrap();
    assert_unchanged(&at, validity, "cut");
    let at = at.restart();
    assert_unchanged(&at, validity, "completed");
}

#[test]
fn a_uidlist_or_a_journal_alone_is_enough() {
    let (at, validity) = with_history();
    fs::remove_file(list(&at)).unwrap();
    assert_unchanged(&at, validity, "no uidlist");
    let at = at.restart();
    fs::remove_file(at.maildir().join("mailcote.journal")).unwrap();
    assert_unchanged(&at, validity, "no journal");
    let at = at.restart();
    fs::write(list(&at), "nonsense").unwrap();
    assert_unchanged(&at, validity, "journal that was begun anew");
}

#[test]
fn a_uidlist_removed_or_damaged_while_open_is_written_again() {
    for damage in [None, Some("garbage")] {
        let (at, validity) = with_history();
        let inbox = at.inbox();
        match damage {
            None => fs::remove_file(list(&at)).unwrap(),
            Some(text) => fs::write(list(&at), text).unwrap(),
        }
        at.deliver("6\r\n");
        inbox.refresh().unwrap();
        assert_eq!((uids(&inbox), inbox.uid_validity()), (vec![2, 4, 5, 6], validity));
        drop(inbox);
        let at = at.restart();
        let inbox = at.inbox();
        assert_eq!((uids(&inbox), inbox.uid_validity()), (vec![2, 4, 5, 6], validity));
    }
}

#[test]
fn uids_that_another_program_gave_are_taken_over() {
    let (at, _) = with_history();
    let inbox = at.inbox();
    // As Dovecot does it: the file first, then its line.
    at.drop_in("cur", "99.other:2,", "other\n");
    let mut text = fs::read_to_string(list(&at)).unwrap();
    text.push_str("9 Phello W7 :99.other\n");
    fs::write(list(&at), text).unwrap();
    at.deliver("ours\r\n");
    inbox.refresh().unwrap();
    assert_eq!(uids(&inbox), [2, 4, 5, 9, 10]);
    assert_eq!((inbox.stored_uidl(9).unwrap(), inbox.wire_size(9).unwrap()), ("hello".into(), 7));
    assert_eq!(inbox.stored_uidl(10), None);
}

#[test]
fn a_stale_line_in_the_list_makes_no_message() {
    let (at, validity) = with_history();
    // The journal is lost, and the list still has lines of what was expunged.
    fs::remove_file(at.maildir().join("mailcote.journal")).unwrap();
    assert_unchanged(&at, validity, "dead lines");
    at.drop_in("cur", "1.back:2,", "x\n");
    let inbox = at.inbox();
    assert_eq!(uids(&inbox), [2, 4, 5, 6]);
}

#[test]
fn counted_sizes_are_remembered() {
    let at = Fixture::new();
    at.drop_in("cur", "1.x:2,", "a\nb\n");
    let inbox = at.inbox();
    assert_eq!(inbox.wire_size(1).unwrap(), 6);
    drop(inbox);
    let at = at.restart();
    assert!(fs::read_to_string(list(&at)).unwrap().contains("1 W6 :1.x\n"));
    let inbox = at.inbox();
    // Without a read: a wrong file would be noticed.
    fs::write(at.maildir().join("cur/1.x:2,"), "changed in place").unwrap();
    assert_eq!(inbox.wire_size(1).unwrap(), 6);
}

#[test]
fn old_files_in_tmp_go_and_young_ones_stay() {
    let at = Fixture::new();
    let tmp = at.maildir().join("tmp");
    fs::write(tmp.join("young"), "").unwrap();
    fs::write(tmp.join("old"), "").unwrap();
    let day = Duration::from_secs(24 * 3600);
    let open_tmp = || fs::File::open(&tmp).unwrap();
    // Not due: the directory was just made.
    super::super::clean::clean(&tmp);
    assert_eq!(at.names("tmp"), ["old", "young"]);
    open_tmp().set_times(fs::FileTimes::new().set_accessed(std::time::SystemTime::now() - day)).unwrap();
    super::super::clean::clean(&tmp);
    assert_eq!(at.names("tmp"), ["old", "young"], "both are young by their ctime");
    assert!(
        clock::now()
            - open_tmp().metadata().unwrap().accessed().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap()
            < day
    );
}

#[test]
fn a_folder_without_permission_to_write_is_read_only() {
    if nix::unistd::geteuid().is_root() {
        // Root may write anywhere: play the part of somebody else, for this thread.
        let at = Fixture::new();
        at.drop_in("cur", "1.x:2,S", "x\n");
        fs::remove_file(list(&at)).unwrap();
        fs::set_permissions(at.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for dir in ["", "cur", "new", "tmp"] {
            fs::set_permissions(at.maildir().join(dir), fs::Permissions::from_mode(0o555)).unwrap();
        }
        fs::set_permissions(at.maildir().join("cur/1.x:2,S"), fs::Permissions::from_mode(0o444)).unwrap();
        let nobody = Owner::User { uid: 65_534, gid: 65_534 };
        let process = Arc::new(Process::new(&Settings::default()));
        let root = at.maildir();
        let inbox = Mailbox::load(Arc::clone(&process), &root, root.clone(), nobody).unwrap();
        assert!(inbox.is_read_only());
        assert_eq!((uids(&inbox), text(&inbox, 1)), (vec![1], "x\n".into()));
        let refused = inbox.store_flags(&[1], Change::Add, Flags::FLAGGED, &[], None);
        assert!(matches!(refused, Err(Error::ReadOnly(_))));
        assert!(matches!(inbox.remove(&[1]), Err(Error::ReadOnly(_))));
        let validity = inbox.uid_validity();
        drop(inbox);
        let again = Mailbox::load(process, &root, root.clone(), nobody).unwrap();
        assert_eq!(again.uid_validity(), validity);
        assert!(!list(&at).exists());
        for dir in ["", "cur", "new", "tmp"] {
            fs::set_permissions(at.maildir().join(dir), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

/// A small disk of its own; unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Over the directory `at`; `None` where this process may not mount.
    fn mount(at: &Path) -> Option<SmallDisk> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs"]).arg(at);
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("not tested: this process may not mount a small disk");
        }
        mounted.then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the fixture's own directory may still be open.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_folder_on_another_disk_takes_and_gives_messages() {
    let at = Fixture::new();
    let trash = at.maildir().join(".Trash");
    let Some(_disk) = SmallDisk::mount(&trash) else { return };
    fs::create_dir(trash.join("cur")).unwrap();
    let (inbox, trash) = (at.inbox(), at.trash());
    let date = Some(1_000_000_000);
    let one = inbox.append(vec![(at.draft("one\r\n"), Flags::SEEN, vec!["k".into()], date)]).unwrap()[0];
    assert_eq!(inbox.copy(&[one], &trash).unwrap(), [(1, 1)]);
    assert_eq!(inbox.move_to(&[one], &trash).unwrap(), [(1, 2)]);
    assert_eq!(at.append(&trash, "three\r\n", Flags::NONE), 3);
    at.store.deliver(at.draft("four\r\n"), &Name::parse("Trash").unwrap()).unwrap();
    trash.refresh().unwrap();
    let texts: Vec<String> = uids(&trash).into_iter().map(|uid| text(&trash, uid) + &flags(&trash, uid)).collect();
    assert_eq!(texts, ["one\nS", "one\nS", "three\n", "four\n"]);
    assert_eq!((trash.internal_date(2).unwrap(), trash.message(2).unwrap().keywords), (1_000_000_000, 1));
    assert_eq!(trash.move_to(&[2], &inbox).unwrap(), [(2, 2)]);
    assert_eq!((uids(&inbox), uids(&trash)), (vec![2], vec![1, 3, 4]));
    for tmp in [at.maildir().join("tmp"), at.maildir().join(".Trash/tmp")] {
        assert!(names(&tmp).is_empty(), "{}", tmp.display());
    }
}

#[test]
fn a_full_disk_keeps_the_folder_open() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else { return };
    let at = Fixture::in_directory(tempfile::tempdir_in(&disk.0).unwrap());
    let inbox = at.inbox();
    let kept = at.append(&inbox, "before\r\n", Flags::NONE);
    let aside = at.root.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for n in 0..120 {
        fs::write(aside.join(format!("{}.M{n}P1.outside-with-a-long-name-so-that-the-list-grows", 1_000_000)), "x\n")
            .unwrap();
    }
    let filler = at.root.path().join("filler");
    let fill = || {
        while fs::OpenOptions::new().append(true).create(true).open(&filler).unwrap().write_all(&[0; 512]).is_ok() {}
    };
    fill();
    for name in names(&aside) {
        fs::rename(aside.join(&name), at.maildir().join("new").join(&name)).unwrap();
    }
    // Everything is there and can be read, flagged and expunged; nothing new is promised.
    inbox.refresh().unwrap();
    let seen = uids(&inbox);
    assert_eq!(seen.len(), 121);
    assert_eq!(text(&inbox, seen[120]), "x\n");
    let listed = || fs::read_to_string(list(&at)).unwrap().lines().count() - 1;
    assert!(listed() < 121, "the list has grown although the disk is full");
    let big = format!("{}\r\n", "x".repeat(9000));
    assert!(matches!(
        at.store.draft().and_then(|mut d| d.write(big.as_bytes()).and_then(|()| d.sync())),
        Err(Error::Full(_))
    ));
    inbox.store_flags(&seen, Change::Add, Flags::DELETED, &[], None).unwrap();
    assert_eq!(inbox.expunge(Some(&[kept])).unwrap(), [kept]);
    // There is room again: what was told in memory is written, and true after a restart.
    fs::remove_file(&filler).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    inbox.refresh().unwrap();
    assert_eq!(listed(), 120);
    let told: Vec<u32> = uids(&inbox);
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!(uids(&inbox), told);
    assert!(inbox.read(|messages| messages.iter().all(|m| m.flags == Flags::DELETED)));
}

#[test]
fn empty_directories_that_a_backup_lost_are_made_again() {
    for lost in ["cur", "new", "tmp"] {
        let at = Fixture::new();
        for folder in ["", ".Trash"] {
            fs::remove_dir(at.maildir().join(folder).join(lost)).unwrap();
        }
        let at = at.restart();
        at.deliver("1\r\n");
        let (inbox, trash) = (at.inbox(), at.trash());
        assert_eq!(inbox.copy(&[1], &trash).unwrap(), [(1, 1)], "{lost}");
    }
}

#[test]
fn a_great_damaged_list_is_rebuilt_soon() {
    let records = |n: u32| (1..=n).map(|uid| Record::new(uid, format!("{uid}.x").as_bytes())).collect::<Vec<_>>();
    let known =
        |base: &[u8]| journal::Known { base: base.into(), modseq: 1, saved: 0, flags: Flags::NONE, keywords: 0 };
    let mut memory = journal::State::default();
    let readable = records(20_000);
    memory.folder = Some(journal::Folder { uid_validity: 7, next_uid: 1, guid: String::new() });
    memory.messages = records(30_000).into_iter().map(|r| (r.uid, known(&r.base))).collect();
    let damage = Damage { line: 9, why: "", header: None, records: readable };
    let start = Instant::now();
    let (header, rebuilt) = super::super::load::rebuilt(Some(damage), &memory).unwrap();
    assert_eq!((header.next_uid, rebuilt.len()), (30_001, 30_000));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_damaged_list_that_cannot_be_replaced_now_is_still_there_later() {
    let (at, validity) = with_history();
    fs::remove_file(at.maildir().join("mailcote.journal")).unwrap();
    let text = fs::read_to_string(list(&at)).unwrap();
    fs::write(list(&at), text + "\0\0\0\n").unwrap();
    // A directory stands where the new list must be written.
    let blocker = at.maildir().join("dovecot-uidlist.tmp");
    fs::create_dir(&blocker).unwrap();
    assert!(at.store.mailbox(&Name::inbox()).is_err());
    fs::remove_dir(&blocker).unwrap();
    assert_unchanged(&at, validity, "later");
    let broken = names(&at.maildir()).iter().filter(|name| name.starts_with("dovecot-uidlist.broken-")).count();
    assert_eq!(broken, 1);
}

#[test]
fn a_folder_of_others_is_written_into_the_journal_once() {
    let at = Fixture::new();
    let messages = 200;
    for n in 0..messages {
        at.drop_in("cur", &format!("{n}.x:2,S"), "x\n");
    }
    let steps = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let (note, root) = (Arc::clone(&steps), at.root.path().to_owned());
    let watching = fsio::watch_steps(move |_, taken| {
        if let Ok(below) = taken.path().strip_prefix(&root)
            && below.to_string_lossy().contains("mailcote.journal")
        {
            note.lock().unwrap().push(taken.name().to_owned());
        }
        Ok(())
    });
    let inbox = at.inbox();
    drop(watching);
    let (highest, saved) = (inbox.highest_modseq(), inbox.save_date(7).unwrap());
    // The head (UIDVALIDITY, mod-sequence), and all of the table.
    assert_eq!(*steps.lock().unwrap(), ["create", "write", "write"]);
    let (_, state) = journal::Journal::open(&at.maildir()).unwrap();
    assert_eq!((state.messages.len(), state.highest_modseq), (messages, highest));
    assert!(state.folder.is_some_and(|folder| folder.uid_validity == inbox.uid_validity()));
    drop(inbox);
    let at = at.restart();
    let again = at.inbox();
    assert_eq!((again.highest_modseq(), again.save_date(7).unwrap(), uids(&again).len()), (highest, saved, messages));
}

#[test]
fn damage_to_the_journals_first_record_costs_only_that() {
    for is_ours in [true, false] {
        let at = Fixture::new();
        let inbox = at.inbox();
        at.drop_in("cur", "1.m:2,", "x");
        inbox.refresh().unwrap();
        // More than there are letters, so that only the journal knows some.
        let words: Vec<String> = (0..28).map(|n| format!("k{n}")).collect();
        inbox.store_flags(&[1], Change::Add, Flags::NONE, &words, None).unwrap();
        let has = |inbox: &Mailbox| {
            let number = inbox.keywords().iter().position(|name| *name == words[27]);
            number.is_some_and(|number| inbox.message(1).unwrap().keywords & 1 << number != 0)
        };
        assert!(has(&inbox));
        drop(inbox);
        let Fixture { root, stores, store } = at;
        drop((stores, store));
        let maildir = root.path().join("Maildir");
        let mut bytes = fs::read(maildir.join(journal::FILE)).unwrap();
        let body = b"mailcote.journal 1\n".len() + 8;
        bytes[body + 2] ^= 1;
        fs::write(maildir.join(journal::FILE), bytes).unwrap();
        if !is_ours {
            // The journal of another folder: its UID 1 is another file.
            let list = maildir.join("dovecot-uidlist");
            fs::write(&list, fs::read_to_string(&list).unwrap().replace(":1.m", ":2.m")).unwrap();
            fs::rename(maildir.join("cur").join(name_in(&maildir)), maildir.join("cur/2.m:2,")).unwrap();
        }
        let at = Fixture::in_directory(root);
        assert_eq!(has(&at.inbox()), is_ours);
        let at = at.restart();
        assert_eq!((has(&at.inbox()), uids(&at.inbox())), (is_ours, vec![1]), "and so it stays");
    }
}

/// The only file in `cur/`.
fn name_in(maildir: &std::path::Path) -> String {
    names(&maildir.join("cur")).remove(0)
}

#[test]
fn a_default_folder_first_opened_on_a_full_disk_keeps_its_uidvalidity() {
    let at = Fixture::new();
    let here = at.root.path().to_owned();
    let full = fsio::watch_steps(move |_, step| match step {
        fsio::Step::Create(path) | fsio::Step::Write(path) if path.starts_with(&here) => {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    });
    let told = [at.inbox().uid_validity(), at.trash().uid_validity()];
    assert_ne!(told[0], told[1], "each folder has its own");
    drop(full);
    let at = at.restart();
    assert_eq!([at.inbox().uid_validity(), at.trash().uid_validity()], told);
}
