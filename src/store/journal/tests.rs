//! Journals written, replayed, cut, damaged, followed and compacted, in temporary directories.

use super::super::lock::Guard;
use super::*;
use crate::mail::Flags;

fn known(base: &str, modseq: u64) -> Known {
    Known { base: base.as_bytes().into(), modseq, saved: 1_795_299_995, flags: Flags::NONE, keywords: 0 }
}

fn sample() -> Vec<Record> {
    vec![
        Record::Folder(Folder { uid_validity: 7, next_uid: 4, guid: "4003e5279b1a026b0949000083ecc375".into() }),
        Record::Keyword { number: 26, name: "Twenty-seventh".into() },
        Record::Message { uid: 1, known: known("a", 10) },
        Record::Message { uid: 2, known: Known { saved: -5, ..known("b", 10) } },
        Record::Message { uid: 300, known: known("c", 11) },
        Record::Flags { modseq: 12, flags: Flags::SEEN, keywords: 1 << 127 | 1, uids: vec![1, 300] },
        Record::Expunged { modseq: 13, uids: vec![2] },
        Record::Base { uid: 300, base: b"c,U=300"[..].into() },
        Record::Recent { below: 2 },
    ]
}

fn written(records: &[Record]) -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, state) = Journal::open(dir.path()).unwrap();
    assert_eq!(state, State::default());
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    journal.append(&lock, records, true, 0o600).unwrap();
    (dir, journal)
}

fn state_of(records: &[Record]) -> State {
    let mut state = State::default();
    records.iter().cloned().for_each(|r| state.apply(r));
    state
}

#[test]
fn replay_gives_the_state() {
    let (dir, _) = written(&sample());
    let (_, state) = Journal::open(dir.path()).unwrap();
    assert_eq!(state, state_of(&sample()));
    assert_eq!(state.messages.keys().copied().collect::<Vec<_>>(), [1, 300]);
    assert_eq!(state.messages[&300], Known { flags: Flags::SEEN, keywords: 1 << 127 | 1, ..known("c,U=300", 12) });
    assert_eq!(state.expunged, [(13, 2)]);
    assert_eq!((state.highest_modseq, state.recent_below), (13, 2));
    assert_eq!(state_of(&state.records().collect::<Vec<_>>()), state, "compaction loses nothing");
}

#[test]
fn a_journal_cut_anywhere_keeps_what_was_whole() {
    let (dir, journal) = written(&sample());
    let path = dir.path().join(FILE);
    let bytes = fs::read(&path).unwrap();
    drop(journal);
    let mut kept = 0;
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let (mut journal, state) = Journal::open(dir.path()).unwrap();
        let whole = (0..=sample().len()).rfind(|n| state_of(&sample()[..*n]) == state).expect("a prefix");
        assert!(whole >= kept, "at {length}");
        kept = whole;
        // And it can be written to: the torn tail goes.
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        journal.append(&lock, &[Record::Recent { below: 99 }], false, 0o600).unwrap();
        let (_, after) = Journal::open(dir.path()).unwrap();
        assert_eq!(after, State { recent_below: 99, ..state }, "at {length}");
    }
    assert_eq!(kept, sample().len() - 1);
}

/// Names in the folder that begin as `prefix`.
fn names(dir: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn good_records_behind_damage_are_kept_and_the_damaged_file_set_aside() {
    let name = |bytes: &[u8]| bytes.windows(6).position(|w| w == b"Twenty").unwrap();
    for (case, damage) in [
        ("a flipped bit", (|bytes: &mut Vec<u8>, at| bytes[at] ^= 1) as fn(&mut Vec<u8>, usize)),
        ("a length that is lost", |bytes, at| bytes[at - 11..at - 7].fill(0)),
        ("bytes taken out", |bytes, at| drop(bytes.drain(at..at + 5))),
        ("a page of zeros put in", |bytes, at| drop(bytes.splice(at..at, [0; 4096]))),
    ] {
        let (dir, _) = written(&sample());
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        let at = name(&bytes);
        damage(&mut bytes, at);
        fs::write(&path, &bytes).unwrap();
        let (mut journal, state) = Journal::open(dir.path()).unwrap();
        assert!(state.forgotten > 13, "{case}: there may have been expunges");
        let mut expected = state_of(&sample());
        expected.keywords.clear();
        (expected.forgotten, expected.highest_modseq) = (state.forgotten, state.forgotten);
        assert_eq!(state, expected, "{case}");
        assert!(journal.wants_compaction(2), "{case}");
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        journal.append(&lock, &[Record::Recent { below: 99 }], false, 0o600).unwrap();
        expected.recent_below = 99;
        journal.compact(&lock, &expected, 0o600).unwrap();
        assert!(!journal.wants_compaction(2), "{case}");
        let aside = names(dir.path(), "mailcote.journal.broken-");
        assert_eq!(aside.len(), 1, "{case}");
        assert!(fs::read(dir.path().join(&aside[0])).unwrap().starts_with(&bytes), "{case}");
        assert_eq!(Journal::open(dir.path()).unwrap().1, expected, "{case}");
    }
}

#[test]
fn damage_that_another_process_left_is_noticed_while_the_journal_is_open() {
    let (dir, mut journal) = written(&sample());
    let (mut other, _) = Journal::open(dir.path()).unwrap();
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join(FILE))
        .and_then(|mut f| io::Write::write_all(&mut f, &[9; 50]))
        .unwrap();
    // A torn tail so far; a program that knew no better wrote on behind it.
    assert!(matches!(journal.refresh().unwrap(), Update::Same));
    let mut bytes = Vec::new();
    put(&Record::Recent { below: 99 }, &mut bytes).unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join(FILE))
        .and_then(|mut f| io::Write::write_all(&mut f, &bytes))
        .unwrap();
    let Update::Added(added) = journal.refresh().unwrap() else { panic!() };
    assert_eq!(added[0], Record::Recent { below: 99 });
    assert!(matches!(added[1], Record::Modseq { .. }) && journal.must_compact());
    assert!(matches!(other.refresh().unwrap(), Update::Added(_)));
    drop(lock);
}

#[test]
fn the_greatest_uid_is_not_forgotten_with_its_expunge() {
    let mut state = state_of(&sample());
    state.apply(Record::Expunged { modseq: 14, uids: vec![4_000_000] });
    let lower: Vec<u32> = (1000..1000 + MAX_EXPUNGED as u32).collect();
    state.apply(Record::Expunged { modseq: 15, uids: lower });
    assert!(state.expunged.iter().all(|(_, uid)| *uid != 4_000_000));
    assert_eq!((state.next_uid, state.forgotten), (4_000_001, 14));
    assert_eq!(state_of(&state.records().collect::<Vec<_>>()).next_uid, 4_000_001, "nor by a compaction");
}

#[test]
fn two_expunges_of_one_modseq_are_compacted_into_one_sorted_record() {
    let (dir, mut journal) = written(&sample());
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    let mut state = state_of(&sample());
    for uids in [vec![300], vec![1]] {
        state.apply(Record::Expunged { modseq: 14, uids });
    }
    journal.compact(&lock, &state, 0o600).unwrap();
    let (_, after) = Journal::open(dir.path()).unwrap();
    assert_eq!(after.expunged, [(13, 2), (14, 1), (14, 300)]);
    assert!(after.messages.is_empty());
}

#[test]
fn a_file_that_is_not_ours_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), "mailcote.journal 9\nwhatever").unwrap();
    let (_, state) = Journal::open(dir.path()).unwrap();
    assert_eq!(state, State::default());
    assert_eq!(names(dir.path(), "").len(), 1);
    assert_eq!(names(dir.path(), "mailcote.journal.broken-").len(), 1);
}

#[test]
fn another_process_is_noticed() {
    let (dir, mut first) = written(&sample());
    let (mut second, mut state) = Journal::open(dir.path()).unwrap();
    assert!(matches!(first.refresh().unwrap(), Update::Same));
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    let more = [Record::Recent { below: 50 }];
    second.append(&lock, &more, false, 0o600).unwrap();
    assert!(matches!(first.append(&lock, &more, false, 0o600), Err(Error::Locked(_))), "must refresh first");
    let Update::Added(added) = first.refresh().unwrap() else { panic!() };
    assert_eq!(added, more);
    state.apply(more[0].clone());
    second.compact(&lock, &state, 0o600).unwrap();
    let Update::Replaced(replaced) = first.refresh().unwrap() else { panic!() };
    assert_eq!(*replaced, state);
    first.append(&lock, &[Record::Recent { below: 51 }], false, 0o600).unwrap();
    assert!(matches!(second.refresh().unwrap(), Update::Added(_)));
}

#[test]
fn compaction_when_most_is_history() {
    let (dir, mut journal) = written(&sample());
    assert!(!journal.wants_compaction(0), "small files are left alone");
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    let mut state = state_of(&sample());
    let messages: Vec<_> = (301..1301).map(|uid| Record::Message { uid, known: known(&"x".repeat(80), 20) }).collect();
    messages.iter().cloned().for_each(|r| state.apply(r));
    journal.append(&lock, &messages, false, 0o600).unwrap();
    assert!(!journal.wants_compaction(1002));
    assert!(journal.wants_compaction(300));
    let uids: Vec<u32> = (301..1301).collect();
    let gone = Record::Expunged { modseq: 30, uids };
    state.apply(gone.clone());
    journal.append(&lock, &[gone], false, 0o600).unwrap();
    let before = fs::metadata(dir.path().join(FILE)).unwrap().len();
    journal.compact(&lock, &state, 0o600).unwrap();
    assert!(fs::metadata(dir.path().join(FILE)).unwrap().len() < before / 20);
    assert_eq!(Journal::open(dir.path()).unwrap().1, state);
}

#[test]
fn a_long_memory_of_expunges_is_not_compacted_over_and_over() {
    let (dir, mut journal) = written(&sample());
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    let expunges: Vec<_> =
        (400..20_400).map(|uid| Record::Expunged { modseq: 1 << 50 | u64::from(uid), uids: vec![uid] }).collect();
    let state = state_of(&[sample(), expunges.clone()].concat());
    journal.append(&lock, &expunges, false, 0o600).unwrap();
    assert!(!journal.wants_compaction(0), "nothing but what is remembered");
    journal.compact(&lock, &state, 0o600).unwrap();
    assert!(!journal.wants_compaction(0));
    assert!(!Journal::open(dir.path()).unwrap().0.wants_compaction(0));
}

#[test]
fn records_without_a_folder_are_about_nobody_knows_which() {
    let mut state = state_of(&sample()[1..]);
    assert!(!state.messages.is_empty());
    state.apply(sample()[0].clone());
    assert!(state.messages.is_empty() && state.expunged.is_empty());
    assert_eq!((state.highest_modseq, state.forgotten, state.next_uid), (13, 13, 4));
}

#[test]
fn a_new_uidvalidity_voids_what_was() {
    let mut state = state_of(&sample());
    state.apply(Record::Folder(Folder { uid_validity: 8, next_uid: 1, guid: String::new() }));
    assert!(state.messages.is_empty() && state.expunged.is_empty());
    assert_eq!(state.highest_modseq, 13);
}

#[test]
fn modseqs_follow_the_clock_and_never_fall() {
    let now = next_modseq(0);
    assert!(now > 1_600_000_000_000_000);
    assert_eq!(next_modseq(now + 1_000_000_000), now + 1_000_000_001);
}

#[test]
fn a_file_that_was_made_without_a_sync_is_anchored_by_the_first_promise() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
    let (here, synced) = (dir.path().to_owned(), std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0)));
    let count = std::sync::Arc::clone(&synced);
    let _watching = fsio::watch_steps(move |_, step| {
        if *step == fsio::Step::SyncDir(&here) {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    });
    for (sync, want) in [(false, 0), (true, 1), (true, 1)] {
        journal.append(&lock, &sample()[1..2], sync, 0o600).unwrap();
        assert_eq!(synced.load(std::sync::atomic::Ordering::Relaxed), want, "{sync}");
    }
}
