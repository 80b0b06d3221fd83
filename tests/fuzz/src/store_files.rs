//! Files that others leave in a Maildir: any bytes as `dovecot-uidlist`, `mailcote.journal`, `dovecot-keywords`, `subscriptions`,
//! `mailcote.tree`, Courier's list, or all at once. Nothing panics, no UID is given twice, the folder opens, and what it says is the same when
//! it is opened again.

use std::fs;
use std::path::Path;

use mailcote::store::journal::{Journal, Piece, Pieces};
use mailcote::store::keywords::Keywords;
use mailcote::store::uidlist::{Found, UidList};
use mailcote::store::{Home, Layout, Name, Owner, Settings, Stores};

/// What the first byte chooses; one more is all of them, each with a part of the bytes.
const FILES: [&str; 6] =
    ["dovecot-uidlist", "mailcote.journal", "dovecot-keywords", "subscriptions", "mailcote.tree", "courierimapuiddb"];

/// UIDVALIDITY, UIDNEXT and UIDs of a folder as a process finds them that has just begun.
fn open(maildir: &Path) -> (u32, u32, Vec<u32>) {
    let settings = Settings { hostname: "h".into(), ..Settings::default() };
    let home = Home { maildir: maildir.to_owned(), layout: Layout::Maildirpp, owner: Owner::Daemon };
    let store = Stores::new(settings).and_then(|stores| stores.open(&home)).expect("the account opens");
    store.folders().expect("folders are listed");
    store.subscriptions().expect("subscriptions are read");
    let inbox = store.mailbox(&Name::inbox()).expect("INBOX opens");
    let uids: Vec<u32> = inbox.read(|messages| messages.iter().map(|message| message.uid).collect());
    assert!(uids.windows(2).all(|two| two[0] < two[1]), "{uids:?}");
    assert!(uids.iter().all(|uid| (1..inbox.uid_next()).contains(uid)), "{uids:?} below {}", inbox.uid_next());
    (inbox.uid_validity(), inbox.uid_next(), uids)
}

/// The first byte is the file.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    for (piece, length) in Pieces::new(data) {
        assert!(length > 0 && length <= data.len());
        if let Piece::Record(record) = piece {
            drop(record);
        }
    }
    let dir = super::world::directory();
    let maildir = dir.path();
    for part in ["tmp", "new", "cur"] {
        fs::create_dir(maildir.join(part)).expect("a Maildir");
    }
    // Names that a list is likely to speak of.
    for name in ["new/a", "cur/b:2,S", "cur/1795299995.M1P1.h,S=3:2,Fab"] {
        fs::write(maildir.join(name), "x\n").expect("a message");
    }
    match FILES.get(usize::from(*first) % (FILES.len() + 1)) {
        Some(file) => fs::write(maildir.join(file), data).expect("the file"),
        None => {
            let size = data.len() / FILES.len() + 1;
            for (file, part) in FILES.iter().zip(data.chunks(size)) {
                fs::write(maildir.join(file), part).expect("a file");
            }
        }
    }
    let next = match UidList::read(maildir) {
        Ok(Found::Whole(list, records)) => {
            assert!(records.iter().all(|record| record.uid < list.header().next_uid));
            Some((list.header().uid_validity, list.header().next_uid))
        }
        _ => None,
    };
    let _ = Journal::open(maildir).map(|(_, state)| state.records().count());
    let _ = Keywords::read(maildir).map(|keywords| (0..30).filter(|n| keywords.name(*n).is_some()).count());
    // UIDs can be used up, by a list that says so.
    if next.is_some_and(|(_, next)| next > u32::MAX - 10) {
        return;
    }
    let (validity, uid_next, uids) = open(maildir);
    if let Some((listed_validity, listed)) = next {
        assert_eq!(validity, listed_validity);
        assert!(uid_next >= listed, "UIDs are not given twice: {uid_next} after {listed}");
    }
    assert_eq!(open(maildir), (validity, uid_next, uids), "the same when it is opened again");
}
