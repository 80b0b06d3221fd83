//! THREAD and UID THREAD (RFC 5256), with the algorithms ORDEREDSUBJECT, REFERENCES and REFS.
//!
//! Searches, then learns who refers to whom, then threads; all in steps, and a big result as slow work, beside the sessions' threads.

use crate::imap::context::{Context, Selected};
use crate::imap::gathering::Gathering;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::sort::Algorithm;
use crate::imap::reply::Reply;
use crate::imap::search::Program;
use crate::imap::searching::Searching;
use crate::imap::thread::{Threads, TooMuch};
use crate::store;
use crate::wire::Out;

/// Messages that are threaded in a step: some milliseconds. More are slow work.
const AT_ONCE: usize = 10_000;
/// Bytes of the response that are written at once.
const PIECE: usize = 64 * 1024;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let algorithm = call.args.thread_algorithm()?;
    call.args.space()?;
    let search = call.args.search_criteria()?;
    let selected = call.context.selected()?;
    let program = Program::new(search, &selected.view, &selected.mailbox.keywords())?;
    call.context.search_begins(&program, call.out)?;
    call.context.sort_within(&program)?;
    let thread = Thread {
        tag: call.tag.to_owned(),
        algorithm,
        by_uid: call.uid,
        stage: Stage::Search(Box::new(Searching::new(program, None))),
        gathering: Gathering::new(Threads::wants(algorithm)),
        failed: None,
    };
    Ok(Begun::Job(Box::new(thread)))
}

struct Thread {
    tag: String,
    algorithm: Algorithm,
    by_uid: bool,
    stage: Stage,
    gathering: Gathering,
    /// The first error.
    failed: Option<Reply>,
}

enum Stage {
    Search(Box<Searching>),
    Gather(Vec<u32>, Threads),
    /// Slow work threads.
    Wait,
    /// The response, and how much of it is written.
    Tell(String, usize),
}

/// The response.
type Line = Result<String, TooMuch>;

impl Job for Thread {
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let selected = context.selected()?;
        match std::mem::replace(&mut self.stage, Stage::Wait) {
            Stage::Search(mut searching) => {
                if searching.step(selected, Some(&self.tag), out)? {
                    let (numbers, failed) = searching.finish();
                    self.failed = failed;
                    self.stage = Stage::Gather(numbers, Threads::default());
                } else {
                    self.stage = Stage::Search(searching);
                }
                Ok(Progress::Continue)
            }
            Stage::Gather(numbers, mut threads) => {
                if !self.gather(selected, &numbers, &mut threads)? {
                    self.stage = Stage::Gather(numbers, threads);
                    return Ok(Progress::Continue);
                }
                let (algorithm, big) = (self.algorithm, threads.count() > AT_ONCE);
                let work = move || -> Line { threads.build(algorithm).map(|forest| forest.write()) };
                if big { Ok(Progress::Work(Box::new(move || Box::new(work())))) } else { self.tell(work(), out) }
            }
            Stage::Wait => match wake {
                Wake::Answer(answer) => match answer.downcast::<Line>() {
                    Ok(line) => self.tell(*line, out),
                    Err(_) => Err(Reply::no("SERVERBUG", "Threading failed")),
                },
                _ => Err(Reply::no("SERVERBUG", "Threading failed")),
            },
            Stage::Tell(line, written) => Ok(self.write(line, written, out)),
        }
    }
}

impl Thread {
    /// Learn of some messages. Returns whether all are done.
    fn gather(&mut self, selected: &Selected, numbers: &[u32], threads: &mut Threads) -> Result<bool, Reply> {
        let (mailbox, by_uid) = (&selected.mailbox, self.by_uid);
        let mut failed = None;
        let done = self.gathering.step(selected, numbers, |number, facts| {
            let Some(facts) = facts else { return true };
            // RFC 5256 2.2: without a sent date the INTERNALDATE.
            let date = if facts.sent().is_some() { Ok(0) } else { mailbox.internal_date(facts.uid()) };
            match date {
                Ok(date) => threads.add(if by_uid { facts.uid() } else { number }, date, facts),
                Err(store::Error::Gone) => true,
                Err(error) => {
                    failed.get_or_insert(Reply::from(error));
                    true
                }
            }
        });
        self.failed = self.failed.take().or(failed).or(self.gathering.failed.take());
        done
    }

    fn tell(&mut self, line: Line, out: &mut Out) -> Result<Progress, Reply> {
        let line = line.map_err(|TooMuch| Reply::no("LIMIT", "These messages refer to each other in too many ways"))?;
        Ok(self.write(line, 0, out))
    }

    /// Write until the output is full.
    fn write(&mut self, line: String, mut written: usize, out: &mut Out) -> Progress {
        while !out.full() && written < line.len() {
            // It is ASCII.
            let end = line.len().min(written + PIECE);
            out.put(&line[written..end]);
            written = end;
        }
        if written < line.len() {
            self.stage = Stage::Tell(line, written);
            return Progress::Continue;
        }
        out.line("");
        Progress::Done(self.failed.take().unwrap_or_else(|| Reply::ok("Thread completed")))
    }
}
