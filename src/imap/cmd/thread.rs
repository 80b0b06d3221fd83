//! THREAD and UID THREAD (RFC 5256), with the algorithms ORDEREDSUBJECT, REFERENCES and REFS.
//!
//! Searches, then learns who refers to whom if the folder does not know that from an earlier THREAD, then threads; all in steps, and a big result
//! as slow work, beside the sessions' threads.

use std::sync::Arc;

use crate::imap::context::{Context, Selected};
use crate::imap::gathering::Gathering;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::sort::Algorithm;
use crate::imap::reply::Reply;
use crate::imap::search::Program;
use crate::imap::searching::Searching;
use crate::imap::thread::{Threads, TooMuch};
use crate::store::cache::Kindred;
use crate::store::{self, Since};
use crate::wire::Out;

/// Messages that are threaded in a step: some milliseconds. More are slow work.
const AT_ONCE: usize = 20_000;
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
        since: call.context.selected()?.mailbox.since(),
        stage: Stage::Search(Box::new(Searching::new(program, None))),
        failed: None,
    };
    Ok(Begun::Job(Box::new(thread)))
}

struct Thread {
    tag: String,
    algorithm: Algorithm,
    by_uid: bool,
    /// What is found out is of this moment.
    since: Since,
    stage: Stage,
    /// The first error.
    failed: Option<Reply>,
}

enum Stage {
    Search(Box<Searching>),
    /// The result, as message numbers.
    Gather(Vec<u32>, Box<(Kindred, Gathering)>),
    /// Slow work threads.
    Wait,
    /// The response, and how much of it is written.
    Tell(Vec<u8>, usize),
}

/// The response.
type Line = Result<Vec<u8>, TooMuch>;

impl Job for Thread {
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let selected = context.selected()?;
        match std::mem::replace(&mut self.stage, Stage::Wait) {
            Stage::Search(mut searching) => {
                if !searching.step(selected, Some(&self.tag), out)? {
                    self.stage = Stage::Search(searching);
                    return Ok(Progress::Continue);
                }
                let (numbers, failed) = searching.finish();
                self.failed = failed;
                let uids: Vec<u32> = numbers.iter().filter_map(|number| selected.view.uid(*number)).collect();
                if let Some(kin) = selected.mailbox.kin()
                    && let Some(places) = kin.places(&uids)
                {
                    let names = if self.by_uid { uids } else { numbers };
                    return self.thread(Threads::new(kin, places.into_iter().zip(names).collect()), out);
                }
                self.stage = Stage::Gather(numbers, Box::new((Kindred::default(), Gathering::new(Kindred::WANTS))));
                Ok(Progress::Continue)
            }
            Stage::Gather(numbers, mut gather) => {
                if !self.gather(selected, &numbers, &mut gather)? {
                    self.stage = Stage::Gather(numbers, gather);
                    return Ok(Progress::Continue);
                }
                let kin = Arc::new(gather.0.finish());
                // Of a file that somebody was writing the next THREAD finds out more.
                if gather.1.is_settled {
                    selected.mailbox.keep_kin(self.since, &kin);
                }
                let name = |uid: &u32| if self.by_uid { Some(*uid) } else { selected.view.number(*uid) };
                let names: Vec<u32> = kin.uids().iter().filter_map(name).collect();
                self.thread(Threads::new(kin, (0..).zip(names).collect()), out)
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
    fn gather(
        &mut self,
        selected: &Selected,
        numbers: &[u32],
        (kindred, gathering): &mut (Kindred, Gathering),
    ) -> Result<bool, Reply> {
        let mut failed = None;
        let done = gathering.step(selected, numbers, |_, uid, facts| {
            let Some(facts) = facts else { return true };
            // RFC 5256 2.2: without a sent date the INTERNALDATE.
            let date = if facts.sent().is_some() { Ok(0) } else { selected.mailbox.internal_date(uid) };
            match date {
                Ok(date) => kindred.add(date, facts),
                Err(store::Error::Gone) => true,
                Err(error) => {
                    failed.get_or_insert(Reply::from(error));
                    true
                }
            }
        });
        self.failed = self.failed.take().or(failed).or(gathering.failed.take());
        done
    }

    /// Thread the result, at once if that takes some milliseconds at most.
    fn thread(&mut self, threads: Threads, out: &mut Out) -> Result<Progress, Reply> {
        let (algorithm, big) = (self.algorithm, threads.count() > AT_ONCE);
        let work = move || -> Line { threads.build(algorithm).map(|forest| forest.write()) };
        if big { Ok(Progress::Work(Box::new(move || Box::new(work())))) } else { self.tell(work(), out) }
    }

    fn tell(&mut self, line: Line, out: &mut Out) -> Result<Progress, Reply> {
        let line = line.map_err(|TooMuch| Reply::no("LIMIT", "These messages refer to each other in too many ways"))?;
        Ok(self.write(line, 0, out))
    }

    /// Write until the output is full.
    fn write(&mut self, line: Vec<u8>, mut written: usize, out: &mut Out) -> Progress {
        while !out.full() && written < line.len() {
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
