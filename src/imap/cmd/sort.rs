//! SORT and UID SORT (RFC 5256), with result options (ESORT, RFC 5267 section 3) and display names (RFC 5957).
//!
//! Searches, then collects what is compared, then sorts; all in steps, and a big sort as slow work, beside the sessions' threads.

use crate::imap::cmd::search::{Outcome, Told, no_update, refuse};
use crate::imap::context::{Context, Selected};
use crate::imap::gathering::Gathering;
use crate::imap::job::{Begun, Call, Job, Progress, Wake};
use crate::imap::parse::returns::Returns;
use crate::imap::parse::sort::SortKey;
use crate::imap::reply::Reply;
use crate::imap::search::Program;
use crate::imap::searching::Searching;
use crate::imap::sort::Keys;
use crate::store::{self, cache::Facts};
use crate::wire::Out;

/// Messages that are sorted in a step: two milliseconds of comparing. More are slow work.
const AT_ONCE: usize = 20_000;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.space()?;
    let returns = call.args.search_returns()?;
    let criteria = call.args.sort_criteria()?;
    call.args.space()?;
    let search = call.args.search_criteria()?;
    let selected = call.context.selected()?;
    let program = match Program::new(search, &selected.view, &selected.mailbox.keywords()) {
        Ok(program) => program,
        Err(reply) => return Err(refuse(selected, returns, reply)),
    };
    call.context.search_begins(&program, call.out)?;
    if let Err(reply) = call.context.sort_within(&program) {
        return Err(refuse(call.context.selected()?, returns, reply));
    }
    if returns.is_some_and(|returns| returns.update) {
        // There is no CONTEXT=SORT here: RFC 5267 4.3.1.
        no_update(call.tag, call.out);
    }
    // The first in order may be any: nothing ends a search early.
    let searching = Searching::new(program, None);
    let keys = Keys::new(criteria);
    let gathering = Gathering::new(keys.wants());
    let sort = Sort {
        tag: call.tag.to_owned(),
        by_uid: call.uid,
        returns,
        modseq: searching.program().asks_modseq(),
        stage: Stage::Search(Box::new(searching), keys),
        gathering,
        failed: None,
    };
    Ok(Begun::Job(Box::new(sort)))
}

struct Sort {
    tag: String,
    by_uid: bool,
    returns: Option<Returns>,
    /// Tell the mod-sequence.
    modseq: bool,
    stage: Stage,
    gathering: Gathering,
    /// The first error.
    failed: Option<Reply>,
}

enum Stage {
    Search(Box<Searching>, Keys),
    Gather(Vec<u32>, Keys),
    /// Slow work sorts.
    Wait,
    Tell(Told),
}

impl Job for Sort {
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply> {
        let selected = context.selected()?;
        match std::mem::replace(&mut self.stage, Stage::Wait) {
            Stage::Search(mut searching, keys) => {
                if searching.step(selected, Some(&self.tag), out)? {
                    let (numbers, failed) = searching.finish();
                    self.failed = failed;
                    self.stage = Stage::Gather(numbers, keys);
                } else {
                    self.stage = Stage::Search(searching, keys);
                }
                Ok(Progress::Continue)
            }
            Stage::Gather(numbers, mut keys) => match self.gather(selected, &numbers, &mut keys) {
                Ok(false) => {
                    self.stage = Stage::Gather(numbers, keys);
                    Ok(Progress::Continue)
                }
                Ok(true) if keys.count() > AT_ONCE => Ok(Progress::Work(Box::new(move || Box::new(keys.sorted())))),
                Ok(true) => Ok(self.tell(selected, &keys.sorted(), out)),
                Err(reply) => Err(refuse(selected, self.returns, reply)),
            },
            Stage::Wait => match wake {
                Wake::Answer(answer) => match answer.downcast::<Vec<u32>>() {
                    Ok(numbers) => Ok(self.tell(selected, &numbers, out)),
                    Err(_) => Err(Reply::no("SERVERBUG", "Sorting failed")),
                },
                _ => Err(Reply::no("SERVERBUG", "Sorting failed")),
            },
            Stage::Tell(mut told) => {
                let progress = told.step(out);
                self.stage = Stage::Tell(told);
                Ok(progress)
            }
        }
    }
}

impl Sort {
    /// Collect the keys of some messages. Returns whether all are done.
    fn gather(&mut self, selected: &Selected, numbers: &[u32], keys: &mut Keys) -> Result<bool, Reply> {
        let mailbox = &selected.mailbox;
        let (dates, sizes) = (keys.uses(SortKey::Arrival) || keys.uses(SortKey::Date), keys.uses(SortKey::Size));
        let mut failed = None;
        let add = |number: u32, facts: Option<&Facts<'_>>| {
            let uid = selected.view.uid(number).unwrap_or(0);
            let date = if dates { mailbox.internal_date(uid) } else { Ok(0) };
            let size = if sizes { mailbox.wire_size(uid) } else { Ok(0) };
            match (date, size) {
                (Ok(date), Ok(size)) => keys.add(number, date, size, facts),
                (Err(store::Error::Gone), _) | (_, Err(store::Error::Gone)) => true,
                (Err(error), _) | (_, Err(error)) => {
                    failed.get_or_insert(Reply::from(error));
                    true
                }
            }
        };
        let done = self.gathering.step(selected, numbers, add);
        self.failed = self.failed.take().or(failed).or(self.gathering.failed.take());
        done
    }

    /// Begin to tell the result.
    fn tell(&mut self, selected: &mut Selected, numbers: &[u32], out: &mut Out) -> Progress {
        let outcome = Outcome {
            numbers,
            by_uid: self.by_uid,
            modseq: self.modseq,
            returns: self.returns,
            failed: self.failed.take(),
        };
        let mut told = outcome.tell(selected, &self.tag, "SORT");
        let progress = told.step(out);
        self.stage = Stage::Tell(told);
        progress
    }
}
