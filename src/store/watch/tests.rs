//! Real directories and real inotify events; what cannot be watched; what is told later.

use std::fs;
use std::time::Duration;

use super::*;

/// Longest wait for an event in a test.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Sink for Notes {
    fn seen(&self, which: Which, seen: Seen<'_>) {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let text = match seen {
            Seen::Appeared(n) => format!("+{}", name(n)),
            Seen::Removed(n) => format!("-{}", name(n)),
            Seen::MovedAway(n) => format!("<{}", name(n)),
            other => format!("{other:?}"),
        };
        lock(&self.0).push(format!("{which:?} {text}"));
    }
}

fn wait_for(notes: &Notes, expected: &[&str]) {
    let start = Instant::now();
    while *lock(&notes.0) != expected {
        assert!(start.elapsed() < PATIENCE, "{:?} instead of {expected:?}", lock(&notes.0));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn opening_cur_tells_that_everything_before_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let (new, cur) = (dir.path().join("new"), dir.path().join("cur"));
    fs::create_dir(&new).unwrap();
    fs::create_dir(&cur).unwrap();
    let watch = Watch::new();
    let notes = Arc::new(Notes::default());
    let sink: Arc<dyn Sink> = notes.clone();
    let _looking = [watch.look(&new, Which::New, &sink), watch.look(&cur, Which::Cur, &sink)];
    fs::write(new.join("cur"), "a message of that name").unwrap();
    fs::File::open(new.join("cur")).unwrap();
    fs::File::open(&cur).unwrap();
    wait_for(&notes, &["New +cur", "Cur Opened"]);
}

fn look(watch: &Watch, dir: &Path, which: Which) -> (Arc<Notes>, Looking) {
    let notes = Arc::new(Notes::default());
    let sink: Arc<dyn Sink> = notes.clone();
    let looking = watch.look(dir, which, &sink);
    (notes, looking)
}

#[test]
fn names_that_come_and_go_are_told_and_reading_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (new, cur) = (dir.path().join("new"), dir.path().join("cur"));
    fs::create_dir(&new).unwrap();
    fs::create_dir(&cur).unwrap();
    let watch = Watch::new();
    let (notes, looking) = look(&watch, &new, Which::New);
    assert!(looking.is_watched());
    fs::write(new.join("a"), "x").unwrap();
    fs::read(new.join("a")).unwrap();
    fs::rename(new.join("a"), cur.join("a:2,")).unwrap();
    fs::rename(cur.join("a:2,"), new.join("b")).unwrap();
    fs::rename(new.join("b"), new.join("c")).unwrap();
    fs::remove_file(new.join("c")).unwrap();
    wait_for(&notes, &["New +a", "New <a", "New +b", "New <b", "New +c", "New -c"]);
}

#[test]
fn the_last_one_who_looks_takes_the_watch_along() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (first, one) = look(&watch, dir.path(), Which::Cur);
    let (second, two) = look(&watch, dir.path(), Which::Cur);
    fs::write(dir.path().join("a"), "").unwrap();
    wait_for(&first, &["Cur +a"]);
    wait_for(&second, &["Cur +a"]);
    drop(one);
    fs::write(dir.path().join("b"), "").unwrap();
    wait_for(&second, &["Cur +a", "Cur +b"]);
    wait_for(&first, &["Cur +a"]);
    drop(two);
    assert!(lock(&watch.shared.table).directories.is_empty());
    let unwatched = lock(&watch.shared.watcher).as_mut().unwrap().unwatch(dir.path());
    assert!(matches!(unwatched.unwrap_err().kind, ErrorKind::WatchNotFound));
}

#[test]
fn a_directory_that_goes_away_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let cur = dir.path().join("cur");
    fs::create_dir(&cur).unwrap();
    let watch = Watch::new();
    let (notes, looking) = look(&watch, &cur, Which::Cur);
    fs::remove_dir(&cur).unwrap();
    wait_for(&notes, &["Cur DirectoryGone"]);
    drop(looking);
    // The same name again is a new directory with a watch of its own.
    fs::create_dir(&cur).unwrap();
    let (notes, _looking) = look(&watch, &cur, Which::Cur);
    fs::write(cur.join("x"), "").unwrap();
    wait_for(&notes, &["Cur +x"]);
}

#[test]
fn an_overflow_makes_everybody_look() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (notes, _looking) = look(&watch, dir.path(), Which::New);
    watch.shared.handle(Ok(notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    watch.shared.handle(Err(notify::Error::generic("read failed")));
    wait_for(&notes, &["New Rescan", "New Rescan"]);
}

#[test]
fn what_cannot_be_watched_is_polled_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("later");
    let watch = Watch::new();
    let (notes, looking) = look(&watch, &missing, Which::New);
    assert!(!looking.is_watched());
    assert_eq!(watch.polled(), 1);
    fs::create_dir(&missing).unwrap();
    let start = Instant::now();
    while watch.polled() == 1 {
        assert!(start.elapsed() < POLL_EVERY + PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_for(&notes, &["New Rescan"]);
}

#[test]
fn who_asks_to_be_told_later_is_told_once() {
    let watch = Watch::new();
    let notes = Arc::new(Notes::default());
    let sink: Arc<dyn Sink> = notes.clone();
    watch.look_later(&sink, Duration::from_millis(30));
    watch.look_later(&sink, Duration::from_millis(1));
    wait_for(&notes, &["Cur Look", "Cur Look"]);
    drop(sink);
    std::thread::sleep(Duration::from_millis(50));
    wait_for(&notes, &["Cur Look", "Cur Look"]);
    // Who is gone meanwhile is not.
    let sink: Arc<dyn Sink> = notes.clone();
    watch.look_later(&sink, Duration::from_millis(1));
    drop((sink, notes));
    let start = Instant::now();
    while !lock(&watch.shared.table).later.is_empty() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
}
