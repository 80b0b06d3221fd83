//! Goes through a mailbox for a SEARCH, SORT or THREAD, in bounded steps.
//!
//! A batch of messages is judged by what is cheapest first: what is in memory, then sizes and dates, then the header fields that the store keeps,
//! and only what that leaves open by its file. Files are read and searched by several threads at once, whole; a message over
//! [`MAX_WHOLE`] is looked through alone, by blocks. A step ends by the clock, so that other sessions go on, and a
//! client that is gone ends the search with its connection.
//!
//! Messages that are gone do not match. A file that cannot be read does not match either, and the reply is NO, so that the client does
//! not take the result for complete. A search that takes long says how far it is (RFC 9585).

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::context::Selected;
use super::hunt::{self, Hunt};
use super::reply::Reply;
use super::search::{Candidate, Cost, Known, Program};
use super::source::{Extent, Source};
use crate::mail::header;
use crate::store::cache::Wants;
use crate::store::{self, Mailbox, Message, Tour};
use crate::wire::Out;

/// Time that one step takes, about.
const STEP_TIME: Duration = Duration::from_millis(10);
/// Bytes that one step reads of a big message, decodes and searches.
const STEP_READ: u64 = 2 * 1024 * 1024;
/// Bytes that a step reads to learn header fields which the store does not know yet.
const STEP_FIELDS: u64 = 4 * 1024 * 1024;
/// Messages in the first batch of a search that may end early; each is twice as big as the one before, so that a search for one message does
/// not look at hundreds.
const FIRST_BATCH: usize = 16;
/// Messages in a batch, at most: as many as a step looks into, so that threads are started once a step.
const MAX_BATCH: usize = 2048;
/// Messages between two looks at the clock.
const BETWEEN_LOOKS: usize = 32;
/// Bytes of a message that is searched in one go; each thread has as much memory for it.
const MAX_WHOLE: usize = 1024 * 1024;
/// Bytes that nine messages in ten have less than, so that reading one is a read and a look for more.
const USUAL: usize = 128 * 1024;
/// Threads for one search. More than two cores have: some wait for the disk.
const THREADS: usize = 4;
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

/// What a look at a file came to.
enum Verdict {
    Is(bool),
    Big,
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
        let done = self.taken - self.batch.len();
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

    /// Dates, sizes, ids.
    fn look_at_stat(&mut self, mailbox: &Mailbox, until: Instant) {
        let program = &self.program;
        let asks_fields = program.uses(Cost::Header) && program.asks_kept_fields();
        let asks_files = program.uses(Cost::Header) || program.uses(Cost::Body);
        let next = if asks_fields { Stage::Fields } else { Stage::File };
        let waiting = self.batch.iter_mut().filter(|entry| entry.stage == Stage::Stat);
        for (n, entry) in waiting.enumerate() {
            if n % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 && Instant::now() >= until {
                return;
            }
            let (uid, known) = (entry.uid, &mut entry.known);
            let verdict = if program.uses(Cost::Stat) {
                let (date, size) = (|| mailbox.internal_date(uid), || mailbox.wire_size(uid));
                let (saved, email_id) = (|| mailbox.save_date(uid), || mailbox.email_id(uid));
                let looked = program.look_at_stat(known, date, size, saved, email_id);
                looked.map_or_else(
                    |error| {
                        fail(&mut self.failed, error);
                        Some(false)
                    },
                    |()| program.judge(known),
                )
            } else {
                None
            };
            entry.stage = match verdict {
                Some(verdict) => Stage::Done(verdict),
                None if asks_files => next,
                // Nothing is left that could tell.
                None => Stage::Done(false),
            };
        }
    }

    /// Header fields that the store keeps.
    fn look_at_fields(&mut self, mailbox: &Mailbox, until: Instant) -> Result<(), Reply> {
        let mut waiting: Vec<(u32, usize)> = self.waiting(Stage::Fields);
        waiting.sort_unstable();
        let uids: Vec<u32> = waiting.iter().map(|entry| entry.0).collect();
        if uids.is_empty() || self.batch.iter().any(|entry| entry.stage == Stage::Stat) {
            return Ok(());
        }
        let (program, batch, mut seen, mut budget) = (&self.program, &mut self.batch, 0, STEP_FIELDS);
        let mut shown = vec![false; waiting.len()];
        let visited = mailbox.visit(&mut self.tour, &uids, &mut budget, |facts| {
            seen += 1;
            let Ok(place) = uids.binary_search(&facts.uid()) else { return ControlFlow::Continue(()) };
            shown[place] = true;
            let entry = &mut batch[waiting[place].1];
            entry.stage = Stage::File;
            if let Some(fields) = facts.fields() {
                program.look_at_fields(fields, &mut entry.known);
                if let Some(verdict) = program.judge(&entry.known) {
                    entry.stage = Stage::Done(verdict);
                }
            }
            let late = seen % BETWEEN_LOOKS == 0 && Instant::now() >= until;
            if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        // Those that were passed over are gone or cannot be read.
        for (place, _) in shown.iter().enumerate().take(visited.done).filter(|(_, shown)| !**shown) {
            batch[waiting[place].1].stage = Stage::Done(false);
        }
        if let Some(error) = visited.failed {
            fail(&mut self.failed, error);
        }
        Ok(())
    }

    /// Whole messages.
    fn look_at_files(&mut self, mailbox: &Mailbox, until: Instant) -> Result<(), Reply> {
        let waiting = self.waiting(Stage::File);
        if waiting.is_empty() {
            return Ok(());
        }
        let (program, batch) = (&self.program, &self.batch);
        let look = |buffer: &mut Vec<u8>, n: usize| {
            let (uid, at) = waiting[n];
            let look = |file| {
                let io = |error| store::Error::io(format!("message with UID {uid}").as_ref(), error);
                judge_file(program, batch[at].known.clone(), file, buffer).map_err(io)
            };
            mailbox.open(uid).and_then(look)
        };
        let looked = mailbox.by_several(waiting.len(), THREADS, Some(until), look)?;
        for ((_, at), verdict) in waiting.iter().zip(looked) {
            self.batch[*at].stage = match verdict {
                Ok(Verdict::Is(verdict)) => Stage::Done(verdict),
                Ok(Verdict::Big) => Stage::Big,
                Err(error) => {
                    fail(&mut self.failed, error);
                    Stage::Done(false)
                }
            };
        }
        Ok(())
    }

    /// A block or some of a big message.
    fn look_at_big(&mut self, mailbox: &Mailbox) {
        let mut budget = STEP_READ;
        while budget > 0 {
            let going_on = match self.hunt.take() {
                Some(hunt) => Ok(Some(hunt)),
                None => self.begin_hunt(mailbox),
            };
            let (at, source, mut hunt) = match going_on {
                Ok(Some(hunt)) => hunt,
                Ok(None) => return,
                Err(error) => {
                    fail(&mut self.failed, error);
                    continue;
                }
            };
            let entry = &mut self.batch[at];
            match hunt.step(&source, &self.program, &mut entry.known, &mut budget) {
                Ok(false) => self.hunt = Some((at, source, hunt)),
                Ok(true) => entry.stage = Stage::Done(self.program.judge(&entry.known).unwrap_or(false)),
                Err(error) => {
                    entry.stage = Stage::Done(false);
                    let name = format!("message with UID {}", entry.uid);
                    fail(&mut self.failed, store::Error::io(name.as_ref(), error));
                }
            }
        }
    }

    /// Open the next big message whose header does not decide; an error is about one message, and done with.
    fn begin_hunt(&mut self, mailbox: &Mailbox) -> store::Result<Option<(usize, Source, Hunt)>> {
        while let Some(at) = self.batch.iter().position(|entry| entry.stage == Stage::Big) {
            let entry = &mut self.batch[at];
            entry.stage = Stage::Done(false);
            let uid = entry.uid;
            let io = |error| store::Error::io(format!("message with UID {uid}").as_ref(), error);
            let mut source = Source::new(mailbox.open(uid)?, Extent::All).map_err(io)?;
            source.read_header().map_err(io)?;
            self.program.look_at_header(source.header().0, &mut entry.known);
            match self.program.judge(&entry.known) {
                Some(verdict) => entry.stage = Stage::Done(verdict),
                None => {
                    entry.stage = Stage::Hunted;
                    return Ok(Some((at, source, Hunt::default())));
                }
            }
        }
        Ok(None)
    }

    /// UIDs and places of the entries at this stage.
    fn waiting(&self, stage: Stage) -> Vec<(u32, usize)> {
        let entries = self.batch.iter().enumerate().filter(|(_, entry)| entry.stage == stage);
        entries.map(|(at, entry)| (entry.uid, at)).collect()
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

/// Look at a message's file; `buffer` is for its bytes.
fn judge_file(program: &Program, mut known: Known, file: File, buffer: &mut Vec<u8>) -> io::Result<Verdict> {
    if !program.uses(Cost::Body) {
        let source = Source::new(file, Extent::Header)?;
        program.look_at_header(source.header().0, &mut known);
        return Ok(Verdict::Is(program.judge(&known).unwrap_or(false)));
    }
    let Some(message) = read_whole(file, buffer)? else { return Ok(Verdict::Big) };
    let header = header::block_len(message).unwrap_or(message.len());
    program.look_at_header(&message[..header.min(crate::mail::scan::MAX_HEADER)], &mut known);
    if program.judge(&known).is_none() {
        hunt::whole(message, program, &mut known);
    }
    Ok(Verdict::Is(program.judge(&known).unwrap_or(false)))
}

/// A message of [`MAX_WHOLE`] bytes at most; `None` if it is bigger. The buffer keeps its length from one message to the next, so that its
/// memory is filled with zeros once a thread.
fn read_whole(mut file: File, buffer: &mut Vec<u8>) -> io::Result<Option<&[u8]>> {
    let mut len = 0;
    while len <= MAX_WHOLE {
        if len == buffer.len() {
            buffer.resize((len * 2).clamp(USUAL, MAX_WHOLE + 1), 0);
        }
        match file.read(&mut buffer[len..]) {
            Ok(0) => return Ok(Some(&buffer[..len])),
            Ok(more) => len += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

fn fail(failed: &mut Option<Reply>, error: store::Error) {
    if !matches!(error, store::Error::Gone) {
        failed.get_or_insert(error.into());
    }
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
}
