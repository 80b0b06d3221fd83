//! Lists of Dovecot's and of others: read, followed, added to, replaced, damaged. Lists lie in temporary directories.

use std::fs;

use super::super::lock::Guard;
use super::format::is_guid;
use super::*;

/// As Dovecot 2.3.19 wrote it after APPEND and after two outside deliveries.
const DOVECOTS: &str = "3 V1795299996 N3 G4003e5279b1a026b0949000083ecc375\n\
    1 :1795299995.M669320P18697.vm,S=20,W=23\n\
    2 :1795299995.M672444P18697.vm,S=20,W=23\n\
    3 :bar\n\
    4 :1795299000.foo,U=3\n";

fn folder(content: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), content).unwrap();
    dir
}

fn whole(dir: &Path) -> (UidList, Vec<Record>) {
    match UidList::read(dir).unwrap() {
        Found::Whole(list, records) => (list, records),
        other => panic!("{other:?}"),
    }
}

fn lock(dir: &Path) -> Lock {
    Lock::take(dir, Guard::Folder, true).unwrap()
}

fn content(dir: &Path) -> String {
    fs::read_to_string(dir.join(FILE)).unwrap()
}

#[test]
fn a_list_of_dovecots() {
    let dir = folder(DOVECOTS);
    let (list, records) = whole(dir.path());
    assert_eq!(list.header().uid_validity, 1_795_299_996);
    assert_eq!(list.header().next_uid, 5, "the last record counts, not N");
    assert_eq!(list.header().guid, "4003e5279b1a026b0949000083ecc375");
    assert_eq!(records.iter().map(|r| r.uid).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(*records[3].base, *b"1795299000.foo,U=3");
    assert!(!list.wants_rewrite(4) && !list.wants_rewrite(3) && list.wants_rewrite(2));
}

#[test]
fn an_append_adds_lines_and_leaves_the_rest() {
    let dir = folder(DOVECOTS);
    let (mut list, _) = whole(dir.path());
    let lock = lock(dir.path());
    let mut new = Record::new(7, b"new,S=1");
    new.set_field(b'P', b"uidl-7");
    list.append(&lock, &[Record::new(5, b"five"), new.clone()]).unwrap();
    assert_eq!(content(dir.path()), format!("{DOVECOTS}5 :five\n7 Puidl-7 :new,S=1\n"));
    assert_eq!(list.header().next_uid, 8);
    assert!(matches!(list.refresh().unwrap(), Change::Same));
    let (again, records) = whole(dir.path());
    assert_eq!((again.header(), &records[5]), (list.header(), &new));
}

#[test]
fn what_others_append_is_read_on() {
    let dir = folder(DOVECOTS);
    let (mut list, _) = whole(dir.path());
    let path = dir.path().join(FILE);
    fs::write(&path, format!("{DOVECOTS}9 W5 :nine\n10 :te")).unwrap();
    let Change::Added(added) = list.refresh().unwrap() else { panic!() };
    assert_eq!((added.len(), added[0].uid, added[0].number(b'W')), (1, 9, Some(5)));
    assert_eq!(list.header().next_uid, 10);
    // The rest of the line that was being written.
    fs::write(&path, format!("{DOVECOTS}9 W5 :nine\n10 :ten:2,S\n")).unwrap();
    let Change::Added(added) = list.refresh().unwrap() else { panic!() };
    assert_eq!((added[0].uid, &*added[0].base), (10, &b"ten"[..]));
}

#[test]
fn a_cut_last_line_is_not_appended_to() {
    let dir = folder(&format!("{DOVECOTS}5 :cu"));
    let (list, records) = whole(dir.path());
    assert_eq!(records.len(), 4);
    assert!(list.wants_rewrite(4));
}

#[test]
fn a_replaced_list_is_read_anew_and_uids_are_not_given_twice() {
    let dir = folder(DOVECOTS);
    let (mut list, _) = whole(dir.path());
    fsio::replace(&dir.path().join(FILE), b"3 V1795299996 N2 G4003e5279b1a026b0949000083ecc375\n1 :x\n", 0o600)
        .unwrap();
    let Change::Replaced(records) = list.refresh().unwrap() else { panic!() };
    assert_eq!(records.len(), 1);
    assert_eq!(list.header().next_uid, 5, "as seen before");
    assert!(list.wants_rewrite(1));
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(matches!(list.refresh().unwrap(), Change::Missing));
}

#[test]
fn a_rewrite_keeps_unknown_fields() {
    let header = "3 V7 N20 G4003e5279b1a026b0949000083ecc375 P%u Xyz";
    let dir = folder(&format!("{header}\n4 S1 Q9 :a\n6 :b\n8 :b\n"));
    let (mut list, records) = whole(dir.path());
    assert_eq!(records.iter().map(|r| r.uid).collect::<Vec<_>>(), [4, 8], "the newer UID of a double stays");
    assert!(list.wants_rewrite(2));
    list.rewrite(&lock(dir.path()), list.header().clone(), records.iter(), 0o600).unwrap();
    assert_eq!(content(dir.path()), format!("{header}\n4 S1 Q9 :a\n8 :b\n"));
    assert!(!list.wants_rewrite(2));
    assert!(matches!(list.refresh().unwrap(), Change::Same));
}

#[test]
fn version_1_becomes_version_3() {
    let dir = folder("1 799 4\n1 a\n3 b:2,S\n");
    let (mut list, records) = whole(dir.path());
    assert_eq!((list.header().uid_validity, list.header().next_uid), (799, 4));
    assert!(list.wants_rewrite(2));
    list.rewrite(&lock(dir.path()), list.header().clone(), records.iter(), 0o600).unwrap();
    let guid = list.header().guid.clone();
    assert!(is_guid(&guid));
    assert_eq!(content(dir.path()), format!("3 V799 N4 G{guid}\n1 :a\n3 :b\n"));
}

#[test]
fn a_new_list() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(UidList::read(dir.path()).unwrap(), Found::Missing));
    let mut list = UidList::new(dir.path(), Header::new(9));
    assert!(list.wants_rewrite(0));
    let nameless = Header { guid: String::new(), ..list.header().clone() };
    list.rewrite(&lock(dir.path()), nameless, [Record::new(1, b"a")].iter(), 0o600).unwrap();
    assert!(is_guid(&list.header().guid), "Dovecot removes a list without a GUID");
    assert_eq!(list.header().next_uid, 2);
    assert_eq!(whole(dir.path()).0.header(), list.header());
}

#[test]
fn malformed_lists_are_reported_with_what_was_good() {
    const G: &str = "G4003e5279b1a026b0949000083ecc375";
    for (case, text, line, good) in [
        ("empty", String::new(), 1, 0),
        ("other version", "2 V1 N1\n".into(), 1, 0),
        ("no UIDVALIDITY", format!("3 N1 {G}\n"), 1, 0),
        ("UIDVALIDITY 0", format!("3 V0 N1 {G}\n"), 1, 0),
        ("no next UID", format!("3 V1 {G}\n"), 1, 0),
        ("UIDs fall", format!("3 V1 N9 {G}\n2 :a\n1 :b\n"), 3, 1),
        ("UID twice", format!("3 V1 N9 {G}\n2 :a\n2 :b\n"), 3, 1),
        ("UID 0", format!("3 V1 N9 {G}\n0 :a\n"), 2, 0),
        ("UID too great", format!("3 V1 N9 {G}\n4294967295 :a\n"), 2, 0),
        ("slash", format!("3 V1 N9 {G}\n1 :a/b\n"), 2, 0),
        ("zeros after a power cut", format!("3 V1 N9 {G}\n1 :a\n\0\0\0\0\n"), 3, 1),
        ("no name", format!("3 V1 N9 {G}\n1\n"), 2, 0),
        ("empty name", format!("3 V1 N9 {G}\n1 :\n"), 2, 0),
        ("bad field", format!("3 V1 N9 {G}\n1 s5 :a\n"), 2, 0),
    ] {
        let dir = folder(&text);
        let Found::Damaged(damage) = UidList::read(dir.path()).unwrap() else { panic!("{case}") };
        assert_eq!((damage.line, damage.records.len()), (line, good), "{case}: {damage:?}");
        let aside = set_aside(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), text, "{case}");
        assert!(!dir.path().join(FILE).exists(), "{case}");
    }
}

#[test]
fn uids_behind_the_damage_are_not_given_again() {
    let dir = folder(&DOVECOTS.replace("2 :", "\0\0\0"));
    let Found::Damaged(damage) = UidList::read(dir.path()).unwrap() else { panic!() };
    assert_eq!((damage.line, damage.records.len(), damage.header.unwrap().next_uid), (3, 1, 5));
}

#[test]
fn a_writer_whose_lock_was_taken_away_writes_nothing() {
    let dir = folder(DOVECOTS);
    let (mut list, records) = whole(dir.path());
    let lock = lock(dir.path());
    fs::remove_file(dir.path().join("dovecot-uidlist.lock")).unwrap();
    assert!(matches!(list.append(&lock, &[Record::new(5, b"x")]), Err(Error::Locked(_))));
    let header = list.header().clone();
    assert!(matches!(list.rewrite(&lock, header, records.iter(), 0o600), Err(Error::Locked(_))));
    assert_eq!(content(dir.path()), DOVECOTS);
}

/// Steps taken in `dir` from now on, by name; one whose name is `fail` fails.
fn steps(dir: &Path, fail: &'static str) -> (fsio::Watching, std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>) {
    let seen = std::sync::Arc::<std::sync::Mutex<Vec<&'static str>>>::default();
    let (note, dir) = (std::sync::Arc::clone(&seen), dir.to_owned());
    let watching = fsio::watch_steps(move |_, step| {
        if step.path() == dir.join(FILE) {
            note.lock().unwrap().push(step.name());
            if step.name() == fail {
                return Err(io::Error::from_raw_os_error(5));
            }
        }
        Ok(())
    });
    (watching, seen)
}

#[test]
fn lines_that_a_killed_process_may_not_have_synced_are_synced_before_they_are_believed() {
    let dir = folder(DOVECOTS);
    let (_watching, seen) = steps(dir.path(), "");
    let (mut list, _) = whole(dir.path());
    assert_eq!(*seen.lock().unwrap(), ["sync"]);
    assert!(matches!(list.refresh().unwrap(), Change::Same));
    fs::write(dir.path().join(FILE), format!("{DOVECOTS}5 :five\n")).unwrap();
    assert!(matches!(list.refresh().unwrap(), Change::Added(_)));
    assert_eq!(*seen.lock().unwrap(), ["sync"; 2]);
    let (_watching, _) = steps(dir.path(), "sync");
    assert!(UidList::read(dir.path()).is_err(), "not believed");
}

#[test]
fn lines_whose_sync_failed_are_taken_back() {
    let dir = folder(DOVECOTS);
    let (mut list, _) = whole(dir.path());
    let lock = lock(dir.path());
    let (watching, seen) = steps(dir.path(), "sync");
    assert!(list.append(&lock, &[Record::new(5, b"five")]).is_err());
    assert_eq!(*seen.lock().unwrap(), ["write", "sync", "write"], "one sync, and the file is cut");
    assert_eq!(content(dir.path()), DOVECOTS);
    drop(watching);
    assert_eq!(list.header().next_uid, 5);
    assert!(matches!(list.refresh().unwrap(), Change::Same));
}

#[test]
fn a_list_that_somebody_else_replaced_is_not_written_over() {
    let dir = folder(DOVECOTS);
    let (mut list, records) = whole(dir.path());
    let lock = lock(dir.path());
    let theirs = format!("{DOVECOTS}5 :given-meanwhile\n");
    fs::write(dir.path().join("theirs"), &theirs).unwrap();
    fs::rename(dir.path().join("theirs"), dir.path().join(FILE)).unwrap();
    let header = list.header().clone();
    assert!(matches!(list.rewrite(&lock, header.clone(), records.iter(), 0o600), Err(Error::Locked(_))));
    assert_eq!(content(dir.path()), theirs);
    let Change::Replaced(records) = list.refresh().unwrap() else { panic!() };
    list.rewrite(&lock, header, records.iter(), 0o600).unwrap();
    assert!(content(dir.path()).ends_with("5 :given-meanwhile\n"));
}
