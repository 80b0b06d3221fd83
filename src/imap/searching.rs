//! Goes through a mailbox for a SEARCH, SORT or THREAD, in bounded steps.
//!
//! A batch of messages is judged by what is cheapest first: what is in memory, then sizes and dates, then the header fields that the store keeps,
//! and only what that leaves open by its file. Files are read and searched by several threads at once, whole; a bigger
//! message is looked through alone, by blocks. A step ends by the clock, so that other sessions go on. A
//! client that is gone ends the search with its connection: at the latest when the second word about progress after that cannot be sent.
//!
//! Messages that are gone do not match. A file that cannot be read does not match either, and the reply is NO, so that the client does
//! not take the result for complete. A search that takes long says how far it is (RFC 9585).

mod files;
mod looks;

use std::time::{Duration, Instant};

use super::context::Selected;
use super::hunt::Hunt;
use super::reply::Reply;
use super::search::{Candidate, Known, Program};
use super::source::Source;
use crate::store::cache::Wants;
use crate::store::{Mailbox, Message, Tour};
use crate::wire::Out;

/// Time that one step takes, about.
const STEP_TIME: Duration = Duration::from_millis(10);
/// Messages in the first batch of a search that may end early; each is twice as big as the one before, so that a search for one message does
/// not look at hundreds.
const FIRST_BATCH: usize = 16;
/// Messages in a batch, at most: as many as a step looks into, so that threads are started once a step.
const MAX_BATCH: usize = 2048;
/// Time between two responses that say how far a search is. RFC 9585 section 4 asks for 10 to 15 seconds.
const BETWEEN_PROGRESS: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 10 });

/// A search in progress.
pub struct Searching {
    program: Program,
    /// Stop after so many results; from the end of the mailbox?
    enough: usize,
    from_end: bool,
    /// Messages of the view that were taken into a batch.
    taken: usize,
    /// Only these UIDs, ascending; `None`: all of the view.
    only: Option<Vec<u32>>,
    batch: Vec<Entry>,
    batch_size: usize,
    /// Messages of the batch that match and needed no entry.
    matching: Vec<u32>,
    /// A body that is being looked through, of this entry of the batch.
    hunt: Option<(usize, Source, Hunt)>,
    tour: Tour,
    /// Message numbers, in the order in which they were found.
    found: Vec<u32>,
    failed: Option<Reply>,
    /// When the client last heard of us.
    heard: Instant,
}

/// A message of the batch that memory does not decide.
struct Entry {
    number: u32,
    uid: u32,
    known: Known,
    stage: Stage,
}

/// What is to be looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Stat,
    Fields,
    File,
    Big,
    /// It is the one that is being hunted through.
    Hunted,
    Done(bool),
}

impl Searching {
    /// Begin. `enough` is what [`super::found::enough`] says.
    pub fn new(program: Program, enough: Option<(bool, usize)>) -> Searching {
        let (from_end, enough) = enough.unwrap_or((false, usize::MAX));
        Searching {
            program,
            enough,
            from_end,
            taken: 0,
            only: None,
            batch: Vec::new(),
            batch_size: if enough == usize::MAX { MAX_BATCH } else { FIRST_BATCH },
            matching: Vec::new(),
            hunt: None,
            tour: Tour::new(Wants::FIELDS),
            found: Vec::new(),
            failed: None,
            heard: Instant::now(),
        }
    }

    /// Begin, with these UIDs (ascending) only.
    pub fn only(program: Program, uids: Vec<u32>) -> Searching {
        Searching::new(program, None).within(Some(uids))
    }

    /// With these UIDs (ascending) only, if there are such.
    pub fn within(self, uids: Option<Vec<u32>>) -> Searching {
        Searching { only: uids, ..self }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Do a bounded part; `tag` is the command's that waits for it. Returns whether the search is over.
    pub fn step(&mut self, selected: &Selected, tag: Option<&str>, out: &mut Out) -> Result<bool, Reply> {
        let until = Instant::now() + STEP_TIME;
        loop {
            if self.batch.is_empty() && self.matching.is_empty() && !self.fill(selected, until) {
                return Ok(true);
            }
            self.look_at_stat(&selected.mailbox, until);
            self.look_at_fields(&selected.mailbox, until)?;
            self.look_at_files(&selected.mailbox, until)?;
            self.look_at_big(&selected.mailbox);
            if self.batch.iter().all(|entry| matches!(entry.stage, Stage::Done(_))) {
                self.take_matching();
                if self.found.len() >= self.enough {
                    self.found.truncate(self.enough);
                    return Ok(true);
                }
            }
            if Instant::now() >= until {
                self.tell_progress(selected, tag, out);
                return Ok(false);
            }
        }
    }

    /// The batch is done: what matches is found.
    fn take_matching(&mut self) {
        let before = self.found.len();
        self.found.append(&mut self.matching);
        let matching = self.batch.drain(..).filter(|entry| entry.stage == Stage::Done(true));
        self.found.extend(matching.map(|entry| entry.number));
        // Both in the order of the mailbox already, but not among each other.
        let from_end = self.from_end;
        self.found[before..].sort_unstable_by(|a, b| if from_end { b.cmp(a) } else { a.cmp(b) });
    }

    /// The message numbers, ascending, and the first error.
    pub fn finish(&mut self) -> (Vec<u32>, Option<Reply>) {
        let mut found = std::mem::take(&mut self.found);
        if self.from_end {
            found.reverse();
        }
        (found, self.failed.take())
    }

    /// RFC 9585: so many messages of all are done.
    fn tell_progress(&mut self, selected: &Selected, tag: Option<&str>, out: &mut Out) {
        let Some(tag) = tag else { return };
        if self.heard.elapsed() < BETWEEN_PROGRESS {
            return;
        }
        self.heard = Instant::now();
        let all = self.only.as_ref().map_or_else(|| selected.view.uids().len(), Vec::len);
        let left = self.batch.iter().filter(|entry| !matches!(entry.stage, Stage::Done(_))).count();
        let done = self.taken - left;
        if done == all {
            return;
        }
        out.line(format!("* OK [INPROGRESS (\"{tag}\" {done} {all})] Searching"));
    }

    /// Take the next messages, as far as memory does not decide. Returns whether any were left.
    fn fill(&mut self, selected: &Selected, until: Instant) -> bool {
        let view = &selected.view;
        let all = self.only.as_ref().map_or_else(|| view.uids().len(), Vec::len);
        let is_everything = self.program.is_everything();
        if self.taken >= all {
            return false;
        }
        while self.taken < all && self.batch.is_empty() && self.matching.is_empty() && Instant::now() < until {
            let left = all - self.taken;
            let count = left.min(self.batch_size);
            self.batch_size = (self.batch_size * 2).min(MAX_BATCH);
            let first = if self.from_end { left - count } else { self.taken };
            self.taken += count;
            let number = |n: usize, uid| match self.only {
                None => u32::try_from(first + n + 1).ok(),
                Some(_) => view.number(uid),
            };
            let uids: Vec<u32> = match &self.only {
                Some(only) => only[first..first + count].to_vec(),
                None => view.uids().iter_from(first).take(count).collect(),
            };
            let candidates = present(&selected.mailbox, &uids, number);
            if is_everything {
                self.matching.extend(candidates.iter().map(|candidate| candidate.0));
                continue;
            }
            let mut known = self.program.nothing_known();
            for (number, message) in candidates {
                let (uid, recent) = (message.uid, view.is_recent(message.uid));
                self.program.look_at_memory(&Candidate { number, message, recent }, &mut known);
                match self.program.judge(&known) {
                    Some(true) => self.matching.push(number),
                    Some(false) => {}
                    None => self.batch.push(Entry { number, uid, known: known.clone(), stage: Stage::Stat }),
                }
            }
        }
        true
    }
}

/// Those of `uids` (ascending) that are not gone, with their numbers.
fn present(mailbox: &Mailbox, uids: &[u32], number: impl Fn(usize, u32) -> Option<u32>) -> Vec<(u32, Message)> {
    let mut present = Vec::with_capacity(uids.len());
    mailbox.read(|messages| {
        let mut at = uids.first().map_or(0, |first| messages.partition_point(|message| message.uid < *first));
        for (n, uid) in uids.iter().enumerate() {
            while messages.get(at).is_some_and(|message| message.uid < *uid) {
                at += 1;
            }
            let Some(message) = messages.get(at).filter(|message| message.uid == *uid) else { continue };
            present.extend(number(n, *uid).map(|number| (number, message.clone())));
        }
    });
    present
}

#[cfg(test)]
mod tests {
    use crate::imap::testing::World;

    /// RFC 9585: the command's own tag, growing numbers below the goal, and nothing behind the reply. Tests do not wait ten seconds for it.
    #[test]
    fn a_long_search_says_how_far_it_is() {
        let world = World::new();
        let mut client = world.client();
        client.login();
        let text = "a line of text that is none of a kind\r\n".repeat(12_000);
        for _ in 0..24 {
            let command = format!("b append inbox {{{}+}}\r\n\r\n{text}\r\n", text.len() + 2);
            assert!(client.says(&command).contains("b OK"));
        }
        client.says("c select inbox\r\n");
        let said = client.says("tag1 search body nowhere\r\n");
        let done: Vec<usize> = said
            .lines()
            .filter_map(|line| {
                line.strip_prefix("* OK [INPROGRESS (\"tag1\" ")?.strip_suffix(" 24)] Searching")?.parse().ok()
            })
            .collect();
        assert!(!done.is_empty() && done.is_sorted() && done.iter().all(|done| *done < 24), "{said}");
        assert!(said.ends_with("* SEARCH\r\ntag1 OK Search completed\r\n"), "{said}");
    }

    #[test]
    fn many_questions_of_one_message_are_several_steps_and_the_same_answer() {
        let world = World::new();
        let mut client = world.client();
        client.login();
        let text = "a line of text that is none of a kind\r\n".repeat(10_000) + "the needle\r\n";
        let fields: String = (0..40).map(|n| format!("To: person{n}@demo.test\r\n")).collect();
        let message = format!("{fields}Subject: x\r\n\r\n{text}");
        assert!(client.says(&format!("b append inbox {{{}+}}\r\n{message}\r\n", message.len())).contains("b OK"));
        client.says("c select inbox\r\n");
        for (keys, found) in [("body", "a needle"), ("to", "a person39@"), ("body", "nowhere"), ("to", "nobody")] {
            let many: String = (0..60).map(|n| format!("or {keys} \"absent{n}\" ")).collect();
            let string = found.trim_start_matches("a ");
            let want = if found.starts_with("a ") { "* SEARCH 1\r\n" } else { "* SEARCH\r\n" };
            let said = client.says(&format!("d search {many}{keys} \"{string}\"\r\n"));
            assert!(said.contains(want), "{keys} {string}: {said}");
        }
    }
}
