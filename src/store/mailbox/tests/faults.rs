//! Steps that fail: what is retried, and what never is.

use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

use super::*;
use crate::fsio::{self, Watching};
use crate::store::{Change, Error};

/// From now on steps called `step` on paths that contain `part` fail with `code`; which did.
fn fail(at: &Fixture, step: &'static str, part: &'static str, code: i32) -> (Watching, Arc<Mutex<Vec<PathBuf>>>) {
    let seen = Arc::<Mutex<Vec<PathBuf>>>::default();
    let (note, root) = (Arc::clone(&seen), at.root.path().to_owned());
    let watching = fsio::watch_steps(move |_, taken| {
        let is_meant = taken.path().strip_prefix(&root).is_ok_and(|below| below.to_string_lossy().contains(part));
        if !is_meant || taken.name() != step {
            return Ok(());
        }
        note.lock().unwrap().push(taken.path().to_owned());
        Err(std::io::Error::from_raw_os_error(code))
    });
    (watching, seen)
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn a_message_whose_sync_failed_is_dropped_and_not_synced_again() {
    let at = Fixture::new();
    let (_watching, tried) = fail(&at, "sync", "/tmp/", EIO);
    let mut draft = at.draft("x\r\n");
    assert!(matches!(draft.sync(), Err(Error::Io { .. })));
    assert!(draft.sync().is_err() && draft.sync().is_err());
    assert!(at.store.deliver(draft, &Name::inbox()).is_err());
    assert_eq!(tried.lock().unwrap().len(), 1, "one sync of one descriptor");
    assert!(at.names("tmp").is_empty() && at.names("new").is_empty());
}

#[test]
fn a_refresh_that_failed_is_tried_again_by_the_clock_while_somebody_waits() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let notice = Notice::new();
    inbox.listen(notice.raiser());
    let (watching, tried) = fail(&at, "sync", "dovecot-uidlist", EIO);
    at.drop_in("new", "1.x", "x\n");
    let start = Instant::now();
    // As a session in IDLE: it only looks when it is woken.
    while tried.lock().unwrap().len() < 3 {
        assert!(start.elapsed() < PATIENCE, "tried {} times", tried.lock().unwrap().len());
        if notice.take() {
            assert!(inbox.refresh_if_free(notice.raiser()).is_err());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(uids(&inbox).is_empty(), "nobody is told a UID that is not on the disk");
    drop(watching);
    eventually(&inbox, &notice, |inbox| uids(inbox) == [1]);
}

#[test]
fn what_a_full_disk_kept_out_of_the_journal_is_written_when_there_is_room() {
    let at = Fixture::new();
    let inbox = at.inbox();
    for n in 0..3 {
        at.append(&inbox, &format!("{n}\r\n"), Flags::SEEN);
    }
    let before = inbox.highest_modseq();
    let (watching, tried) = fail(&at, "write", "mailcote.journal", ENOSPC);
    inbox.remove(&[2]).unwrap();
    inbox.store_flags(&[3], Change::Add, Flags::FLAGGED, &[], None).unwrap();
    assert!(!tried.lock().unwrap().is_empty());
    assert_eq!(inbox.expunged_since(before), Some(vec![2]));
    drop(watching);
    inbox.refresh().unwrap();
    let modseqs =
        |inbox: &Mailbox| inbox.read(|messages| messages.iter().map(|m| (m.uid, m.modseq)).collect::<Vec<_>>());
    let (known, highest) = (modseqs(&inbox), inbox.highest_modseq());
    drop(inbox);
    let at = at.restart();
    let inbox = at.inbox();
    assert_eq!(inbox.expunged_since(before), Some(vec![2]), "a client that comes back is told");
    assert_eq!((modseqs(&inbox), inbox.highest_modseq()), (known, highest));
}

#[test]
fn a_journal_whose_sync_failed_is_replaced() {
    let at = Fixture::new();
    let inbox = at.inbox();
    let uid = at.append(&inbox, "x\r\n", Flags::SEEN);
    let names: Vec<String> = (0..26).map(|n| format!("k{n}")).collect();
    inbox.store_flags(&[uid], Change::Add, Flags::NONE, &names, None).unwrap();
    let journal = at.maildir().join("mailcote.journal");
    let inode = || fs::metadata(&journal).unwrap().ino();
    let before = inode();
    let high = ["k26".to_string()];
    let (watching, tried) = fail(&at, "sync", "mailcote.journal", EIO);
    assert!(inbox.store_flags(&[uid], Change::Add, Flags::NONE, &high, None).is_err());
    assert_eq!(tried.lock().unwrap().len(), 1);
    drop(watching);
    inbox.store_flags(&[uid], Change::Add, Flags::NONE, &high, None).unwrap();
    assert_ne!(inode(), before, "a new file, not the old one synced again");
    drop(inbox);
    let inbox = at.restart().inbox();
    assert!(inbox.keywords().contains(&"k26".to_string()));
}
