//! A search that takes minutes: it says how far it is, stops nobody else, and ends when its client has gone.

use std::fs;
use std::time::{Duration, Instant};

use super::support::{Demo, wait_for};

/// Files, all of one message: hard links.
const MESSAGES: usize = 4_000;
/// Strings that are looked for in each, in vain. Not ASCII, so that each text is folded for each of them.
const STRINGS: usize = 60;
/// Between two words about how far it is (`BETWEEN_PROGRESS` of `imap/searching.rs`).
const BETWEEN_PROGRESS: Duration = Duration::from_secs(10);
/// Time for the first such word, and for others' commands, on a machine that has more to do.
const BUSY: Duration = Duration::from_secs(20);

/// Time on the processor, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[test]
fn a_long_search_hurts_nobody_and_ends_with_its_client() {
    let demo = Demo::start();
    let maildir = demo.user("alice").maildir;
    let text = format!("Subject: long\n\n{}", "words and words without an end, für alle\n".repeat(400));
    let first = maildir.join("tmp/first");
    fs::write(&first, text).expect("write");
    for n in 0..MESSAGES {
        fs::hard_link(&first, maildir.join(format!("cur/{n}.a.b:2,"))).expect("link");
    }
    let mut searching = demo.imap("alice");
    searching.imap("select inbox");
    searching.set_patience(BETWEEN_PROGRESS + BUSY);
    let strings: String = (0..STRINGS).map(|n| format!("not body \"nöwhere{n}\" ")).collect();
    searching.imap("enable utf8=accept");
    searching.send(&format!("long search {}", strings.trim_end()));

    for name in ["alice", "bob"] {
        let mut other = demo.imap(name);
        other.imap("select inbox");
        for command in
            ["noop", "uid fetch 1:9 (flags envelope)", "uid store 1:9 +flags.silent (\\flagged)", "search flagged"]
        {
            let asked = Instant::now();
            other.imap(command);
            assert!(asked.elapsed() < BUSY, "{name}: {command} took {:?}", asked.elapsed());
        }
    }

    let said = searching.line();
    assert!(said.starts_with("* OK [INPROGRESS (\"long\" "), "a search that takes longer says how far it is: {said}");
    drop(searching);
    let gone = Instant::now();
    wait_for("the end of a search whose client has gone", || {
        let before = ticks(demo.pid());
        std::thread::sleep(Duration::from_secs(1));
        (ticks(demo.pid()) - before < 20).then_some(())
    });
    // The first word after the client went is answered with a reset, the second finds that.
    assert!(gone.elapsed() < 2 * BETWEEN_PROGRESS + BUSY, "{:?}", gone.elapsed());
}
